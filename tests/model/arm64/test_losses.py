"""An oracle that judges alone: whatever the modelled kernel loses, it says so."""

from __future__ import annotations

import functools
from typing import Any

import pytest

import harness.model.arm64
from harness.model.arm64 import language
from harness.model.arm64.kvm.uapi import name_of, reg_id
from harness.model.arm64.machine import VheMachine
from harness.model.base import kernel_functions
from harness.model.world import World
from tests.model.arm64.losing import ARM64, CONFIGS, SLOTS, UNSEEN, scenarios
from tests.model.losses import Book, names_of_what_is_due

FUNCTIONS = sorted(kernel_functions(*language.MACHINES.values()))


@functools.cache
def book() -> Book:
    """Every place of the scenarios at which a value is saved, loaded, switched, copied or reset."""
    return Book([s for config in CONFIGS for s in scenarios(config, 2000)], SLOTS, UNSEEN)


@pytest.mark.long
@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_a_function_loses_is_reported(function: str) -> None:
    """A kernel on which this function moves all but one value violates something."""
    assert not book().silent(book().of(function))


@pytest.mark.long
def test_there_is_something_to_lose() -> None:
    """The patches reach the functions that move values, and nearly all of them are reported."""
    places = book().where
    excused = [p for p in places if any(e.fullmatch(str(p)) for e in book().unseen)]
    assert len({place.function for place in places}) >= 45
    assert len(places) >= 450
    assert len(excused) < 0.2 * len(places)


@pytest.mark.parametrize("folder", ["host", "kvm"])
def test_the_kernel_knows_nothing_of_what_is_due(folder: str) -> None:
    """No module of the modelled kernel names an entitlement."""
    assert not names_of_what_is_due(harness.model.arm64, folder)


WORLD = World(
    {"cpus": (1, 1), "sve": (16, 64), "fpmr": (1, 1), "brps": (1, 1)},
    (("A", 0),),
    (),
    (
        *(("v0", "A", ("fpmr",)), ("v1", "A", ("fpmr", "created"))),
        *(("v2", "A", ("sve",)), ("v3", "A", ("sve", "created"))),
    ),
    vms=(0, 0, 1, 1),
)
REGISTERS = (
    *((("v0", "v1"), reg) for reg in (("v", 3), ("fpsr", 0), ("fpcr", 0), ("fpmr", 0))),
    *((("v0", "v1"), reg) for reg in (("cpacr_el1", 0), ("dbgbvr0_el1", 0))),
    *((("v2", "v3"), reg) for reg in (("z", 3), ("p", 3), ("ffr", 0), ("zcr_el1", 0))),
)


@pytest.mark.parametrize(("vcpus", "reg"), REGISTERS, ids=lambda each: str(each[0]))
def test_a_register_that_is_not_listed_is_missed(
    vcpus: tuple[str, str], reg: tuple[str, int]
) -> None:
    """KVM_GET_REG_LIST forgets a register: the restored guest lacks it, says `round-trip`."""
    forgotten = reg_id(*reg)

    class Forgetful(VheMachine):
        __slots__ = ()

        def kvm_arm_copy_reg_indices(self, vcpu: Any) -> tuple[int, ...]:
            return tuple(r for r in super().kvm_arm_copy_reg_indices(vcpu) if r != forgotten)

    kernel = ARM64.catalogue.kernel("v7.2")
    for cls, what in ((VheMachine, set()), (Forgetful, {name_of(forgotten)})):
        m = language.ARM64.fresh(kernel, "vhe", WORLD, record=False, cls=cls)
        source, target = vcpus
        m.apply("A", "ioctl", ("KVM_RUN", source))
        value = {"zcr_el1": 1, "cpacr_el1": 0x330000}.get(reg[0], 0x5)
        m.apply(source, "write", (reg, (value,)))
        m.apply(source, "guest_exit", ("irq",))
        m.apply("A", "ret_to_user", ())
        m.apply("A", "save", (source,))
        m.apply("A", "restore", (target, source))
        assert m.errno is None
        wrong = {v.what.partition("[")[0] for v in m.violations if v.kind == "round-trip"}
        assert wrong - {"VL"} == what


@pytest.mark.parametrize(("vcpus", "reg"), REGISTERS, ids=lambda each: str(each[0]))
def test_a_setter_that_keeps_nothing_is_found(vcpus: tuple[str, str], reg: tuple[str, int]) -> None:
    """KVM_SET_ONE_REG succeeds, and has done nothing: nobody has to read it."""

    class Forgetful(VheMachine):
        __slots__ = ()

        def kvm_arm_set_reg(self, vcpu: Any, reg: Any, vals: Any) -> None:
            pass

    kernel = ARM64.catalogue.kernel("v7.2")
    value = {"zcr_el1": 1, "cpacr_el1": 0}.get(reg[0], 0x5)
    for cls, found in ((VheMachine, False), (Forgetful, True)):
        m = language.ARM64.fresh(kernel, "vhe", WORLD, record=False, cls=cls)
        m.apply("A", "one_reg_set", (vcpus[0], reg, (value,)))
        assert bool(m.violations) is found


