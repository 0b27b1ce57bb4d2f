"""The same search by several processes, with the same result.

Every process has all the states. Each goes on from a part of them, and what they find is put
together in the order in which one alone would have found it, and told to all.
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

FEW = 256  # states that are not worth being shared out


class ParallelSearch(Search):
    """A search by `jobs` processes."""

    def __init__(self, bounds: Bounds, every: bool, jobs: int) -> None:
        super().__init__(bounds, every)
        self.jobs = jobs
        self._workers: list[tuple[Any, Connection]] = []

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
        if end - start < FEW and not self._workers:
            yield from super().slices(start, end, depth)
            return
        if not self._workers:
            self._start()
        parts = 4 * self.jobs  # so that nobody waits long for the slowest
        cuts = [start + (end - start) * n // parts for n in range(parts + 1)]
        try:
            for n, (_, pipe) in enumerate(self._workers):
                pipe.send((depth, list(itertools.pairwise(cuts))[n :: self.jobs]))
            done = [pipe.recv() for _, pipe in self._workers]
        except (EOFError, OSError):
            raise HarnessError(
                "explore: a process of the search was killed, perhaps for lack of memory; "
                "use a smaller -j"
            ) from None
        for told in done:
            if isinstance(told, HarnessError):
                raise told
        every = [done[n % self.jobs][n // self.jobs] for n in range(parts)]
        yield from every
        for _, pipe in self._workers:
            pipe.send(every)


def _work(
    parent: int, explorer: Explorer, tree: Tree, pipe: Connection, ours: list[Connection]
) -> None:
    """One of the processes: go on from some states, then learn what the others have found.

    It ends with the one that has started it, however that ends: it must not hold
    the other ends of the pipes.
    """
    follow(parent)
    for end in ours:
        end.close()
    with contextlib.suppress(EOFError, OSError):
        while True:
            told = pipe.recv()
            if isinstance(told, list):
                for found in told:
                    columns = zip(found.fingerprints, found.parents, found.events, strict=True)
                    for key, parent, event in columns:
                        tree.add(key, parent, event)
                continue
            depth, slices = told
            try:
                pipe.send([explorer.slice(tree, start, end, depth) for start, end in slices])
            except HarnessError as error:  # of a user's patch
                pipe.send(error)
