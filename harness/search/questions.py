"""Decision trees: what is asked of a state, and what is at the end for all that answer alike.

A tree asks about one part after the other, by its identity or by the fields that were read of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from harness.model.base import Violation
from harness.search.canon import Part
from harness.search.tracked import Fields

Parts = tuple[Part, ...]


class Write(NamedTuple):
    """What is written to one object: a number for it, and the fields with what they hold then."""

    slot: int
    number: int
    fields: tuple[tuple[int, Any], ...]


class Leaf:
    """What an event comes to in some states, or the answer to another question about them."""

    __slots__ = ("beside", "happened", "reach", "refused", "value", "writes")

    def __init__(self, value: Any = None) -> None:
        self.value = value
        self.refused = False
        self.reach = 0
        self.beside = 0
        self.happened: list[Violation] = []
        self.writes: tuple[Write, ...] = ()


class Fork:
    """A question: what stands in these fields of this part?"""

    __slots__ = ("by_keys", "by_part", "fields", "slot")

    def __init__(self, slot: int, fields: tuple[int, ...]) -> None:
        self.slot, self.fields = slot, fields
        self.by_part: dict[Part, Fork | Leaf] = {}
        self.by_keys: dict[tuple[int, ...], Fork | Leaf] = {}

    def of(self, part: Part) -> Fork | Leaf | None:
        """Where a part leads by its fields; next time it does by itself."""
        keys = part.keys
        found = self.by_keys.get(tuple([keys[f] for f in self.fields]))
        if found is not None:
            self.by_part[part] = found
        return found


Roots = dict[Any, "Fork | Leaf"]


def look(tree: Fork | Leaf | None, parts: Parts) -> Leaf | None:
    """The leaf for a state, None if nobody has asked yet."""
    while isinstance(tree, Fork):
        part = parts[tree.slot]
        tree = tree.by_part.get(part) or tree.of(part)
    return tree


def learn(roots: Roots, key: Any, reads: Fields, parts: Parts, leaf: Leaf) -> None:
    """Let a leaf be found for all states with the same in the fields that were read."""
    left = {slot: set(fields) for slot, fields in reads.items()}
    hang: Callable[[Fork | Leaf], None] = functools.partial(roots.__setitem__, key)
    node = roots.get(key)
    while isinstance(node, Fork):
        left.get(node.slot, set()).difference_update(node.fields)
        hang = _hook(node, parts)
        keys = parts[node.slot].keys
        node = node.by_keys.get(tuple([keys[f] for f in node.fields]))
    for slot, fields in left.items():
        if fields:
            fork = Fork(slot, tuple(sorted(fields)))
            hang(fork)
            hang = _hook(fork, parts)
    hang(leaf)


def _hook(fork: Fork, parts: Parts) -> Callable[[Fork | Leaf], None]:
    """Where to hang what comes after a question, for a state."""
    part = parts[fork.slot]
    keys = tuple([part.keys[f] for f in fork.fields])

    def hang(found: Fork | Leaf) -> None:
        fork.by_keys[keys] = fork.by_part[part] = found

    return hang