# Vcpus with SME do not run: a VMM sets what they have, in or out of streaming mode.
SME_WORLD = World(
    {"cpus": (1, 1), "sve": (16, 32), "sme": (16, 64), "sme2": (1, 1), "fa64": (1, 1)},
    (("A", 0),),
    (),
    (
        *(("both0", "A", ("sve", "sme", "created")), ("both1", "A", ("sve", "sme", "created"))),
        *(("alone0", "A", ("sme", "created")), ("alone1", "A", ("sme", "created"))),
    ),
)
SME_REGISTERS = (
    *(("both", 3, reg) for reg in (("z", 3), ("p", 3), ("ffr", 0), ("za", 3), ("zt0", 0))),
    *(("both", 1, reg) for reg in (("svcr", 0), ("smcr_el1", 0), ("sme_vls", 0))),
    *(("alone", 0, reg) for reg in (("v", 3), ("sme_vls", 0), ("smcr_el1", 0))),
    *(("alone", 3, reg) for reg in (("z", 3), ("p", 3), ("ffr", 0), ("za", 3), ("zt0", 0))),
)


def sme_guest(cls: type[VheMachine], name: str, svcr: int) -> VheMachine:
    """A machine on which this vcpu has the shorter lengths of SME, and SVCR."""
    kernel = ARM64.catalogue.kernel("v7.2+sme-guest")
    m = language.ARM64.fresh(kernel, "vhe", SME_WORLD, record=False, cls=cls)
    m.apply("A", "ioctl", ("KVM_ARM_VCPU_INIT", name))
    m.apply("A", "one_reg_set", (name, ("sme_vls", 0), (0b11,)))
    m.apply("A", "ioctl", ("KVM_ARM_VCPU_FINALIZE", name, (4,)))
    m.apply("A", "one_reg_set", (name, ("svcr", 0), (svcr,)))
    assert not m.errno
    assert not m.violations
    assert isinstance(m, VheMachine)
    return m


@pytest.mark.parametrize(("who", "svcr", "reg"), SME_REGISTERS)
def test_a_register_with_sme_that_is_not_listed_is_missed(
    who: str, svcr: int, reg: tuple[str, int]
) -> None:
    forgotten = reg_id(*reg)

    class Forgetful(VheMachine):
        __slots__ = ()

        def kvm_arm_copy_reg_indices(self, vcpu: Any) -> tuple[int, ...]:
            return tuple(r for r in super().kvm_arm_copy_reg_indices(vcpu) if r != forgotten)

    missed = "SVL" if reg[0] == "sme_vls" else name_of(forgotten)
    for cls, what in ((VheMachine, set()), (Forgetful, {missed})):
        m = sme_guest(cls, f"{who}0", svcr)
        if reg[0] not in ("svcr", "sme_vls"):
            m.apply("A", "one_reg_set", (f"{who}0", reg, (0x5,)))
        m.apply("A", "save", (f"{who}0",))
        m.apply("A", "restore", (f"{who}1", f"{who}0", ("svcr", 0)))
        assert m.errno is None
        wrong = {v.what.partition("[")[0] for v in m.violations if v.kind == "round-trip"}
        # Without SVCR, Z has another length.
        assert wrong - {"VL"} == what


@pytest.mark.parametrize(("who", "svcr", "reg"), SME_REGISTERS)
def test_a_setter_with_sme_that_keeps_nothing_is_found(
    who: str, svcr: int, reg: tuple[str, int]
) -> None:
    forgets: list[bool] = []

    class Forgetful(VheMachine):
        __slots__ = ()

        def kvm_arm_set_reg(self, vcpu: Any, reg: Any, vals: Any) -> None:
            if not forgets:
                super().kvm_arm_set_reg(vcpu, reg, vals)

    m = sme_guest(Forgetful, f"{who}0", svcr)
    m.apply("A", "ioctl", ("KVM_ARM_VCPU_INIT", f"{who}1"))
    forgets.append(True)
    target = f"{who}1" if reg[0] == "sme_vls" else f"{who}0"
    m.apply("A", "one_reg_set", (target, reg, ({"svcr": 0, "sme_vls": 0b11}.get(reg[0], 0x5),)))
    assert m.violations
