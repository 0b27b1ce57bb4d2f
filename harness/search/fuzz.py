"""Random walks: long sequences of events, beyond what a search can exhaust.

A walk is all in its seed and its number, so that it can be walked again. Where something goes
wrong it takes the step back and goes on another way: one bug does not hide the next. Each walk
has some groups of events and not others, as the toss of a coin says: events that end much (a task's
exit) are rare then, and those that are left meet more often (A. Groce and others, "Swarm testing",
ISSTA 2012).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import NamedTuple

from harness.errors import HarnessError
from harness.model import architecture
from harness.model.base import Refused, Violation
from harness.model.world import Event
from harness.processes import WorkerDied, in_processes
from harness.search.bounds import Bounds, Found
from harness.search.canon import FRESHEST
from harness.search.explorer import happening
from harness.search.play import Way, way_of

LONGEST = FRESHEST
STRIDE = 16  # steps between two states that are kept to go back to


class Walk(NamedTuple):
    """What one walk came to: its length, and the first violation of each way."""

    number: int
    length: int
    found: tuple[Found, ...]


class Walker:
    """Walks within bounds, of which the depth is the length of a walk."""

    def __init__(self, bounds: Bounds, seed: int) -> None:
        arch = architecture(bounds.arch)
        self.explorable = arch.explorable
        if self.explorable is None:
            raise HarnessError(f"fuzz: nobody has said yet which events {bounds.arch} has")
        self.bounds, self.seed = bounds, seed
        self.model = arch.machine(bounds.kernel, bounds.mode, bounds.world, False)
        self.beginning = self.model.capture()

    def walk(self, number: int) -> Walk:
        """The walk of this number."""
        # A text as a seed gives the same numbers on every Python.
        random = Random(f"{self.seed}/{number}")
        self._groups(tuple(g for g in self.bounds.groups if random.random() < 0.5))
        self.model.restore(self.beginning)
        kept = self.beginning
        events: list[Event] = []
        found: dict[Way, Found] = {}
        bad: set[int] = set()  # what has gone wrong after these events
        while len(events) < self.bounds.depth:
            choice = self._choice(random, bad)
            if choice is None:
                break
            event = happening(self.events[choice], len(events) + 1)
            try:
                violations = self._apply(event, len(events) + 1)
            except Refused:
                bad.add(choice)
                continue
            if violations:
                for violation in violations:
                    story = Found(violation, (*events, event))
                    found.setdefault(way_of(violation), story)
                bad.add(choice)
                self.model.restore(kept)
                first = len(events) // STRIDE * STRIDE
                for step, again in enumerate(events[first:], first + 1):
                    self._apply(again, step)
                continue
            events.append(event)
            bad.clear()
            if len(events) % STRIDE == 0:
                kept = self.model.capture()
        return Walk(number, len(events), tuple(found.values()))

    def _groups(self, groups: tuple[str, ...]) -> None:
        assert self.explorable is not None
        bounds = self.bounds
        self.alphabet = self.explorable.alphabet(bounds.world, groups or bounds.groups)
        self.events = self.alphabet.events

    def _choice(self, random: Random, bad: set[int]) -> int | None:
        """Who, then the verb, then with what: or most that happens would be switches."""
        actors: dict[str, dict[str, list[int]]] = {}
        for number in self.alphabet.enabled(self.model):
            if number not in bad:
                actor, verb, _ = self.events[number]
                actors.setdefault(actor, {}).setdefault(verb, []).append(number)
        if not actors:
            return None
        verbs = random.choice(list(actors.values()))
        return random.choice(random.choice(list(verbs.values())))

    def _apply(self, event: Event, step: int) -> list[Violation]:
        model = self.model
        model.step = step
        model.violations.clear()
        model.apply(*event)
        excepted = self.bounds.excepted
        return [v for v in (*model.violations, *model.check()) if v.kind not in excepted]


def walks(bounds: Bounds, seed: int, numbers: Iterable[int], jobs: int) -> Iterator[Walk]:
    """The walks of these numbers, in their order, by `jobs` processes.

    No number is taken from `numbers` long before its walk can begin. Raises HarnessError if a
    process is killed.
    """
    walk = Walker(bounds, seed).walk
    if jobs == 1:
        yield from map(walk, numbers)
        return
    try:
        yield from in_processes(jobs, walk, ((number,) for number in numbers))
    except WorkerDied:
        raise HarnessError(
            "fuzz: one of the processes was killed, perhaps for lack of memory; use a smaller -j"
        ) from None
