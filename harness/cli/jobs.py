"""`-j N`: the same work by several processes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import starmap
from typing import Any, TypeVar

from harness.errors import HarnessError
from harness.processes import WorkerDied, in_processes

T = TypeVar("T")

EACH = 8  # items that are worth a process: to start one takes as long as a few of them


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """The option."""
    parser.add_argument(
        "-j", dest="jobs", type=_jobs, default=1, metavar="N", help="use N processes"
    )


def _jobs(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 1 to 256")
    return int(text)


@contextmanager
def worked_out(
    jobs: int, function: Callable[..., T], items: Sequence[tuple[Any, ...]]
) -> Iterator[Iterator[T]]:
    """What `itertools.starmap` gives, by so many processes at most; none of them is left behind.

    Raises HarnessError if one is killed.
    """
    many = worth(jobs, len(items))
    if many < 2:
        yield starmap(function, items)
        return
    with closing(_results(many, function, items)) as results:
        yield results


def worth(jobs: int, items: int) -> int:
    """How many of so many processes are worth it."""
    return max(1, min(jobs, items // EACH))


def _results(
    many: int, function: Callable[..., T], items: Sequence[tuple[Any, ...]]
) -> Generator[T, None, None]:
    try:
        yield from in_processes(many, function, items)
    except WorkerDied:
        raise HarnessError(
            "-j: one of the processes was killed, perhaps for lack of memory; "
            "use fewer (-j 1: none)"
        ) from None
