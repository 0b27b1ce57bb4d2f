"""What `expect` can ask for: every place of a snapshot, and an answer that says what was there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from harness.dsl.check import Checker
from harness.engine import Replay
from harness.model import architecture
from harness.model.arm64.view import SHOWN as ARM64
from harness.model.base import Shape
from harness.model.observing import unknown_place
from harness.model.riscv.view import SHOWN as RISCV
from harness.model.values import Origin, Val
from tests.model.arm64 import walk as arm64
from tests.model.riscv import walk as riscv
from tests.model.walks import SETUPS, Setup

SHOWN = {"arm64": ARM64, "riscv": RISCV}
SPECS = ("v7.3", "v6.12", "v5.19")
SOME = {name: setup for name, setup in SETUPS.items() if name.split()[1] in SPECS}
RANGE = re.compile(r"([a-z]+)([0-9]+)(?:-| to )(?:[a-z]+)([0-9]*)")


def places(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Each place of a snapshot, by its path, and what stands there."""
    if isinstance(node, Mapping):
        for name, each in node.items():
            found = RANGE.fullmatch(name)
            last = int(found[3] or found[2]) if found else 0
            names = [f"{found[1]}{n}" for n in (int(found[2]), last)] if found else [name]
            for one in names:
                yield from places(each, (*path, one))
    else:
        yield ".".join(path), ", ".join(map(str, node)) if isinstance(node, list) else str(node)


@pytest.mark.one_in(6)
@pytest.mark.parametrize("setup", SOME.values(), ids=SOME)
def test_what_a_snapshot_shows_can_be_expected(setup: Setup) -> None:
    """Each word of a place, each field, and nothing else."""
    seen = 0
    for seed in range(2):
        m = setup.walk(seed, 40).model
        for text, value in places(m.snapshot()):
            path = tuple(text.split("."))
            kind = "task" if path[0] in m.tasks else "vcpu" if path[0] in m.vcpus else "cpu"
            if len(path) > 1:
                assert unknown_place(SHOWN[setup.arch][kind], path[1:]) is None, text
            assert m.observe("state", (path, value)) is None, text
            for word in value.replace(",", " ").split():
                if not re.fullmatch("x[0-9]+", word):
                    assert m.observe("state", (path, word)) is None, (text, word)
            assert m.observe("state", (path, "bogus")) == f"it is {value}", text
            for field, equals, bits in (word.partition("=") for word in value.split()):
                if equals:
                    number = str(int(bits, 0)) if bits[0].isdigit() else bits
                    assert m.observe("state", ((*path, field), bits)) is None, (text, field)
                    told = m.observe("state", ((*path, field), "bogus"))
                    assert told == f"it is {number}", (text, field)
            empty = value in ("", "0", "0x0", "NULL")
            told = m.observe("state", (path, "nothing"))
            assert told == (None if empty else f"it is {value}"), text
            seen += 1
    assert seen > 25


