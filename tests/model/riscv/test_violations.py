"""Every invariant catches what it is for, planted by hand in a machine's state."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.model.riscv.invariants import INVARIANTS
from harness.model.riscv.machine import Machine
from harness.model.values import EMPTY, Origin, Val
from harness.model.world import World
from tests.model.riscv.walk import MUCH, RISCV


def machine() -> Machine:
    """A on cpu0, with FP and vectors in use, B off; p0 to be run by A."""
    w = World({"cpus": (1, 1)}, (("A", 0), ("B", -1)), (), (("p0", "A", ()),), {"isa": MUCH})
    m = RISCV.machine(RISCV.catalogue.kernel("v7.2"), "rv64", w, record=False)
    assert isinstance(m, Machine)
    m.apply("A", "write", (("f", 1), (0xA1,)))
    m.apply("A", "write", (("v", 1), (0xA2,)))
    return m


def in_guest() -> Machine:
    """A in its guest, which has written a register of each kind."""
    m = machine()
    m.apply("A", "ioctl", ("KVM_RUN", "p0"))
    m.apply("p0", "write", (("sstatus", 0), (0x2200,)))
    for reg in (("f", 1), ("v", 1), ("senvcfg", 0), ("sstateen0", 0)):
        m.apply("p0", "write", (reg, (0x80,)))
    return m


def in_kernel() -> Machine:
    m = machine()
    m.apply("A", "syscall_enter", ())
    m.apply("A", "kernel_vector_begin", ())
    return m


def foreign(bits: int, who: str) -> tuple[Val, ...]:
    return (Val(bits, Origin(who, 99)),)


Plant = Callable[[Machine], None]


def put(name: str, value: object) -> Plant:
    return lambda m: setattr(m.cpu, name, value)


def f1(who: str) -> Plant:
    return lambda m: setattr(m.cpu, "f", m.cpu.f.set(1, foreign(0x77, who)))


def v1(who: str) -> Plant:
    return lambda m: setattr(m.cpu, "v", m.cpu.v.set(1, foreign(0x77, who)))


# KVM has another for the vcpu, and its extensions call for another.
BOTH = ("not-granted", "not-loaded")
PLANTS: list[tuple[str, Callable[[], Machine], Plant, set[tuple[str, str, str]]]] = [
    ("f lost", machine, put("f", EMPTY), {("lost", "A", "f1")}),
    ("f stale", machine, f1("A"), {("stale", "A", "f1")}),
    ("f of a task", machine, f1("B"), {("leak", "A", "f1")}),
    ("f of a guest", machine, f1("p0"), {("leak", "A", "f1")}),
    ("v lost", machine, put("v", EMPTY), {("lost", "A", "v1")}),
    ("v stale", machine, v1("A"), {("stale", "A", "v1")}),
    ("v of the kernel", machine, v1("kernel"), {("leak", "A", "v1")}),
    (
        "senvcfg of a guest",
        machine,
        put("senvcfg", foreign(1, "p0")[0]),
        {("leak", "A", "senvcfg")},
    ),
    (
        "no buffer",
        machine,
        lambda m: setattr(m.tasks["A"], "vstate", None),
        {("memory", "A", "vstate")},
    ),
    ("kernel's lost", in_kernel, put("v", EMPTY), {("lost", "kernel", "v0")}),
    ("guest's f lost", in_guest, put("f", EMPTY), {("lost", "p0", "f1")}),
    ("host's f", in_guest, f1("A"), {("leak", "p0", "f1")}),
    ("guest's v stale", in_guest, v1("p0"), {("stale", "p0", "v1")}),
    (
        "host's senvcfg",
        in_guest,
        put("senvcfg", foreign(0xF0, "A")[0]),
        {("leak", "p0", "senvcfg")},
    ),
    ("sstateen0", in_guest, put("sstateen0", Val(4)), {("not-loaded", "p0", "sstateen0")}),
    ("henvcfg", in_guest, put("henvcfg", 0), {(kind, "p0", "henvcfg") for kind in BOTH}),
    ("hedeleg", in_guest, put("hedeleg", 0), {(kind, "p0", "hedeleg") for kind in BOTH}),
    ("hideleg", in_guest, put("hideleg", 0), {("not-granted", "p0", "hideleg")}),
    ("hstateen0", in_guest, put("hstateen0", 0), {(kind, "p0", "hstateen0") for kind in BOTH}),
]


@pytest.mark.parametrize(
    ("make", "plant", "found"), [p[1:] for p in PLANTS], ids=[p[0] for p in PLANTS]
)
def test_a_planted_mistake_is_found(
    make: Callable[[], Machine], plant: Plant, found: set[tuple[str, str, str]]
) -> None:
    m = make()
    assert m.check() == []
    plant(m)
    assert {v.key for v in m.check()} == found
    assert {kind for kind, _, _ in found} <= INVARIANTS.keys()


def test_masking_without_smnpm() -> None:
    m = in_guest()
    vcpu = m.vcpus["p0"]
    m.apply("p0", "sbi", ("fwft", "set", (5, 7)))
    assert m.check() == []
    vcpu.isa -= {"smnpm"}
    assert {v.key for v in m.check()} == {("masking", "p0", "henvcfg.PMM")}


def test_what_is_off_is_not_read() -> None:
    """That registers are out of reach is the loss, not what is in them."""
    m = machine()
    m.tasks["A"].status = 0
    m.cpu.f = m.cpu.v = EMPTY
    assert {v.what for v in m.check()} == {"sstatus.FS", "sstatus.VS"}
