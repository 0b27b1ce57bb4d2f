"""Each attribute of a machine is saved, derived, of one step, or constant: model/states.py."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from harness.model.base import Refused
from tests.model.walks import SETUPS, Setup

ARM64 = {name: setup for name, setup in SETUPS.items() if setup.arch == "arm64"}
every_setup = pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
# Set together, by run_on(): which CPU the event happens on.
PLACE = {"cpu", "current", "last", "rq"}


def slots(m: Any) -> set[str]:
    own = [cls.__dict__.get("__slots__", ()) for cls in type(m).__mro__]
    return {name for names in own for name in ([names] if isinstance(names, str) else names)}


def leaves(m: Any, name: str) -> dict[tuple[object, ...], object]:
    """What an attribute is made of, by where it is; an object that is saved is its number."""
    number = {id(each): n for n, each in enumerate(m.saved.objects)}

    def look(value: Any, where: tuple[object, ...]) -> Iterator[tuple[tuple[object, ...], object]]:
        if id(value) in number:
            yield where, ("saved", number[id(value)])
        elif isinstance(value, Mapping):
            for key, each in value.items():
                yield from look(each, (*where, key))
        elif isinstance(value, list | tuple):
            yield where, len(value)
            for key, each in enumerate(value):
                yield from look(each, (*where, key))
        else:
            yield where, value

    return dict(look(getattr(m, name), ()))


def constants(m: Any) -> set[str]:
    return slots(m) - {*m.captured, *m.derived, *m.passing}


@every_setup
def test_what_becomes_of_an_attribute_is_said_once(setup: Setup) -> None:
    m = setup.machine()
    assert not hasattr(m, "__dict__")
    said = [*m.captured, *m.derived, *m.passing]
    assert len(said) == len(set(said))
    assert {name for name in said if not isinstance(getattr(type(m), name), property)} <= slots(m)


@pytest.mark.one_in(8)
@every_setup
def test_what_nothing_is_said_of_never_changes(setup: Setup) -> None:
    for seed in range(3):
        way = setup.walk(seed, 0)
        m = way.model
        before = {name: leaves(m, name) for name in constants(m)}
        for _ in range(60):
            way.step()
        m.snapshot()
        assert {name: leaves(m, name) for name in before} == before


@pytest.mark.one_in(8)
@every_setup
def test_another_machine_goes_on_from_a_captured_state(setup: Setup) -> None:
    """It is the same in everything that a later event could depend on."""
    one, other = (setup.walk(seed, 60).model for seed in (1, 2))
    other.restore(one.capture())
    assert repr(other.capture()) == repr(one.capture())
    for name in slots(one) - {*one.passing, "saved"}:
        assert repr(leaves(other, name)) == repr(leaves(one, name)), name
    for mine, theirs in zip(one.saved.objects, other.saved.objects, strict=True):
        assert repr(mine) == repr(theirs)


def poison(m: Any) -> None:
    """Something that is not there between events, in all that is of one step."""
    m.run_on((m.cpu.id + 1) % len(m.rqs))
    for name in m.passing:
        value = getattr(m, name)
        if isinstance(value, list):
            value.append("poison")
        elif isinstance(value, dict):
            value.clear()
        elif name not in PLACE:
            setattr(m, name, "poison")


def outcome(m: Any, event: Any) -> list[str]:
    """All that comes of an event."""
    before = len(m.violations)
    try:
        m.apply(*event)
    except Refused as error:
        return [str(error)]
    left = [name for name in m.passing if name not in {*PLACE, "violations", "log", "read_back"}]
    return [
        *(f"{name} {getattr(m, name)!r}" for name in left),
        *(repr(m.capture()), repr(m.violations[before:]), repr(m.check())),
    ]


@pytest.mark.one_in(8)
@every_setup
def test_what_is_of_one_step_decides_nothing_in_the_next(setup: Setup) -> None:
    poisoned = setup.machine()
    for seed in range(2):
        way, rng = setup.walk(seed, 20), random.Random(seed)
        m, events = way.model, setup.alphabet()
        for _ in range(12):
            state = m.capture()
            for event in rng.sample(events, 40):
                event = setup.fill(event, len(way.events) + 1)
                if not m.dead(event[0]):
                    m.restore(state)
                    poisoned.restore(state)
                    poison(poisoned)
                    assert outcome(poisoned, event) == outcome(m, event), event
            m.restore(state)
            way.step()


@pytest.mark.one_in(7)
@pytest.mark.parametrize("setup", ARM64.values(), ids=ARM64)
def test_no_event_leaves_interrupts_off(setup: Setup) -> None:
    """Nor softirqs, nor a lock held: what `restore()` clears is clear after each event."""
    flags = ("bh_off", "irqs_off", "rq_locked", "fpsimd_context_busy", "smen_pending")
    for seed in range(3):
        way = setup.walk(seed, 0)
        for _ in range(40):
            way.step()
            for event in (("cpu0", "efi", ("irqs_off",)), ("cpu1", "efi", ("irqs_off",))):
                before = way.model.capture()
                if not way.model.oops:
                    with contextlib.suppress(Refused):
                        way.model.apply(*event)
                assert not any(getattr(way.model, name) for name in flags), event
                way.model.restore(before)
