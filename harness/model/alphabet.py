"""Events by who can do them where: what the alphabets of all architectures have in common."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from harness.model.tasks import GUEST, KERNEL, USER
from harness.model.verbs import Verb
from harness.model.world import Event, World

# Where somebody can do something: a mode of his CPU by name, which is not the number of one.
MODES = {USER: "user", KERNEL: "kernel", GUEST: "guest"}


class EventTable:
    """The events of some groups in a world. A value that is None is the search's to make up."""

    def __init__(self, world: World, groups: tuple[str, ...]) -> None:
        self.groups = groups
        self.world = world
        self.cpus = world.settings.get("cpus", (1, 1))[1]
        self.tasks = (*(name for name, _ in world.tasks), *world.unborn)
        self._numbers: dict[Event, int] = {}
        self._at: dict[tuple[str, Hashable], list[int]] = {}

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(self._numbers)

    def add(self, who: str, where: Hashable, verb: str, *args: object) -> None:
        """What `who` can do in this mode of its CPU."""
        self._add(who, where, (who, verb, args))

    def add_of_cpu(self, cpu: int, current: str, verb: str, *args: object) -> None:
        """What can happen to a CPU while `current` is current there."""
        self._add(current, cpu, (f"cpu{cpu}", verb, args))

    def _add(self, who: str, where: Hashable, event: Event) -> None:
        number = self._numbers.setdefault(event, len(self._numbers))
        self._at.setdefault((who, where), []).append(number)

    def switches(self, cpu: int) -> None:
        """The scheduler's choices; the next task goes on at once, or is in the kernel yet."""
        for prev, following in itertools.permutations((*self.tasks, f"idle{cpu}"), 2):
            for verb in ("switch", "sched_switch"):
                self.add_of_cpu(cpu, prev, verb, *map(_name, (prev, following)))

    def at(self, who: str, *wheres: Hashable) -> Iterable[int]:
        """The numbers of what somebody can do."""
        for where in wheres:
            yield from self._at.get((who, where), ())


class Reach:
    """What an event has to do with: a bit for each CPU, task and vcpu; 0 may be everybody.

    `led_to` tells whom the pointers of a CPU lead to, by name.
    """

    def __init__(
        self, m: Any, verbs: Mapping[str, Verb], led_to: Callable[[int], Iterable[str]]
    ) -> None:
        self.m, self.verbs, self.led_to = m, verbs, led_to
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


def _name(name: str) -> str:
    return "idle" if name.startswith("idle") else name
