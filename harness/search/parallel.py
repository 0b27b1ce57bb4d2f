"""The same search by several processes, with the same result.

Every process has all the states. Each goes on from a part of them, and what they find is put
together in the order in which one alone would have found it, and told to all. They go on from the
next part of a level while that is done: what they have not been told yet can only be found twice.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from harness.errors import HarnessError
from harness.processes import follow, held_back
from harness.search.bounds import Bounds
from harness.search.explore import Search
from harness.search.explorer import Explorer, Slice
from harness.search.tree import Tree

ALONE = 1 << 13  # states that one process begins with: what it learns of the model, all know
PARTS = 2  # that each process is given at a time, so that nobody waits long for the slowest


class ParallelSearch(Search):
    """A search by `jobs` processes."""

    def __init__(self, bounds: Bounds, every: bool, jobs: int) -> None:
        super().__init__(bounds, every)
        self.jobs = jobs
        self._workers: list[tuple[Any, Connection]] = []
        self._asked: tuple[int, int, int] | None = None  # start, end and depth
        self._untold: list[Slice] = []

    def run(self) -> Any:
        try:
            return super().run()
        finally:
            self._end()

    def _start(self) -> None:
        """Processes that know what is known so far."""
        fork = multiprocessing.get_context("fork")
        parent = os.getpid()
        for _ in range(self.jobs):
            here, there = fork.Pipe()
            ours = [pipe for _, pipe in self._workers] + [here]
            process = fork.Process(
                target=_work, args=(parent, self.explorer, self.tree, there, ours), daemon=True
            )
            with held_back():
                process.start()
                self._workers.append((process, here))
            there.close()

    def _end(self) -> None:
        for process, pipe in self._workers:
            process.terminate()  # it has nothing of its own, and may be in the middle of a slice
            pipe.close()
            process.join()
        self._workers = []

    def slices(self, start: int, end: int, depth: int) -> Iterator[Slice]:
        if start < ALONE and not self._workers:
            yield from super().slices(start, end, depth)
            return
        if not self._workers:
            self._start()
        try:
            if self._asked is None:
                self._ask(start, end, depth)
            assert self._asked == (start, end, depth)
            done = [pipe.recv() for _, pipe in self._workers]
            self._asked = None
            if end < self.tally.end:  # the rest of the level is known to all
                self._ask(end, min(end + self.batch, self.tally.end), depth)
        except (EOFError, OSError):
            raise HarnessError(
                "explore: a process of the search was killed, perhaps for lack of memory; "
                "use a smaller -j"
            ) from None
        for told in done:
            if isinstance(told, HarnessError):
                raise told
        every = [done[n % self.jobs][n // self.jobs] for n in range(PARTS * self.jobs)]
        yield from every
        self._untold += every

    def _ask(self, start: int, end: int, depth: int) -> None:
        """Let all who wait go on from these states, after what they have not been told."""
        parts = PARTS * self.jobs
        cuts = [start + (end - start) * n // parts for n in range(parts + 1)]
        for n, (_, pipe) in enumerate(self._workers):
            pipe.send((self._untold, depth, list(itertools.pairwise(cuts))[n :: self.jobs]))
        self._untold = []
        self._asked = start, end, depth


def _work(
    parent: int, explorer: Explorer, tree: Tree, pipe: Connection, ours: list[Connection]
) -> None:
    """One of the processes: learn what all have found, then go on from some states.

    It ends with the one that has started it, however that ends: it must not hold
    the other ends of the pipes.
    """
    follow(parent)
    for end in ours:
        end.close()
    with contextlib.suppress(EOFError, OSError):
        while True:
            told, depth, slices = pipe.recv()
            for found in told:
                tree.extend(found.fingerprints, found.parents, found.events)
            try:
                pipe.send([explorer.slice(tree, start, end, depth) for start, end in slices])
            except HarnessError as error:  # of a user's patch
                pipe.send(error)
