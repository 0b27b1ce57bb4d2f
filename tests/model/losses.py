"""Made patches, each of which loses one value at one place where the kernel moves it.

A place is a model function that mirrors a kernel's (`kernel_function`) and a slot that it
changes by itself, not by another such function that it calls. `found()` runs scenarios and
notes every place; `losing()` makes the patch: after the function has run, the slot holds what
it held before, or zero. `reported()` replays the scenarios on the patched machine: an oracle
that judges alone reports each of them, without an `expect`.
"""

from __future__ import annotations

import functools
import operator
import random
import re
import tokenize
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from harness.model.base import Refused, wrapped
from harness.model.values import EMPTY, ZERO, Bank, Val

Event = tuple[str, str, tuple[Any, ...]]
Lose = Callable[[Any, Any], Any]  # of what was there, and what is


class Slot(NamedTuple):
    """A value in some objects of a machine: how to take it, to put it, and ways to lose it."""

    name: str
    objects: Callable[[Any], Iterable[Any]]
    get: Callable[[Any], Any]
    put: Callable[[Any, Any], None]
    ways: dict[str, Lose]


class Scenario(NamedTuple):
    """A machine that is made anew by `fresh`, and legal events that violate nothing on it.

    `another(n)` is one more random walk on the same machine.
    """

    name: str
    cls: type[Any]
    fresh: Callable[[type[Any]], Any]
    events: Sequence[Event]
    another: Callable[[int], Scenario]


@dataclass(frozen=True, eq=False)
class Place:
    """A function, a slot that it changes, and how that is lost."""

    function: str
    slot: Slot
    way: str

    def __str__(self) -> str:
        return f"{self.function} {self.slot.name} {self.way}"


def bits(value: Any) -> Any:
    """A value without provenance."""
    if isinstance(value, Bank):
        return value.key
    if isinstance(value, Val):
        return value.bits
    if isinstance(value, tuple):
        return tuple(bits(v) for v in value)
    return value


def empty(value: Any) -> Any:
    """What stands for a value of this type before there is one."""
    return EMPTY if isinstance(value, Bank) else ZERO if isinstance(value, Val) else type(value)()


# Ways to lose ------------------------------------------------------------------------


def kept(before: Any, after: Any) -> Any:
    return before


SCALAR: dict[str, Lose] = {"kept": kept, "zeroed": lambda before, after: ZERO}
NUMBER: dict[str, Lose] = {"kept": kept, "zeroed": lambda before, after: 0}


def without(numbers: Iterable[int]) -> Lose:
    """A bank without some registers."""
    gone = set(numbers)
    return lambda before, after: Bank({n: q for n, q in after.regs.items() if n not in gone})


def one_gone(before: Any, after: Any) -> Any:
    """The last register of a bank is not moved: it is what it was."""
    numbers = sorted(after.regs.keys() | before.regs.keys())
    differs = [n for n in numbers if bits(after.regs.get(n, ())) != bits(before.regs.get(n, ()))]
    return after.set(differs[-1], before.regs.get(differs[-1], ())) if differs else after


BANK: dict[str, Lose] = {
    "kept": kept,
    "zeroed": lambda before, after: EMPTY,
    "one kept": one_gone,
}
VECTORS: dict[str, Lose] = BANK | {
    "low zeroed": lambda before, after: after.over(EMPTY),
    "high zeroed": lambda before, after: after.limit(1),
}


def field(name: str, objects: Callable[[Any], Iterable[Any]], ways: dict[str, Lose]) -> Slot:
    """A slot that is an attribute; `name` is `kind.attribute`, or a path below one of them."""
    _, *path = name.split(".")

    def get(each: Any) -> Any:
        for part in path:
            each = None if each is None else getattr(each, part)
        return each

    def put(each: Any, value: Any) -> None:
        if len(path) == 2:
            value = getattr(each, path[0])._replace(**{path[1]: value})
        setattr(each, path[0], value)

    return Slot(name, objects, get, put, ways)


