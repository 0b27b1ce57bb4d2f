"""What a verb says that it touches: spies look at what it changes on random ways."""

from __future__ import annotations

import random

import pytest

from harness.model import ARCHITECTURES, architecture
from harness.model.base import Refused
from harness.model.operands import TASK
from harness.model.verbs import TOUCHES, Verbs
from harness.search.bounds import Bounds
from tests.search.test_counts import cases

EVERY = dict(cases())


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", EVERY)
def test_an_event_changes_what_it_says(name: str) -> None:
    """And nobody else; where it says nothing, anybody."""
    looked = 0
    for seed in range(6):
        looked += spied(EVERY[name], random.Random(f"{name} {seed}"), 60)
    assert looked > 20


def spied(within: Bounds, dice: random.Random, steps: int) -> int:
    """How many events of a random way said what they touch, each of which is held to it."""
    arch = architecture(within.arch)
    explorable = arch.explorable
    assert explorable is not None
    m = arch.machine(within.kernel, within.mode, within.world, False)
    alphabet = explorable.alphabet(within.world, within.groups)
    anatomy, reach = explorable.anatomy(m), explorable.reach(m)
    looked = 0
    for step in range(steps):
        numbers = alphabet.enabled(m)
        if not numbers:
            break
        actor, verb, args = alphabet.events[dice.choice(numbers)]
        event = (actor, verb, tuple((step + 1,) if arg is None else arg for arg in args))
        before, touched = m.capture(), reach(event)
        m.violations.clear()
        try:
            m.apply(*event)
        except Refused:
            assert m.capture() == before, event
            continue
        if touched:
            looked += 1
            after = m.capture()
            bits = {who: 1 << n for n, who in enumerate(map(anatomy.names.get, names_of(m)))}
            for who, old, new in zip(anatomy.about, before[0], after[0], strict=True):
                assert old == new or who is None or bits[who] & touched, (event, who)
        if m.fatal:
            break
    return looked


def names_of(m: object) -> tuple[str, ...]:
    return (*m.tasks, *m.vcpus)  # type: ignore[attr-defined]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_parts_that_are_there(arch: str) -> None:
    verbs = architecture(arch).verbs
    assert {part for verb in verbs.values() for part in verb.touches} == TOUCHES
    for name in ("fork", "exec", "exit", "hotplug", "save", "restore", "one_reg_set"):
        assert not verbs[name].touches


def test_a_declaration_that_does_not_fit() -> None:
    verbs = Verbs()

    def one(m: object, actor: str, what: str) -> None:
        """Takes one operand."""

    with pytest.raises(TypeError, match="one: operands: 0 declared, and the function takes"):
        verbs.verb("does it")(one)
    with pytest.raises(TypeError, match="touches 'all'"):
        verbs.verb("does it", TASK, touches="all")(one)
    verbs.verb("does it", TASK)(one)
    with pytest.raises(TypeError, match="there is a verb of this name"):
        verbs.verb("does it", TASK)(one)
