"""Groups of events: what `explore --help` lists, and what verbs say.

    python -m tests.search.test_groups

writes anew what a search tries and what an error message proposes, after a change of a verb.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.dsl.write import sentence
from harness.engine.way_out import moves
from harness.model import ARCHITECTURES, architecture
from harness.model.base import Architecture
from harness.model.exploring import Explorable
from harness.model.world import World

DATA = Path(__file__).parent / "data"
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
# With as little as there can be, and with half of it.
LESS: dict[str, tuple[World, ...]] = {
    "arm64": (
        World({"cpus": (1, 1)}, (("A", 0), ("B", -1)), (), (("v0", "A", ()),)),
        World({"cpus": (1, 1), "sme": (16, 16)}, (("A", 0),), (), (("v0", "A", ("sme",)),)),
        World({"cpus": (1, 1), "sve": (16, 32)}, (("A", 0),), (), (("v0", "A", ()),)),
    ),
    "riscv": (
        World({"cpus": (1, 1)}, (("A", 0), ("B", -1)), (), (("v0", "A", ()),)),
        World({"vlen": (256, 256)}, (("A", 0),), (), (("v0", "A", ()),), {"isa": ("f", "v")}),
        World({}, (("A", 0),), (), (("v0", "A", ()),), {"isa": ("d", "zicbom")}),
    ),
}


def explorable_of(arch: str) -> tuple[Architecture, Explorable]:
    spoken = architecture(arch)
    assert spoken.explorable is not None
    return spoken, spoken.explorable


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_each_group_has_events_and_each_event_a_group(arch: str) -> None:
    """`switch` is what is tried whatever groups are named."""
    (_, explorable), w = explorable_of(arch), WORLDS[arch]
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
    (spoken, explorable), w = explorable_of(arch), WORLDS[arch]
    events = [*explorable.alphabet(w, tuple(explorable.groups)).events, *moves(spoken, w)]
    for actor, verb, args in events:
        filled = tuple((1,) if arg is None else arg for arg in args)
        assert sentence(spoken, w, actor, verb, filled).startswith(actor)
    assert len(events) > 100


def _written(arch: Architecture, w: World, actor: str, verb: str, args: tuple[Any, ...]) -> str:
    """With `?` for what is the search's to make up."""
    filled = tuple((0x3F,) if arg is None else arg for arg in args)
    text = sentence(arch, w, actor, verb, filled)
    return text.replace("0x3f", "?") if None in args else text


def said(arch: str) -> Iterator[str]:
    """What verbs say to a search, and what events could come before one that is refused.

    Of tasks those that have a vcpu, and of CPUs the first: the others are alike.
    """
    spoken, explorable = explorable_of(arch)
    for group, what in explorable.groups.items():
        yield f"{group}{' (usual)' * (group in explorable.usual)}: {what}"
    for w in (WORLDS[arch], *LESS[arch]):
        yield f"\n{dict(w.settings)} {dict(w.words)} {w.vcpus}"
        threads = tuple(dict.fromkeys(thread for _, thread, _ in w.vcpus))
        actors = {"task": threads, "vcpu": tuple(v for v, *_ in w.vcpus), "cpu": ("cpu0",)}
        for name, verb in explorable.verbs.items():
            tries: dict[tuple[str, ...], list[str]] = {}
            every = ((who, kind) for kind in verb.actors for who in actors[kind] if verb.tries)
            for who, kind in every:
                assert verb.tries is not None
                for current in (*w.everybody, f"idle{who[3:]}") if kind == "cpu" else (who,):
                    for groups, args, place in verb.tries(w, who, current):
                        text = _written(spoken, w, who, name, args)
                        what, _, bits = text.partition(" = ")
                        key = " ".join(groups), place, what
                        if bits not in tries.setdefault(key, []):
                            tries[key].append(bits)
            if tries:
                yield f"{name} touches {' '.join(sorted(verb.touches)) or 'everybody'}"
            for (group, where, what), values in tries.items():
                yield f"    {group or '-'}, {where}: {what} {'= ' * any(values)}{' '.join(values)}"
        for move in moves(spoken, w):
            yield f"leads: {_written(spoken, w, *move)}"


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_is_tried_and_proposed_is_as_before(arch: str) -> None:
    """Event by event: a search that leaves something out finds less, and nothing else says so."""
    kept = (DATA / f"tried-{arch}.txt").read_text(encoding="utf-8").splitlines()
    assert "\n".join(map(str.rstrip, said(arch))).splitlines() == kept


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_who_is_touched_is_said_of_what_is_tried(arch: str) -> None:
    """Nothing but a search asks for it."""
    verbs = architecture(arch).verbs
    assert [name for name, verb in verbs.items() if verb.touches and verb.tries is None] == []


def main() -> None:
    for arch in ARCHITECTURES:
        text = "\n".join(map(str.rstrip, said(arch)))
        (DATA / f"tried-{arch}.txt").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
