"""`in_processes`: results in order, and an end whatever happens."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import count, islice

import pytest

from harness.processes import WorkerDied, in_processes


def twice(n: int) -> int:
    return 2 * n


def children() -> list[int]:
    """The processes that this one has."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                words = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == os.getpid() and words[0] != "Z":
            found.append(int(name))
    return found


def test_in_order() -> None:
    """However many there are, and none are left."""
    before = children()
    for many in (1, 2, 5):
        assert list(in_processes(many, twice, ((n,) for n in range(50)))) == list(range(0, 100, 2))
    assert list(in_processes(3, twice, [])) == []
    assert children() == before


def test_items_are_taken_when_they_can_be_begun() -> None:
    """There may be endlessly many."""
    taken = []

    def items() -> Iterator[tuple[int]]:
        for n in count():
            taken.append(n)
            yield (n,)

    results = in_processes(2, twice, items())
    assert list(islice(results, 5)) == [0, 2, 4, 6, 8]
    results.close()  # type: ignore[attr-defined]
    assert len(taken) < 40


def test_an_error_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_processes(2, divmod, [(1, 1), (1, 0), (2, 1)]))


def test_what_cannot_be_sent_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="pickle"):
        list(in_processes(2, lambda n: lambda: n, [(1,)]))


def end(n: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return n


def test_a_process_that_is_killed() -> None:
    with pytest.raises(WorkerDied):
        list(in_processes(2, end, [(1,), (2,)]))


def test_one_that_is_killed_while_it_writes() -> None:
    """Half a result keeps nobody waiting."""
    results = in_processes(2, lambda n: bytes(50_000_000), ((n,) for n in range(9)))
    before = set(children())
    next(results)
    workers = sorted(set(children()) - before)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    with pytest.raises(WorkerDied):
        list(results)
    assert set(children()) == before