def left_out(shape: Shape, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Places that a shape has, with what each is where a snapshot leaves it out."""
    if isinstance(shape, str):
        yield path, shape
    elif isinstance(shape, tuple):
        yield path, "0"
        yield (*path, shape[0]), "0"
    elif isinstance(shape, re.Pattern):
        register = next(name for name in ("z0", "f0", "v0", "za", "p0") if shape.fullmatch(name))
        yield (*path, register), "0"
    else:
        for name, each in shape.items():
            yield from left_out(each, (*path, *name.split(".")))


@pytest.mark.parametrize("setup", SOME.values(), ids=SOME)
def test_what_a_snapshot_leaves_out_is_what_the_shape_says(setup: Setup) -> None:
    m = setup.machine()
    tree = m.snapshot()
    there = dict(places(tree))
    for who, kind in (("cpu0", "cpu"), ("C", "task"), ("v0", "vcpu"), ("p0", "vcpu")):
        if who not in tree or "state" in tree[who]:
            continue
        shape = SHOWN[setup.arch][kind]
        for path, value in left_out(shape, (who,)):
            assert unknown_place(shape, path[1:]) is None, path
            name = ".".join(path)
            if any(f"{place}.".startswith(f"{name}.") for place in there):
                continue
            if any(name.startswith(f"{place}.") for place in there) or path[1] in tree[who]:
                continue
            assert m.observe("state", (path, value or "nothing")) is None, path
            assert m.observe("state", (path, "bogus")) == f"it is {value or 'nothing'}", path


SHORT, IDLE = "A prctl PR_SVE_SET_VL 16", "cpu0 switch A -> idle"
ANSWERS: list[tuple[str, str, str, str]] = [
    ("vhe v7.3 sme", f"{SHORT}\nA read z0", "read z0[1] = 0", "only 1 quadwords were read"),
    ("vhe v7.3 sme", "A ioctl KVM_RUN v0\nv0 read z0", "read z0 = 0", "nothing was read"),
    ("vhe v7.3 sme", "A read v0", "no read", "something was read"),
    ("vhe v7.3 sme", "A rdvl", "value 1", "it gave 64"),
    ("vhe v7.3 sme", "A syscall", "value 1", "it gave no value"),
    ("vhe v7.3 sme", "A syscall", "trap ec=0x19", "there was no trap"),
    ("vhe v7.3 sme", "A exit", "A.sve_vl = 16", "A is dead"),
    ("vhe v7.3 sme", f"{IDLE}\ncpu0 hotplug off", "cpu0.current = A", "it is off line"),
    ("rv64 v7.3 all", f"{IDLE}\ncpu0 hotplug off", "cpu0.current = A", "cpu0 is off line"),
    ("rv64 v7.3 all", "A syscall", "sbi SBI_SUCCESS", "it returned no SBI call"),
    ("rv64 v7.3 all", "A syscall", "value 1", "there was no value"),
    ("rv64 v7.3 all", "A syscall", "address 1", "there was no address"),
    ("rv64 v7.3 all", "A load 0x1000", "address 1", "the address is 0x1000"),
    ("rv64 v7.3 all", "A load 0x1000", "value 1", "there was no value"),
    ("rv64 v7.3 all", "A syscall", "refused config.isa", "nothing was refused"),
    ("rv64 v7.3 all", "A syscall", "p1.isa = v", "p1 is not created"),
]


def answered(setup: Setup, body: list[str]) -> list[str]:
    """Why expectations fail, and what else is wrong."""
    if setup.arch == "arm64":
        told = arm64.written([], setup.world, setup.spec, setup.mode)
    else:
        told = riscv.written([], setup.world, setup.spec)
    trace = Checker("x", "x").read([*told, *body])
    run = Replay(trace, architecture(setup.arch).catalogue.kernel(setup.spec), setup.mode).run()
    return [v.text.partition("`: ")[2] or v.text for _, v in run.violations]


@pytest.mark.parametrize(("setup", "events", "expect", "why"), ANSWERS)
def test_an_answer_says_what_was_there(setup: str, events: str, expect: str, why: str) -> None:
    assert answered(SETUPS[setup], [*events.split("\n"), f"expect {expect}"]) == [why]


@pytest.mark.parametrize(
    ("setup", "body"),
    [
        ("vhe v7.3 sme", "v0 read z0\nexpect undef"),
        ("vhe v7.3 sme", "v0 write cpacr_el1 = 0x3330000\nv0 trap sme\nexpect undef"),
        ("nvhe v7.3 sme", "v0 write cpacr_el1 = 0x330000\nv0 write z0 = 1\nexpect undef"),
        ("protected v7.3 sme", "v0 write cpacr_el1 = 0x330000\nv0 write z0 = 1\nexpect undef"),
        ("vhe v7.3 sme", "v0 read fpmr\nexpect undef"),
    ],
)
def test_an_instruction_that_a_guest_lacks_is_undefined(setup: str, body: str) -> None:
    """Whoever takes the trap: its own kernel, the host, or hyp alone."""
    lines = ["A ioctl KVM_RUN v0", *body.split("\n")]
    assert answered(SETUPS[setup], lines) == []
    assert answered(SETUPS[setup], [*lines, "v0 write v0 = 1", lines[-1]]) == [
        "the guest took no UNDEFINED exception"
    ]


def test_an_errno_is_recorded() -> None:
    """Of a call and of a restore, among what the kernel did."""
    for name, event, errno in (
        ("vhe v7.3 sme", ("A", "one_reg_get", ("v0", ("z", 0))), "ENOENT"),
        ("rv64 v7.3 all", ("A", "prctl", ("PR_RISCV_V_SET_CONTROL", 99)), "EINVAL"),
    ):
        setup = SETUPS[name]
        kernel = architecture(setup.arch).catalogue.kernel(setup.spec)
        m = architecture(setup.arch).machine(kernel, setup.mode, setup.world, True)
        m.apply(*event)
        assert ("errno", errno) in [(each.kind, each.text) for each in m.log]


# Without those in which few guests get to write FP registers.
WRITTEN = {name: setup for name, setup in SOME.items() if not name.endswith(" all")}


@pytest.mark.one_in(6)
@pytest.mark.parametrize("setup", WRITTEN.values(), ids=WRITTEN)
def test_a_value_is_where_it_came_from(setup: Setup) -> None:
    """`places()` tells it from another, and from the same of somebody else."""
    letter, seen = "z" if setup.arch == "arm64" else "f", 0
    for step in range(120):
        if step % 40 == 0:
            way = setup.walk(step, 0)
        way.step()
        m = way.model
        every = ((cpu, *reg) for cpu in m.cpus for reg in getattr(cpu, letter).regs.items())
        for cpu, n, quads in every:
            if n < 32 and quads and quads[0].origin is not None:
                val, what, here = quads[0], f"{letter}{n}", f"cpu{cpu.id}'s registers"
                assert here in m.places(what, val)
                assert here not in m.places(what, Val(val.bits + 1, val.origin))
                assert here not in m.places(what, Val(val.bits, Origin("nobody", 0)))
                seen += 1
    assert seen
