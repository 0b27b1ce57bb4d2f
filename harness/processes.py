"""Signals that end the command, and processes that do not outlive it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1
_WINDOW = 16  # items for each process between the first that is not done and the last
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


def in_processes(
    many: int, function: Callable[..., T], items: Iterable[tuple[Any, ...]]
) -> Iterator[T]:
    """What `itertools.starmap` yields, worked out by `many` processes. Raises WorkerDied.

    No item is taken long before it can be begun. None of the processes is left when this is
    closed, or this process ends in any way. (A process that ends while it writes to a pool of
    concurrent.futures leaves that waiting for ever: others hold the pipe as well.)
    """
    import multiprocessing  # dear to import, seldom asked for

    fork = multiprocessing.get_context("fork")  # it knows the user's patches
    workers: dict[Connection, ForkProcess] = {}
    try:
        for _ in range(many):
            here, there = fork.Pipe()
            arguments = (os.getpid(), function, there, [*workers, here])
            process = fork.Process(target=_serve, args=arguments, daemon=True)
            with held_back():
                process.start()
                workers[here] = process
            there.close()
        yield from _results(list(workers), items)
    finally:
        for pipe, process in workers.items():
            process.kill()  # it has nothing of its own
            pipe.close()
            process.join()


def _results(pipes: list[Connection], items: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """The results in the order of the items; each process has one item waiting."""
    from multiprocessing.connection import wait

    ahead, taken, due, done = enumerate(items), 0, 0, dict[int, Any]()
    todo = dict.fromkeys(pipes, 0)
    try:
        while True:
            for pipe in 2 * pipes:
                # Nobody goes on for ever while the first is slow.
                if todo[pipe] < 2 and taken - due < _WINDOW * len(pipes):
                    for numbered in islice(ahead, 1):
                        pipe.send(numbered)
                        todo[pipe] += 1
                        taken += 1
            if not any(todo.values()):
                return
            ready = wait([pipe for pipe, some in todo.items() if some])
            for pipe in [pipe for pipe in pipes if pipe in ready]:
                number, fine, result = pipe.recv()
                if not fine:
                    raise result
                done[number] = result
                todo[pipe] -= 1
            while due in done:
                yield done.pop(due)
                due += 1
    except (EOFError, ConnectionError):
        raise WorkerDied from None


def _serve(
    parent: int, function: Callable[..., Any], pipe: Connection, ours: list[Connection]
) -> None:
    """One of the processes. It must not hold the other ends of the pipes."""
    follow(parent)
    for end in ours:
        end.close()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            number, item = pipe.recv()
            try:
                told = number, True, function(*item)
            except Exception as error:
                told = number, False, error
            try:
                pipe.send(told)
            except (TypeError, AttributeError, ValueError) as error:  # it cannot be sent
                pipe.send((number, False, RuntimeError(f"{type(error).__name__}: {error}")))
