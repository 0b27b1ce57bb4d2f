"""The same search, or the same walks, on the machines of a dask cluster, with the same result.

A worker keeps nothing of the search: it is sent a few hundred states, as the ways that lead to
them, and sends back all that can happen next. So one that dies is replaced by any other, and
what was found is put together here, once and in the order of one process alone.
"""

from __future__ import annotations

import pickle
import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import __version__
from harness.errors import HarnessError
from harness.model.patch import adopt, forget, loaded
from harness.search.bounds import Bounds
from harness.search.explore import Search
from harness.search.explorer import Explorer, Slice
from harness.search.fuzz import Walk, Walker
from harness.search.memo import explorer_of
from harness.search.sources import digest
from harness.search.tree import Tree

if TYPE_CHECKING:
    from distributed import Client

SOME = 512  # states that are sent at a time: a tenth of a second of work
SECONDS = 5  # to reach the scheduler
WALKS = 16  # the same of walks
AHEAD = 4  # for each worker: what is being worked on, and what waits for it
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


class Workers:
    """The workers of a cluster, who are told the bounds and what was changed of the model."""

    def __init__(self, client: Client, bounds: Bounds) -> None:
        self.client = client
        patches = [(patch.name, patch.source) for patch in loaded()]
        self.told = pickle.dumps((patches, bounds))

    @property
    def many(self) -> int:
        """How much can be worked on at a time."""
        return sum(self.client.nthreads().values())

    def results(self, function: Callable[..., Any], items: Iterable[tuple[Any, ...]]) -> Any:
        """What comes of each item, in order. Raises HarnessError.

        No item is taken long before it can be begun, as long as there are many.
        """
        ahead: deque[Any] = deque()
        most = AHEAD * self.many
        try:
            for item in items:
                # Not pure: dask would take two of equal bytes for one.
                ahead.append(self.client.submit(function, digest(), self.told, *item, pure=False))
                while len(ahead) > most:
                    yield self._result(ahead[0])
                    ahead.popleft()
            while ahead:
                yield self._result(ahead[0])
                ahead.popleft()
        except HarnessError:
            raise
        except Exception as error:
            # What dask raises for a worker that cannot do it has many names.
            raise HarnessError(f"--scheduler: {type(error).__name__}: {error}") from error
        finally:
            self.client.cancel(list(ahead))

    def _result(self, future: Any) -> Any:
        """What a worker sends back, unless there are no workers left to wait for."""
        missing = 0
        while True:
            try:
                found = future.result(timeout=LOOK)
            except TimeoutError:
                if future.done():
                    raise  # the worker's own
                # One that has died may come back at once, if somebody starts it again.
                missing = 0 if self.client.nthreads() else missing + 1
                if missing == 2:
                    raise HarnessError("--scheduler: all its workers have ended") from None
                continue
            if isinstance(found, str):
                raise HarnessError(
                    f"--scheduler: install this kvm-replay on the workers: one has {found}"
                )
            return found


class ClusterSearch(Search):
    """A search by the workers of a cluster."""

    def __init__(self, bounds: Bounds, every: bool, client: Client) -> None:
        super().__init__(bounds, every)
        self.workers = Workers(client, bounds)
        # Enough for each to have something to do while others end.
        self.batch = max(self.batch, AHEAD * SOME * self.workers.many)

    def slices(self, start: int, end: int, depth: int) -> Iterator[Slice]:
        if end - start < SOME:
            yield from super().slices(start, end, depth)
            return
        numbers: deque[list[int]] = deque()

        def batches() -> Iterator[tuple[Batch, int]]:
            for first in range(start, end, SOME):
                batch, old = _batch(self.tree, first, min(first + SOME, end))
                numbers.append(old)
                yield batch, depth

        found: Slice
        for found in self.workers.results(_work, batches()):
            old = numbers.popleft()
            yield found._replace(
                parents=array("I", (old[n] for n in found.parents)),
                wrong=[(old[n], event, what) for n, event, what in found.wrong],
                costs=[(old[n], event, what) for n, event, what in found.costs],
            )


def cluster_walks(
    client: Client, bounds: Bounds, seed: int, numbers: Iterable[int]
) -> Iterator[Walk]:
    """The walks of these numbers, in their order. Raises HarnessError."""
    ahead = iter(numbers)
    batches = iter(lambda: list(islice(ahead, WALKS)), [])
    for found in Workers(client, bounds).results(_walk, ((seed, batch) for batch in batches)):
        yield from found


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


def _other(wanted: str) -> str:
    """Which kvm-replay is here, '' if it is the one that is wanted."""
    if wanted == digest():
        return ""
    return f"version {__version__}, sources {digest()[:12]}, here {wanted[:12]}"


def _bounds(told: bytes) -> Bounds:
    """The bounds, of a kernel with these changes, whatever the one before had."""
    patches, bounds = pickle.loads(told)
    forget()
    for name, source in patches:
        adopt(name, source)
    found: Bounds = bounds
    return found


def _walk(wanted: str, told: bytes, seed: int, numbers: list[int]) -> list[Walk] | str:
    """The walks of these numbers; which kvm-replay is here, if it is another."""
    if other := _other(wanted):
        return other
    with _making:
        walker = Walker(_bounds(told), seed)
    return [walker.walk(number) for number in numbers]


def _work(wanted: str, told: bytes, batch: Batch, depth: int) -> Slice | str:
    """What can happen next in these states; which kvm-replay is here, if it is another."""
    if other := _other(wanted):
        return other
    with _making:
        explorer = _explorers.pop(told, None) or explorer_of(_bounds(told))
        _explorers.clear()
    explorer.forget()
    tree = Tree(explorer.root())
    tree.parents, tree.ways = batch.parents, batch.ways
    found = explorer.slice(tree, len(tree) - batch.many, len(tree), depth)
    _explorers[told] = explorer
    return found
