"""The same search on the machines of a dask cluster, with the same result.

A worker keeps nothing of the search: it is sent a few hundred states, as the ways that lead to
them, and sends back all that can happen next. So one that dies is replaced by any other, and
what was found is put together here, once and in the order of one process alone.
"""

from __future__ import annotations

import pickle
import threading
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import __version__
from harness.errors import HarnessError
from harness.model.patch import adopt, forget, loaded
from harness.search.bounds import Bounds
from harness.search.explore import Search
from harness.search.explorer import Explorer, Slice
from harness.search.memo import explorer_of
from harness.search.sources import digest
from harness.search.tree import Tree

if TYPE_CHECKING:
    from distributed import Client

SOME = 512  # states that are sent at a time: a tenth of a second of work
SECONDS = 5  # to reach the scheduler
LOOK = 5.0  # seconds without a result, before somebody looks for workers


class Batch(NamedTuple):
    """States to go on from: the last `many` of a tree that has nothing but the ways to them."""

    parents: array[int]
    ways: array[int]
    many: int


def connect(address: str) -> Client:
    """A client of the scheduler there. Raises HarnessError."""
    try:
        from distributed import Client
    except ImportError:
        raise HarnessError(
            "--scheduler needs dask.distributed: pip install 'kvm-replay[cluster]'"
        ) from None
    try:
        client = Client(address, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HarnessError(f"--scheduler {address[:80]!r}: {why}") from None
    if not client.nthreads():
        client.close()
        raise HarnessError(f"--scheduler {address[:80]!r}: it has no workers")
    return client


class ClusterSearch(Search):
    """A search by the workers of a cluster."""

    def __init__(self, bounds: Bounds, every: bool, client: Client) -> None:
        super().__init__(bounds, every)
        self.client = client
        patches = [(patch.name, patch.source) for patch in loaded()]
        self.told = pickle.dumps((patches, bounds))
        # Enough for each to have something to do while others end.
        self.batch = max(self.batch, 4 * SOME * sum(client.nthreads().values()))

    def slices(self, start: int, end: int, depth: int) -> Iterator[Slice]:
        if end - start < SOME:
            yield from super().slices(start, end, depth)
            return
        batches = []
        numbers = []
        for first in range(start, end, SOME):
            batch, old = _batch(self.tree, first, min(first + SOME, end))
            batches.append(batch)
            numbers.append(old)
        # Not pure: dask would take two batches of equal bytes for one.
        futures = [
            self.client.submit(_work, digest(), self.told, b, depth, pure=False) for b in batches
        ]
        try:
            for future, old in zip(futures, numbers, strict=True):
                found: Slice | str = self._result(future)
                if isinstance(found, str):
                    raise HarnessError(
                        f"--scheduler: install this kvm-replay on the workers: one has {found}"
                    )
                yield found._replace(
                    parents=array("I", (old[n] for n in found.parents)),
                    wrong=[(old[n], event, what) for n, event, what in found.wrong],
                    costs=[(old[n], event, what) for n, event, what in found.costs],
                )
        except HarnessError:
            raise
        except Exception as error:
            # What dask raises for a worker that cannot do it has many names.
            raise HarnessError(f"--scheduler: {type(error).__name__}: {error}") from error
        finally:
            self.client.cancel(futures)

    def _result(self, future: Any) -> Any:
        """What a worker sends back, unless there are no workers left to wait for."""
        missing = 0
        while True:
            try:
                return future.result(timeout=LOOK)
            except TimeoutError:
                if future.done():
                    raise  # the worker's own
            # One that has died may come back at once, if somebody starts it again.
            missing = 0 if self.client.nthreads() else missing + 1
            if missing == 2:
                raise HarnessError("--scheduler: all its workers have ended") from None


def _batch(tree: Tree, first: int, end: int) -> tuple[Batch, list[int]]:
    """States of a tree with their ways, and the number that each had."""
    wanted = {0}
    for number in range(first, end):
        while number not in wanted:
            wanted.add(number)
            number = tree.parents[number]
    old = sorted(wanted)  # a state has a greater number than the one before it
    new = {number: n for n, number in enumerate(old)}
    parents = array("I", (new[tree.parents[number]] for number in old))
    return Batch(parents, array("H", (tree.ways[number] for number in old)), end - first), old


_making = threading.Lock()  # a worker can have several threads, and patches are everybody's
_explorers: dict[bytes, Explorer] = {}  # of this worker: the last one


def _made(patches: list[tuple[str, str]], bounds: Bounds) -> Explorer:
    """An explorer of a kernel with these changes, whatever the one before had."""
    forget()
    for name, source in patches:
        adopt(name, source)
    return explorer_of(bounds)


def _work(wanted: str, told: bytes, batch: Batch, depth: int) -> Slice | str:
    """What can happen next in these states; which kvm-replay is here, if it is another."""
    if wanted != digest():
        return f"version {__version__}, sources {digest()[:12]}, here {wanted[:12]}"
    patches, bounds = pickle.loads(told)
    with _making:
        explorer = _explorers.pop(told, None) or _made(patches, bounds)
        _explorers.clear()
    explorer.forget()
    tree = Tree(explorer.root())
    tree.parents, tree.ways = batch.parents, batch.ways
    found = explorer.slice(tree, len(tree) - batch.many, len(tree), depth)
    _explorers[told] = explorer
    return found
