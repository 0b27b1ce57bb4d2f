"""Events by who can do them where: what the alphabets of all architectures have in common."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable

from harness.model.world import Event, World


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


def _name(name: str) -> str:
    return "idle" if name.startswith("idle") else name
