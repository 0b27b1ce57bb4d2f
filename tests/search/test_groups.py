"""Groups of events: what `explore --help` lists, and what verbs say."""

from __future__ import annotations

import pytest

from harness.dsl.write import sentence
from harness.engine.way_out import moves
from harness.model import ARCHITECTURES, architecture
from harness.model.world import World

EVERYBODY = (("A", 0), ("B", 1)), ("C",)
WORLDS = {
    "arm64": World(
        {"cpus": (2, 2), "sve": (16, 64), "sme": (16, 64)}
        | dict.fromkeys(("sme2", "fpmr", "brps"), (1, 1)),
        *EVERYBODY,
        (("v0", "A", ("sve", "fpmr")), ("v1", "B", ("sme",))),
    ),
    "riscv": World(
        {"cpus": (2, 2)},
        *EVERYBODY,
        (("v0", "A", ()), ("v1", "B", ())),
        {"isa": ("d", "f", "smstateen", "v", "zicboz")},
    ),
}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_each_group_has_events_and_each_event_a_group(arch: str) -> None:
    """`switch` is what is tried whatever groups are named."""
    explorable, w = architecture(arch).explorable, WORLDS[arch]
    assert explorable is not None
    actors = {"task": w.everybody, "vcpu": ("v0", "v1"), "cpu": ("cpu0",)}
    named = {
        group
        for verb in explorable.verbs.values()
        for kind in verb.actors
        for who in actors[kind]
        if verb.tries is not None
        for groups, *_ in verb.tries(w, who, who)
        for group in groups
    }
    assert named == explorable.groups.keys() - {"switch"}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_event_can_be_written(arch: str) -> None:
    """What a search tries, and what an error message proposes, is in the language."""
    spoken, w = architecture(arch), WORLDS[arch]
    explorable = spoken.explorable
    assert explorable is not None
    events = [*explorable.alphabet(w, tuple(explorable.groups)).events, *moves(spoken, w)]
    for actor, verb, args in events:
        filled = tuple((1,) if arg is None else arg for arg in args)
        assert sentence(spoken, w, actor, verb, filled).startswith(actor)
    assert len(events) > 100
