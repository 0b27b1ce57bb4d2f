"""What a search needs of an architecture: which events there are, whom each has to do with, and
what states are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model.anatomy import Anatomy
from harness.model.tasks import GUEST, KERNEL, USER
from harness.model.verbs import Try, Verb
from harness.model.world import Event, World

# Where somebody can do something: a mode of his CPU by name, which is not the number of one.
MODES = {USER: "user", KERNEL: "kernel", GUEST: "guest"}


class EventTable:
    """The events of some groups in a world, as the verbs say. None is the search's to make up."""

    def __init__(self, world: World, groups: tuple[str, ...], verbs: Mapping[str, Verb]) -> None:
        self._groups = frozenset(groups)
        self._numbers: dict[Event, int] = {}
        self._at: dict[tuple[str, Hashable], list[int]] = {}
        for kind, names in (("task", world.everybody), ("vcpu", [v for v, *_ in world.vcpus])):
            for who in names:
                for name, verb in verbs.items():
                    if kind in verb.actors and verb.tries is not None:
                        self._add(who, name, verb.tries(world, who, who))
        for cpu in range(world.settings.get("cpus", (1, 1))[1]):
            for name, verb in verbs.items():
                if "cpu" in verb.actors and verb.tries is not None:
                    for current in (*world.everybody, f"idle{cpu}"):
                        tries = verb.tries(world, f"cpu{cpu}", current)
                        self._add(f"cpu{cpu}", name, tries, (current, cpu))

    def _add(
        self, who: str, verb: str, tries: Iterable[Try], at: tuple[str, int] | None = None
    ) -> None:
        """What `who` can do, `at` a CPU by whoever is current there."""
        for groups, args, where in tries:
            if self._groups.issuperset(groups):
                number = self._numbers.setdefault((who, verb, args), len(self._numbers))
                there = self._at.setdefault(at or (who, where), [])
                if number not in there:
                    there.append(number)

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(self._numbers)

    def enabled(self, m: Any) -> list[int]:
        """The numbers of what can happen, as far as one sees from who is where."""
        found: list[int] = []
        if m.oops:
            return found
        for cpu, rq in zip(m.cpus, m.rqs, strict=True):
            task = m.tasks[rq.current]
            if not task.killed:
                found += self._at.get((task.name, MODES[cpu.mode]), ())
            found += self._at.get((task.name, cpu.id), ())
            if task.vcpu and not task.killed:
                found += self._at.get((task.vcpu, MODES[cpu.mode]), ())
        return found


class Reach:
    """What an event has to do with: a bit for each CPU, task and vcpu; 0 may be everybody.

    Events whose reaches have nothing in common lead to the same state in either order, and neither
    of them makes the other possible or impossible.
    """

    def __init__(self, m: Any, anatomy: Anatomy, verbs: Mapping[str, Verb]) -> None:
        self.m, self.verbs, self.led_to = m, verbs, anatomy.led_to
        self.bit = {name: 1 << n for n, name in enumerate((*m.tasks, *m.vcpus))}

    def of(self, event: Event) -> int:
        m, (actor, verb, args) = self.m, event
        touches = self.verbs[verb].touches
        known = actor in m.tasks or actor in m.vcpus
        cpu = m.place(actor) if known else int(actor[3:])
        if not touches or cpu < 0:
            return 0
        found = self.bit[f"idle{cpu}"] | self._of_task(m.rqs[cpu].current)
        for name in self.led_to(cpu):
            found |= self.bit[name]
        if "next" in touches:
            found |= self._of_task(f"idle{cpu}" if args[1] == "idle" else args[1])
        if "vcpu" in touches:
            found |= self.bit[args[1]]
        return found

    def _of_task(self, name: str) -> int:
        vcpu = self.m.tasks[name].vcpu
        return self.bit[name] | (self.bit[vcpu] if vcpu else 0)


@dataclass(frozen=True)
class Explorable:
    """What `kvm-replay explore` needs of an architecture.

    `groups` are those of events, and what they are; `usual` are tried if none are named; `wide` are
    of very many events, each with its verb: for traces that have it alone. `waste` are counters of
    what no kernel needs to do, though nothing goes wrong by it.
    """

    verbs: Mapping[str, Verb]
    anatomy: Callable[[Any], Anatomy]
    groups: dict[str, str]
    usual: tuple[str, ...]
    waste: tuple[str, ...] = ()
    wide: Mapping[str, str] = field(default_factory=lambda: {"onereg": "one_reg_set"})

    def alphabet(self, world: World, groups: tuple[str, ...]) -> EventTable:
        """The events of these groups in a world."""
        return EventTable(world, groups, self.verbs)

    def reach(self, model: Any) -> Callable[[Event], int]:
        """What an event has to do with in the model's present state."""
        return Reach(model, self.anatomy(model), self.verbs).of

    def narrow(self, verbs: Collection[str]) -> tuple[str, ...]:
        """The groups to make another trace of one that has these verbs."""
        wide = self.wide
        return tuple(g for g in self.groups if g not in wide or wide[g] in verbs)
