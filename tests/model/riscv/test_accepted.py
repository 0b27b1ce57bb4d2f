"""What KVM_SET_ONE_REG has accepted is held until something shows the same in another way."""

from __future__ import annotations

import pytest

from harness.model.riscv.kvm.uapi import groups, reg_name
from harness.model.riscv.settings import representatives
from harness.model.riscv.stimuli.kvm_run import GUEST_GROUPS
from harness.model.world import Event
from tests.model.walks import SETUPS

SETUP = SETUPS["rv64 v7.3 all"]
ISA = SETUP.world.words["isa"]
# Two views of the same.
SAME = [{"config.isa", "isa_ext"}, {"fp_f", "fp_d"}, {"sta.shmem_lo", "sta.shmem_hi"}]

Setting = tuple[int, tuple[int, ...]]


def settable() -> dict[str, Setting]:
    """A register of each kind that KVM can be told to leave as it is: its id, and what it is."""
    m, found = SETUP.machine(), {}
    listed = {name: reg for reg, name in m.reg_list("p0")}
    for name in representatives(ISA):
        got = m.would_get(m.vcpus["p0"], listed[name]) if name in listed else None
        if got is not None:
            setting = listed[name], tuple(val.bits for val in got)
            if held(setting) == {name}:
                found[name] = setting
    return found


def held(*settings: Setting) -> set[str]:
    """The registers that are held to what they were set to, one after the other."""
    m = SETUP.machine()
    for reg, bits in settings:
        m.apply("A", "one_reg_set", ("p0", ("id", reg), bits))
    return {reg_name(reg) for reg, _ in m.vcpu_due["p0"].accepted}


SETTABLE = settable()
# Of each group the first two, and its last.
SOME = dict.fromkeys(
    name
    for group in groups()
    for own in [[name for name in SETTABLE if name.startswith(f"{group}.")]]
    for name in (*own[:2], *own[-1:])
)


def same(first: str, second: str) -> bool:
    """Whether two registers show the same thing, each in its way."""
    views = [{first, first.partition(".")[0]}, {second, second.partition(".")[0]}]
    return any(
        view & views[0] and view & views[1] and not view & views[0] & views[1] for view in SAME
    )


@pytest.mark.parametrize("first", SOME)
def test_another_register_replaces_it_if_it_shows_the_same(first: str) -> None:
    for second in SOME.keys() - {first}:
        there = {second} if same(first, second) else {first, second}
        assert held(SETTABLE[first], SETTABLE[second]) == there, second


@pytest.mark.parametrize("extension", ["isa_ext.v", "isa_ext.ssaia", "isa_ext.smstateen"])
def test_a_register_goes_with_its_extension(extension: str) -> None:
    """And what is still there is held as before."""
    every = [each for name, each in SETTABLE.items() if name != "config.isa"]
    off = SETTABLE[extension][0], (0,)
    m = SETUP.machine()
    for reg, bits in (*every, off):
        m.apply("A", "one_reg_set", ("p0", ("id", reg), bits))
    there = {reg_name(reg) for reg, _ in every if m.has_reg(m.vcpus["p0"], reg)}
    assert held(*every) - held(*every, off) == held(*every) - there != set()


@pytest.mark.parametrize(
    "ways",
    [[("A", "ioctl", ("KVM_RUN", "p0"))], [("A", "syscall_enter", ()), ("p0", "vcpu_load", ())]],
    ids=["KVM_RUN", "vcpu_load"],
)
def test_the_registers_of_a_guest_that_runs_are_its_own(ways: list[Event]) -> None:
    """But for the time, which no guest sets."""
    m = SETUP.machine()
    for reg, bits in SETTABLE.values():
        m.apply("A", "one_reg_set", ("p0", ("id", reg), bits))
    before = {reg_name(reg) for reg, _ in m.vcpu_due["p0"].accepted}
    for event in ways:
        m.apply(*event)
    after = {reg_name(reg) for reg, _ in m.vcpu_due["p0"].accepted}
    gone = {name.partition(".")[0] for name in before - after} - {"sta"}
    assert gone == {name.partition(".")[0] for name in before} & GUEST_GROUPS
    assert {name for name in after if name.partition(".")[0] in GUEST_GROUPS} == {"timer.time"}


def test_what_is_tried_out_has_not_happened() -> None:
    """A vcpu that is saved runs, is looked at, and is as it was: the call has read nothing."""
    m = SETUP.machine()
    m.apply("A", "save", ("p0",))
    assert (m.seen, m.traps, m.errno, m.address) == (None, [], None, None)
    assert not m.vcpus["p0"].ran_atleast_once
