"""What a refusal proposes can be done: on random walks of both architectures, and by example."""

from __future__ import annotations

import random
import re
import textwrap
from typing import Any

import pytest

from harness.dsl.check import Checker
from harness.dsl.nodes import Event as Line
from harness.dsl.syntax import LineError, parse_line
from harness.engine import Replay
from harness.engine.replay import world
from harness.engine.way_out import moves, proposed, way_out
from harness.errors import SourceError
from harness.model import architecture
from harness.model.base import Architecture, Model, Refused
from harness.model.world import Event, World
from tests.dsl.samples import ROOT
from tests.engine.text import HEAD, trace
from tests.model.arm64 import walk as arm64
from tests.model.riscv import walk as riscv

QUOTED = re.compile(r"`([^`]+)`")
ARM64, RISCV = architecture("arm64"), architecture("riscv")


def walks(arch: str, seed: int) -> tuple[Any, World, Any]:
    """A walk, its world, and the module it is of."""
    if arch == "arm64":
        w = arm64.world(*[(True, True, True), (True, False, True), (False, True, False)][seed % 3])
        spec, mode = [("v7.2", "vhe"), ("v6.6", "nvhe"), ("v4.15", "vhe")][seed % 3]
        return arm64.Walk(spec, mode, w, seed), w, arm64
    name = ("much", "all, secondary", "two hosts")[seed % 3]
    return (
        riscv.Walk(("v7.2", "v6.1")[seed % 2], riscv.WORLDS[name], seed),
        riscv.WORLDS[name],
        riscv,
    )


def lines_of(arch: Architecture, w: World) -> Checker:
    """What a trace of such a world begins with, to parse more lines in."""
    told = arm64.written([], w, "v7.2", "vhe") if arch is ARM64 else riscv.written([], w, "v7.2")
    checker = Checker("x", "x")
    checker.take(told)
    assert not checker.complaints
    checker.unborn = dict.fromkeys(w.unborn, 1)
    return checker


def event_of(checker: Checker, text: str) -> Event | None:
    """The event that a line is, None if it is none."""
    try:
        node = parse_line(text)
    except LineError:
        return None
    if not isinstance(node, Line):
        return None
    checked = checker._event(node, 1)
    assert not checker.complaints, text
    return checked.actor.text, checked.verb, checked.args


def happens(model: Model, event: Event) -> bool:
    if model.dead(event[0]):
        return False
    try:
        model.apply(*event)
    except Refused:
        return False
    return True


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("arch", [ARM64, RISCV], ids=lambda a: a.name)
def test_what_is_proposed_can_be_done(arch: Architecture, seed: int) -> None:
    """Each line parses and happens, one after the other, and then the refused event does."""
    walk, w, module = walks(arch.name, seed)
    model, checker, dice, ways = walk.model, lines_of(arch, w), random.Random(seed), 0
    for step in range(40):
        walk.step()
        event = module.fill(dice.choice(module.alphabet(w) + module.switches(model)), step + 1)
        before = model.capture()
        if model.dead(event[0]):
            continue
        try:
            model.apply(*event)
        except Refused as refused:
            why = str(refused)
        else:
            model.restore(before)
            continue
        way = way_out(arch, w, model, event)
        assert model.capture() == before, event
        assert "idle0" not in why
        assert "idle1" not in why
        for text in QUOTED.findall(why):
            quoted = event_of(checker, text)
            assert quoted is None or happens(model, quoted), why
            model.restore(before)
        for text, move in zip(QUOTED.findall(proposed(arch, w, way)), way, strict=True):
            assert event_of(checker, text) is not None, text
            assert happens(model, move), (event, text)
            ways += 1
        assert not way or happens(model, event), (event, way)
        model.restore(before)
    assert ways


@pytest.mark.parametrize("arch", [ARM64, RISCV], ids=lambda a: a.name)
def test_moves_are_written_and_known(arch: Architecture) -> None:
    """Every move there is can be written down, and names nobody who is not there."""
    w = walks(arch.name, 0)[1]
    checker = lines_of(arch, w)
    for move in moves(arch, w):
        (text,) = QUOTED.findall(proposed(arch, w, (move,)))
        assert event_of(checker, text) is not None, text


def refusal(body: str, spec: str = "v7.2", head: str = "") -> str:
    t = Checker("x", "x").read((head + body).splitlines()) if head else trace(body)
    replay = Replay(t, ARM64.catalogue.kernel(spec), "vhe")
    with pytest.raises(SourceError) as caught:
        replay.run()
    return caught.value.diagnostics[0].message


FIRST = HEAD.count("\n") + 1  # the line of the first event


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "A ioctl KVM_RUN v0\nv0 guest_exit\nA read v0",
            "A is in the KVM run loop; `A ret_to_user` would make it possible",
        ),
        (
            "A ioctl KVM_RUN v0\nA read v0",
            "A runs its guest; `v0 guest_exit irq`, then `A ret_to_user` would make it possible",
        ),
        ("B read v0", "`cpu1 switch idle -> B` would make it possible"),
        ("cpu0 switch A -> idle\nA read v0", "`cpu0 switch idle -> A` would make it possible"),
        ("A restore v0 from v1", "v1 has not been saved; `A save v1` would make it possible"),
        (
            "cpu0 switch A -> idle\ncpu0 switch A -> B",
            "cpu0 runs its idle task, not A; `cpu0 switch idle -> A` would make it possible",
        ),
        (
            "A exit\ncpu0 switch A -> B",
            f"cpu0 runs its idle task, not A: A exited in line {FIRST} (on",
        ),
        (
            "A exit\nB ptrace get A v0",
            "B is not current on any CPU: A exited in line",
        ),
    ],
)
def test_refusals(body: str, says: str) -> None:
    """Where a way out is known it is said, and where somebody has died, when."""
    assert says in refusal(body)


def test_a_kernel_without_the_feature() -> None:
    """A task that died of an instruction which the kernel does not know: say which it needs."""
    told = HEAD.format(extra="verdict v7.2 holds").replace(" sve }", " }")
    body = "A write z0 = 0xa1\ncpu0 switch A -> B"
    assert refusal(body, "v4.13", told.replace("; sme 16..64", "")).startswith(
        f"cpu0 runs its idle task, not A: A died of SIGILL in line {FIRST}; the trace needs "
        "sve-host: add `needs sve-host`"
    )


def test_what_the_guide_shows() -> None:
    """Both examples of docs/reading-a-trace.md, word for word."""
    page = (ROOT / "docs" / "reading-a-trace.md").read_text(encoding="utf-8")
    blocks = [
        textwrap.dedent(block)
        for block in re.findall(r"(?:^    .*\n)+", page.split("## Errors")[1], re.M)
    ]
    told = (
        HEAD.format(extra="verdict v7.2 holds").replace(" sve }", " }").replace("; sme 16..64", "")
    )
    assert refusal(blocks[0], "v7.2", told) == blocks[1].strip()
    assert refusal(blocks[2], "v4.13", told) == blocks[3].strip()


def test_the_machine_is_as_it_was() -> None:
    """Looking for a way out changes nothing, though it tries a lot."""
    t = trace("A syscall")
    replay = Replay(t, ARM64.catalogue.kernel("v7.2"), "vhe")
    before, owners = replay.model.capture(), replay.model.owners()
    assert way_out(ARM64, world(t), replay.model, ("v0", "guest_enter", ()))
    assert replay.model.capture() == before
    assert replay.model.owners() == owners
