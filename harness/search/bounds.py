"""How far a search goes and on what, and what it finds there."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import NamedTuple

from harness.model.base import Violation
from harness.model.catalogue import Kernel
from harness.model.world import Event, World
from harness.search.canon import FRESHEST
from harness.search.play import Way

MOST_ORDERS = 3000  # beyond, they take longer than the states that they spare
DEEPEST = FRESHEST


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a search goes, and on what.

    With an `other` kernel, what is looked for is a difference between the two; with a `way`,
    a violation of this way alone. A `plain` search runs the model for every step; another one
    compares every `verify`-th step with the model (0: none).
    """

    arch: str
    kernel: Kernel
    mode: str
    world: World
    groups: tuple[str, ...]
    depth: int
    budget: tuple[str, ...] = ()  # counters that must not grow
    noted: tuple[str, ...] = ()  # those that may, but the first time is told
    excepted: tuple[str, ...] = ()  # kinds of violations that are not looked for
    other: Kernel | None = None
    symmetry: bool = True
    commuting: bool = True
    way: Way | None = None
    plain: bool = False
    verify: int = 0


def orders(world: World) -> int:
    """In how many orders CPUs, tasks and vcpus can be put; symmetry is all of them tried."""
    cpus = world.settings.get("cpus", (1, 1))[1]
    tasks = len(world.tasks) + len(world.unborn)
    return factorial(cpus) * factorial(tasks) * factorial(len(world.vcpus))


class Found(NamedTuple):
    """A violation, and the events that lead to it; none shorter does."""

    violation: Violation
    events: tuple[Event, ...]
