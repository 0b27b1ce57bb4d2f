"""The states that a search has found, in order: a fingerprint, the state before, the event.

Nothing else is kept of a state. Whoever wants to go on from one walks to it again: states
that were found one after the other have most of their ways in common.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from harness.search.visited import Visited


class Tree:
    """States by number; 0 is the one in which everything begins."""

    __slots__ = ("parents", "visited", "ways")

    def __init__(self, root: int) -> None:
        self.visited = Visited()
        self.parents, self.ways = array("I"), array("H")
        self.add(root, 0, 0)

    def __len__(self) -> int:
        return len(self.parents)

    def add(self, fingerprint: int, parent: int, event: int) -> bool:
        """Remember a state and how it was found; False if it is known."""
        if not self.visited.add(fingerprint):
            return False
        self.parents.append(parent)
        self.ways.append(event)
        return True

    def extend(
        self, fingerprints: Iterable[int], parents: Iterable[int], events: Iterable[int]
    ) -> None:
        """Remember states, the same way."""
        add, parent_of, way_to = self.visited.add, self.parents.append, self.ways.append
        for fingerprint, parent, event in zip(fingerprints, parents, events, strict=True):
            if add(fingerprint):
                parent_of(parent)
                way_to(event)

    def chain(self, index: int) -> list[int]:
        """The states on the way to one, the first one left out."""
        out = []
        while index:
            out.append(index)
            index = self.parents[index]
        out.reverse()
        return out

    def way(self, index: int) -> list[int]:
        """The events that lead to a state."""
        return [self.ways[n] for n in self.chain(index)]

    @property
    def size(self) -> int:
        """Bytes that all this takes."""
        ways = len(self) * (self.parents.itemsize + self.ways.itemsize)
        return self.visited.size + ways
