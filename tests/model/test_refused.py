"""A refused event has not happened: the machine is as it was before, wherever it is refused."""

from __future__ import annotations

import ast
import functools
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.model import ARCHITECTURES, architecture
from harness.model.base import Model, Refused
from harness.model.world import Event
from tests.dsl.samples import ROOT
from tests.model import refusals
from tests.model.arm64 import walk as arm64
from tests.model.riscv import walk as riscv
from tests.model.walks import SETUPS

# What the walks leave out: ioctls with operands that turn out not to be modelled.
NOT_MODELLED = (0x6030000000140000, 0x603000000013C000, 0x6030000000100000, 0x6030000000100042)
ARM64_MORE: list[Event] = [
    *[("A", "one_reg_get", (v, ("id", n))) for v in ("v0", "v1") for n in NOT_MODELLED],
    *[("B", "one_reg_set", (v, ("id", n), (1,))) for v in ("v0", "v1") for n in NOT_MODELLED],
    *[("A", "ioctl", ("KVM_ARM_VCPU_INIT", "v0", f)) for f in ((7,), (5, 6), (1,), (3,), (99,))],
    *[("B", "ioctl", ("KVM_ARM_VCPU_FINALIZE", v, (4,))) for v in ("v0", "v1")],
]
RISCV_MORE: list[Event] = [
    *[(v, "sbi", ("srst", "system_reset", (0,))) for v in riscv.VCPUS],
    *[(v, "sbi", ("susp", "system_suspend", (0, 0x80000000, 0))) for v in riscv.VCPUS],
    *[(v, "sbi", ("pmu", "counter_start", (0,))) for v in riscv.VCPUS],
]


# What can turn out not to be modelled when the kernel is in the middle of it.
IN_ITS_MIDDLE = ("one_reg_get", "one_reg_set", "ioctl", "restore")


def changed(model: Model, events: list[Event]) -> tuple[set[str], list[Event]]:
    """Try each of some events where the machine is; the verbs refused, and what was not undone."""
    refused: set[str] = set()
    found: list[Event] = []
    before, owners = model.capture(), model.owners()
    for event in events:
        if model.dead(event[0]):
            continue
        try:
            model.apply(*event)
        except Refused as error:
            why = str(error)
            if event[1] not in IN_ITS_MIDDLE and not why.endswith("off line"):
                assert asked(model, event) == why, event
            refused.add(event[1])
            if model.capture() == before and model.owners() == owners:
                continue
            found.append(event)
        model.restore(before)
    return refused, found


def asked(model: Model, event: Event) -> str | None:
    """Why the event's own `when` says no, None if it does not. It looks, and changes nothing."""
    actor, verb, args = event
    when = architecture("riscv" if hasattr(model, "harts") else "arm64").verbs[verb].when
    if when is None:
        return None
    before = model.capture()
    try:
        when(model, actor, *args)
    except Refused as error:
        return str(error)
    finally:
        assert model.capture() == before, event
    return None


def go(walk: Any, module: Any, alphabet: list[Event], steps: int) -> set[str]:
    dice, verbs = random.Random(1), set[str]()
    for step in range(steps):
        walk.step()
        some = dice.sample(alphabet, 150) + module.switches(walk.model)
        some = [module.fill(event, step + 1) for event in some]
        refused, left = changed(walk.model, some)
        assert not left
        verbs |= refused
    return verbs


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("spec", "mode"), [("v7.2", "vhe"), ("v6.6", "nvhe"), ("v4.15", "vhe"), ("v7.2", "protected")]
)
def test_arm64(spec: str, mode: str) -> None:
    verbs: set[str] = set()
    for seed in range(3):
        w = arm64.world(seed < 2, seed > 0, seed == 0, debug=seed == 0)
        walk = arm64.Walk(spec, mode, w, seed)
        verbs |= go(walk, arm64, arm64.alphabet(w) + ARM64_MORE * 4, 40)
    assert len(verbs) > len(architecture("arm64").verbs) * 3 // 4


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", riscv.WORLDS)
def test_riscv(name: str) -> None:
    w, verbs = riscv.WORLDS[name], set[str]()
    for seed, spec in enumerate(("v7.2", "v6.1", "v7.2", "v6.12")):
        walk = riscv.Walk(spec, w, seed)
        if seed == 2:  # vcpus that are stopped while their tasks are in the guest
            stops_all(walk.model)
        verbs |= go(walk, riscv, riscv.alphabet(w) + RISCV_MORE * 4, 40)
    assert len(verbs) > len(architecture("riscv").verbs) * 3 // 4


def stops_all(model: Model) -> None:
    for event in (
        ("A", "ioctl", ("KVM_RUN", "p0")),
        ("B", "ioctl", ("KVM_RUN", "p1")),
        ("cpu0", "switch", ("A", "C")),
        ("p1", "sbi", ("srst", "system_reset", (0,))),
    ):
        try:
            model.apply(*event)
        except Refused:
            return  # this machine has one CPU


def test_a_vcpu_that_is_stopped_sleeps_when_its_thread_goes_on() -> None:
    """KVM_REQ_SLEEP: the guest of a thread that was switched away is not entered again."""
    arch = architecture("riscv")
    model = arch.machine(arch.catalogue.kernel("v7.2"), "rv64", riscv.world(), False)
    stops_all(model)
    model.apply("cpu0", "switch", ("C", "A"))
    with pytest.raises(Refused, match="p0 is stopped"):
        model.apply("p0", "read", (("f", 0),))
    model.apply("A", "ret_to_user", ())
    model.apply("A", "syscall", ())


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_is_refused_and_why(arch: str) -> None:
    """`python -m tests.model.refusals` writes the data anew."""
    every = list(refusals.read(arch))
    for setup, way, event, why in every:
        assert refusals.refused(SETUPS[setup], way, event) == why, (setup, way, event)
    verbs = architecture(arch).verbs
    never = {name for name, verb in verbs.items() if verb.when is None}
    assert verbs.keys() - {event[1] for _, _, event, _ in every} <= never


def test_what_no_walk_comes_to_is_refused() -> None:
    for setup, way, event, why in refusals.read("told"):
        assert refusals.refused(refusals.EVERY[setup], way, event) == why, (setup, way, event)


def pattern(node: ast.expr) -> str:
    """What an expression for a text can come to, as a regular expression; '' if nobody knows."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(pattern, node.values))
    if isinstance(node, ast.FormattedValue):
        return ".+"
    return re.escape(str(node.value)) if isinstance(node, ast.Constant) else ""


@functools.cache
def kept() -> list[str]:
    return [each.why for name in (*ARCHITECTURES, "told") for each in refusals.read(name)]


STIMULI = [
    *(ROOT / "harness/model").glob("*.py"),
    *(ROOT / "harness/model").glob("*/stimuli/*.py"),
    *(ROOT / "harness/model").glob("*/program.py"),
]


def reasons(path: Path) -> Iterator[str]:
    """What a module has to say of events that cannot happen."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Refused":
            yield pattern(node.args[0])


@pytest.mark.parametrize("path", STIMULI, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_reason_is_given_somewhere(path: Path) -> None:
    """A reason that is new is kept too, with a way to it."""
    if path.name != "settling.py":  # which is no verb's
        for reason in filter(None, reasons(path)):
            assert any(re.fullmatch(reason, why) for why in kept()), reason
