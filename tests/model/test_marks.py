"""Every field that points at somebody is marked (model/marks.py), and no other.

The same events happen on two machines. On the second the tasks and vcpus have other names and are
made in another order, and the CPUs have changed places. A field in which what corresponds differs
is one that points at somebody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from harness.model import architecture
from harness.model.anatomy import Anatomy
from harness.model.marks import Mark
from harness.model.saving import Who
from harness.model.values import Bank, Val
from tests.model.walks import SETUPS, Setup

# Two hosts are no places that CPUs can change.
SEVERAL = {name: setup for name, setup in SETUPS.items() if "two" not in name}
CPUS = {"cpu0": "cpu1", "cpu1": "cpu0", "idle0": "idle1", "idle1": "idle0"}


class Difference(NamedTuple):
    """What a field holds on the two machines."""

    cls: type
    field: str
    values: tuple[Any, Any]


class Mirror:
    """A walk, and a machine that mirrors it."""

    def __init__(self, setup: Setup, seed: int) -> None:
        world = setup.world
        everyone = (*(name for name, _ in world.tasks), *world.unborn)
        vcpus = [name for name, *_ in world.vcpus]
        self.names = CPUS | {name: f"some{n}" for n, name in enumerate((*everyone, *vcpus))}
        # On RISC-V a vcpu's number in its VM is its hart id, which guests see.
        order = -1 if setup.arch == "arm64" else 1
        other = world._replace(
            tasks=tuple(
                (self.names[name], 1 - cpu if cpu >= 0 else cpu)
                for name, cpu in reversed(world.tasks)
            ),
            unborn=tuple(map(self.names.__getitem__, world.unborn)),
            vcpus=tuple((self.names[v], self.names[t], f) for v, t, f in world.vcpus[::order]),
            vms=world.vms[::order],
        )
        self.way = setup.walk(seed, 0)
        self.models = self.way.model, setup._replace(world=other).machine()
        explorable = architecture(setup.arch).explorable
        assert explorable is not None
        self.one, self.other = map(explorable.anatomy, self.models)

    def renamed(self, value: Any) -> Any:
        """A part of an event, with the other names in it."""
        if isinstance(value, tuple):
            return tuple(map(self.renamed, value))
        return self.names.get(value, value) if isinstance(value, str) else value

    def who(self, who: Who | None) -> Who | None:
        """Who corresponds to somebody of the first machine."""
        if who is None:
            return None
        name = next(name for name, each in self.one.names.items() if each == who)
        return self.other.names[self.names[name]]

    def step(self) -> None:
        before = len(self.way.events)
        self.way.step()
        for event in self.way.events[before:]:
            self.models[1].step = before + 1
            self.models[1].apply(*self.renamed(event))

    def differences(self) -> Iterator[Difference]:
        """The fields of corresponding objects in which these differ."""
        of: dict[Who | None, list[Any]] = {}
        for who, each in zip(self.other.about, self.models[1].saved.objects, strict=True):
            of.setdefault(who, []).append(each)
        saved = self.models[0].saved
        for who, mine, names in zip(saved.about, saved.objects, saved.fields, strict=True):
            theirs = of[self.who(who)].pop(0)
            for name in names:
                values = getattr(mine, name), getattr(theirs, name)
                if not self.alike(*values):
                    yield Difference(type(mine), name, values)

    def alike(self, mine: Any, theirs: Any) -> bool:
        """Whether both are the same but for whom the values in them have been made for."""
        if isinstance(mine, Val):
            made = self.one.value(mine.bits)
            if made is None:
                return bool(mine.bits == theirs.bits)
            return self.who(made) == self.other.value(theirs.bits)
        if isinstance(mine, Bank):
            mine, theirs = (tuple(sorted(bank.regs.items())) for bank in (mine, theirs))
        if isinstance(mine, tuple) and isinstance(theirs, tuple):
            return len(mine) == len(theirs) and all(map(self.alike, mine, theirs))
        return bool(mine == theirs)


def mirrored(setup: Setup) -> Iterator[Mirror]:
    """What a few walks come through."""
    for seed in range(6):
        mirror = Mirror(setup, seed)
        for _ in range(40):
            mirror.step()
            yield mirror


def marks_of(anatomy: Anatomy, fields: tuple[tuple[str, ...], ...]) -> dict[tuple[type, str], Mark]:
    every = zip(anatomy.classes, fields, anatomy.marks, strict=True)
    return {
        (cls, name): mark
        for cls, names, marks in every
        for name, mark in zip(names, marks, strict=True)
        if mark is not None
    }


@pytest.mark.one_in(8)
@pytest.mark.parametrize("setup", SEVERAL.values(), ids=SEVERAL)
def test_what_points_at_somebody_is_marked(setup: Setup) -> None:
    """And it points at those who correspond."""
    for mirror in mirrored(setup):
        marks = marks_of(mirror.one, mirror.models[0].saved.fields)
        for cls, field, (mine, theirs) in mirror.differences():
            assert (cls, field) in marks, f"{cls.__name__}.{field}: {mine} and {theirs}"
            mark = marks[cls, field]
            who = mirror.who(mirror.one.target(mark, mine))
            assert who is not None, f"{cls.__name__}.{field}: {mine}"
            assert mirror.other.target(mark, theirs) == who, f"{cls.__name__}.{field}"


@pytest.mark.long
@pytest.mark.parametrize("arch", ["arm64", "riscv"])
def test_what_is_marked_points_at_somebody(arch: str) -> None:
    wanted: set[tuple[type, str]] = set()
    found: set[tuple[type, str]] = set()
    for setup in SEVERAL.values():
        if setup.arch == arch:
            for mirror in mirrored(setup):
                wanted |= marks_of(mirror.one, mirror.models[0].saved.fields).keys()
                found |= {(cls, field) for cls, field, _ in mirror.differences()}
    assert {f"{cls.__name__}.{field}" for cls, field in wanted - found} == set()