def names_of_what_is_due(package: ModuleType, folder: str) -> list[str]:
    """Where modules in a folder of a package name an entitlement."""
    modules = sorted((Path(str(package.__file__)).parent / folder).glob("*.py"))
    assert len(modules) > 5
    found = []
    for module in modules:
        with tokenize.open(module) as source:
            names = {t.string for t in tokenize.generate_tokens(source.readline) if t.type == 1}
        due = re.compile(r"(\w+_)?(due|logical|right|entitled)(_\w+)?")
        found += [f"{module.name}: {name}" for name in sorted(names) if due.fullmatch(name)]
    return found


# Scenarios ---------------------------------------------------------------------------


def aimed_walk(
    model: Any,
    alphabet: Sequence[Event],
    switches: Callable[[], Sequence[Event]],
    fill: Callable[[Event, int], Event],
    rng: random.Random,
    length: int,
    skip: Callable[[Event], str] = lambda event: "",
) -> list[Event]:
    """A random walk on which values move: nobody dies, and nothing is violated.

    Mostly who runs on a CPU does something, each of its verbs as likely as another.
    """
    verbs: dict[str, dict[str, list[Event]]] = {}
    for event in alphabet:
        verbs.setdefault(event[0], {}).setdefault(event[1], []).append(event)
    events: list[Event] = []
    while len(events) < length:
        choice, cpu = rng.random(), rng.randrange(len(model.rqs))
        current = model.tasks[model.rqs[cpu].current]
        who = current.vcpu if current.vcpu and rng.random() < 0.8 else current.name
        if choice < 0.12 or (choice < 0.9 and not verbs.get(who)):
            picked = rng.choice(switches())
        elif choice < 0.9:
            picked = rng.choice(verbs[who][rng.choice(list(verbs[who]))])
        else:
            picked = rng.choice(verbs[f"cpu{cpu}"][rng.choice(list(verbs[f"cpu{cpu}"]))])
        event = fill(picked, len(events) + 1)
        if skip(event):
            continue
        if happens(model, event, len(events) + 1):
            events.append(event)
    return events


def happens(machine: Any, event: Event, step: int) -> bool:
    """Whether this is legal, and violates nothing; if not, it has not happened."""
    before = machine.capture()
    machine.violations.clear()
    machine.step = step
    try:
        machine.apply(*event)
    except Refused:
        machine.restore(before)
        return False
    if machine.violations or machine.fatal or machine.check():
        machine.restore(before)
        return False
    return True


def legal(machine: Any, script: Sequence[Event]) -> list[Event]:
    """The events of a script that a machine does not refuse, and that violate nothing."""
    events: list[Event] = []
    for event in script:
        if happens(machine, event, len(events) + 1):
            events.append(event)
    return events


# Places and patches ------------------------------------------------------------------


def found(scenario: Scenario, slots: Sequence[Slot]) -> dict[tuple[str, str, str], int]:
    """By function, slot and way: how often it would be a loss, of what it does by itself."""
    count: dict[tuple[str, str, str], int] = {}
    stack: list[str] = [""]
    of: dict[int, list[tuple[Slot, Any]]] = {}
    last: list[tuple[Any, ...]] = []
    values: dict[tuple[str, int], Any] = {}

    def look(machine: Any) -> None:
        """Whatever has changed since the last look is the present function's work."""
        now = machine.saved.take()
        for n, fields in enumerate(now):
            if all(map(operator.is_, fields, last[n])):
                continue
            last[n] = fields
            for slot, each in of.get(n, ()):
                key, value = (slot.name, n), slot.get(each)
                was, values[key] = values[key], value
                if value is None or value is was or bits(value) == bits(was):
                    continue
                for way, lose in slot.ways.items():
                    left = lose(empty(value) if was is None else was, value)
                    if bits(left) != bits(value):
                        place = stack[-1], slot.name, way
                        count[place] = count.get(place, 0) + 1

    def wrap(function: Callable[..., Any], name: str) -> Any:
        @functools.wraps(function)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.ready:
                return function(self, *args, **kwargs)
            look(self)
            stack.append(name)
            try:
                return function(self, *args, **kwargs)
            finally:
                look(self)
                stack.pop()

        return call

    machine = scenario.fresh(wrapped(scenario.cls, wrap, {"ready": False}))
    number = {id(each): n for n, each in enumerate(machine.saved.objects)}
    for slot in slots:
        for each in slot.objects(machine):
            n = number[id(each)]
            of.setdefault(n, []).append((slot, each))
            values[slot.name, n] = slot.get(each)
    last += machine.saved.take()
    type(machine).ready = True
    for event in scenario.events:
        machine.apply(*event)
        look(machine)
    return {key: n for key, n in count.items() if key[0]}


