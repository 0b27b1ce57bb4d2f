"""Signals that end the command, and processes that do not outlive it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1
_ENDING = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    """SIGTERM, as KeyboardInterrupt is SIGINT: what is open is closed, then the command ends."""


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not stop the clearing up
    raise Terminated


@contextlib.contextmanager
def heeding_sigterm() -> Iterator[None]:
    """In here SIGTERM raises Terminated, unless somebody has decided otherwise."""
    alone = threading.current_thread() is threading.main_thread()
    if not alone or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def follow(parent: int) -> None:
    """Make this process one that ends with its parent, and at the parent's word alone.

    Ctrl-C reaches it as well: the parent answers that.
    """
    import ctypes  # only here, in processes of our own

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before that
        os._exit(1)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """In here no signal ends this process, nor one that is forked before it calls `follow`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class WorkerDied(Exception):
    """A process of `in_processes` has ended before its time."""


def in_processes(many: int, function: Callable[..., T], *columns: list[Any]) -> Iterator[T]:
    """What `map` yields, worked out by `many` processes. Raises WorkerDied.

    None of them is left when this is closed, or this process ends in any way.
    """
    # Dear to import, seldom asked for.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    others = multiprocessing.active_children()
    # A fork knows the user's patches.
    fork = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(many, fork, initializer=follow, initargs=(os.getpid(),))
    try:
        with held_back():
            found = pool.map(function, *columns, chunksize=4)
        yield from found
    except BrokenProcessPool:
        raise WorkerDied from None
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
