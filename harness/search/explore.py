"""Every legal sequence of events up to a length, breadth first.

A level is what can be reached by so many events and by no fewer, so the first violation is
one that no shorter sequence leads to. States that are the same but for names count once
(`canon`), and of each only a fingerprint and the way to it are kept (`tree`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from harness.dsl.heading import settings
from harness.model.base import Violation
from harness.model.world import Event
from harness.search.bounds import Bounds, Found
from harness.search.explorer import Slice
from harness.search.memo import explorer_of
from harness.search.play import Way, way_of
from harness.search.tree import Tree

BATCH = 4096


@dataclass(slots=True)
class Tally:
    """What a search has come to so far."""

    transitions: int = 0
    depth: int = 0  # the last level that is complete
    start: int = 0  # of the level that is gone on from, by number of the state
    at: int = 0  # how far in it
    end: int = 1
    seconds: float = 0.0
    found: dict[Way, tuple[Violation, int, int]] = field(default_factory=dict)
    costs: dict[str, tuple[Violation, int, int]] = field(default_factory=dict)

    @property
    def exhausted(self) -> bool:
        """Nothing is left to be tried, at any depth."""
        return self.start == self.end


class Search:
    """The search itself, level by level, in one process. `tally` is what it has come to.

    It ends with the level in which something is found, unless it is to find `every` way in
    which something goes wrong: then nobody goes on from where something has gone wrong.
    """

    def __init__(self, bounds: Bounds, every: bool = False) -> None:
        self.bounds, self.every = bounds, every
        self.batch = BATCH
        self.explorer = explorer_of(bounds)
        self.tree = Tree(self.explorer.root())
        self.tally = Tally()
        self.after_batch: list[Callable[[Search], None]] = []
        self.meant: Callable[[Found], bool] = lambda found: True
        # After so many events it went wrong in this way by another bug: nobody has gone on.
        self.pruned = 0

    def run(self) -> Tally:
        """To the end."""
        tally = self.tally
        began = time.monotonic() - tally.seconds
        while tally.depth < self.bounds.depth and not tally.exhausted:
            while tally.at < tally.end:
                end = min(tally.at + self.batch, tally.end)
                for found in self.slices(tally.at, end, tally.depth + 1):
                    self._take(found)
                tally.at = end
                tally.seconds = time.monotonic() - began
                for look in self.after_batch:
                    look(self)
            tally.depth += 1
            tally.start, tally.end = tally.end, len(self.tree)
            if tally.found and not self.every:
                break
        tally.seconds = time.monotonic() - began
        return tally

    def slices(self, start: int, end: int, depth: int) -> Iterator[Slice]:
        """What these states lead to, in their order."""
        yield self.explorer.slice(self.tree, start, end, depth)

    def _take(self, found: Slice) -> None:
        self.tally.transitions += found.transitions
        self.tree.extend(found.fingerprints, found.parents, found.events)
        for parent, event, violations in found.wrong:
            for violation in violations:
                way = way_of(violation)
                if way in self.tally.found:
                    continue
                if self.meant(Found(violation, self.events_to(parent, event))):
                    self.tally.found[way] = violation, parent, event
                else:
                    self.pruned = self.pruned or self.tally.depth + 1
        for parent, event, cost in found.costs:
            self.tally.costs.setdefault(cost.what, (cost, parent, event))

    def found(self) -> list[Found]:
        """What has gone wrong, the shortest way first."""
        return self._told(self.tally.found.values())

    def costs(self) -> list[Found]:
        """What was not due though nothing went wrong by it, each once, the shortest way."""
        return self._told(self.tally.costs.values())

    def _told(self, found: Iterable[tuple[Violation, int, int]]) -> list[Found]:
        return [
            Found(self.explorer.told(events, violation), events)
            for violation, parent, event in found
            for events in (self.events_to(parent, event),)
        ]

    def events_to(self, index: int, last: int) -> tuple[Event, ...]:
        """The events that lead to a state, and one more."""
        numbers = [*self.tree.way(index), last]
        return tuple(self.explorer.event(n, depth) for depth, n in enumerate(numbers, 1))


def summary(bounds: Bounds, tally: Tally, states: int) -> str:
    """The last line, which says no more than was done: how deep is how deep all was tried.

    Nobody goes on from where something is wrong, so what comes after that is not in it.
    """
    world = bounds.world
    people = (
        _plural(world.settings.get("cpus", (1, 1))[1], "CPU"),
        _plural(len(world.tasks) + len(world.unborn), "task"),
        _plural(len(world.vcpus), "vcpu"),
    )
    spans = {name: span for name, span in world.settings.items() if name != "cpus"}
    features = dict.fromkeys(f for _, _, those in world.vcpus for f in those)
    parts = [
        settings(spans, world.words),
        f"vcpus with {' '.join(features)}" if features else "",
        f"events {','.join(bounds.groups)}",
        f"but for {', '.join(bounds.excepted)}" if bounds.excepted else "",
    ]
    rate = states / tally.seconds if tally.seconds else 0.0
    counts = f"{states} states, {tally.transitions} transitions, {tally.seconds:.1f} s, "
    counts += f"{rate:.0f} states/s"
    what = "violation" if bounds.other is None else "difference"
    head = f"no {what}"
    if tally.found:
        head = _plural(len(tally.found), what)
    if tally.costs:
        head += f", {_plural(len(tally.costs), 'cost')}"
    depth = "at any depth" if tally.exhausted else f"depth {tally.depth}"
    if tally.found:
        depth += ", not counting what comes after one"
    what = "; ".join(part for part in parts if part)
    return f"{head} within {', '.join(people)} ({what}), {depth}: {counts}"


def _plural(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