def losing(place: Place, lost: list[int]) -> Callable[[type[Any]], type[Any]]:
    """A class of machines on which this function loses what it should have moved.

    `lost` gets an entry whenever that makes a difference.
    """
    slot, lose = place.slot, place.slot.ways[place.way]

    def wrap(function: Callable[..., Any], name: str) -> Any:
        if name != place.function:
            return function

        @functools.wraps(function)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            before = [(each, slot.get(each)) for each in slot.objects(self)]
            try:
                return function(self, *args, **kwargs)
            finally:
                for each, was in before:
                    now = slot.get(each)
                    if now is None or now is was or bits(now) == bits(was):
                        continue
                    after = lose(empty(now) if was is None else was, now)
                    if bits(after) != bits(now):
                        slot.put(each, after)
                        lost.append(self.step)

        return call

    return lambda cls: wrapped(cls, wrap, {})


def reported(place: Place, scenario: Scenario) -> str | None:
    """What the patched machine violates first, '' if nothing shows, None if nothing is lost."""
    lost: list[int] = []
    machine = scenario.fresh(losing(place, lost)(scenario.cls))
    for step, event in enumerate(scenario.events, 1):
        machine.step = step
        machine.violations.clear()
        if machine.dead(event[0]):
            continue
        try:
            machine.apply(*event)
        except Refused:
            continue
        for violation in (*machine.violations, *machine.check()):
            if violation.kind not in ("cost", "expect"):
                return f"{step}: {violation.kind} {violation.who} {violation.what}"
    return "" if lost else None


MORE = 12  # walks on each machine for a loss that nothing has shown yet


class Book:
    """All places of some scenarios, each with the scenarios that come there most often first."""

    def __init__(
        self, scenarios: Sequence[Scenario], slots: Sequence[Slot], unseen: dict[str, str]
    ) -> None:
        self.unseen = [re.compile(pattern) for pattern in unseen]
        self.where: dict[Place, list[tuple[int, Scenario]]] = {}
        named = {slot.name: slot for slot in slots}
        places: dict[tuple[str, str, str], Place] = {}
        for scenario in scenarios:
            for key, n in found(scenario, slots).items():
                function, slot, way = key
                place = places.setdefault(key, Place(function, named[slot], way))
                self.where.setdefault(place, []).append((n, scenario))

    def of(self, function: str) -> list[Place]:
        return [place for place in self.where if place.function == function]

    def silent(self, places: Iterable[Place]) -> list[str]:
        """The losses that nothing reports, though they are none of those that need not be."""
        return [
            f"{place} (in {', '.join(s.name for _, s in self.where[place][:3])})"
            for place in places
            if not any(pattern.fullmatch(str(place)) for pattern in self.unseen)
            and not self._shows(place)
        ]

    def _shows(self, place: Place) -> bool:
        """Nobody may have looked: what no scenario shows gets more walks."""
        there = [s for _, s in sorted(self.where[place], key=lambda pair: -pair[0])]
        if any(reported(place, scenario) for scenario in there):
            return True
        machines = {scenario.name.rpartition(" ")[0]: scenario for scenario in there}
        return any(
            reported(place, scenario.another(n))
            for n in range(MORE)
            for scenario in machines.values()
        )
