"""An oracle that judges alone: whatever the modelled kernel loses, it says so."""

from __future__ import annotations

import functools
from typing import Any

import pytest

import harness.model.riscv
from harness.model.base import kernel_functions
from harness.model.riscv import language
from harness.model.riscv.kvm.uapi import reg_name
from harness.model.riscv.machine import Machine
from tests.model.losses import Book, names_of_what_is_due
from tests.model.riscv.losing import CONFIGS, SLOTS, UNSEEN, scenarios
from tests.model.riscv.walk import ALL, RISCV, register, world

FUNCTIONS = sorted(kernel_functions(Machine))


@functools.cache
def book() -> Book:
    """Every place of the scenarios at which a value is saved, loaded, switched, copied or reset."""
    return Book([s for config in CONFIGS for s in scenarios(config, 700)], SLOTS, UNSEEN)


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
    assert len(places) >= 270
    assert len(excused) < 0.1 * len(places)


@pytest.mark.parametrize("folder", ["host", "kvm"])
def test_the_kernel_knows_nothing_of_what_is_due(folder: str) -> None:
    """No module of the modelled kernel names an entitlement."""
    assert not names_of_what_is_due(harness.model.riscv, folder)


WORLD = world(ALL)._replace(vms=(0, 1))
KERNEL = RISCV.catalogue.kernel("v7.2-sbi-sta-align")  # which loses sta.shmem_lo itself
# The words of fp_f are those of fp_d.f0 to f15 (a union), so f20 is in one list alone.
SET = {
    "fp_d.f20": 3, "fp_d.fcsr": 5, "vector.v1": 4, "vector.vcsr": 3, "csr.stvec": 0x2000,
    "csr.sscratch": 3, "csr.sepc": 0x4000, "csr.scause": 5, "csr.stval": 7, "csr.sie": 0x222,
    "csr.satp": 8 << 60, "csr.senvcfg": 0x80, "csr.scounteren": 1, "csr.sstatus": 0x2200,
    "aia.siselect": 0x40, "core.x10": 9, "core.pc": 0x8000, "timer.compare": 99, "timer.time": 4,
    "fwft.pointer_masking.value": 7, "fwft.misaligned_deleg.value": 1, "sta.shmem_lo": 0x80001000,
    "config.mvendorid": 3, "config.marchid": 4, "config.mimpid": 5,
    "isa_ext.zicboz": 0, "sbi_ext.dbcn": 1, "sbi_ext.time": 0,
}  # fmt: skip


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", SET)
def test_a_register_that_is_not_listed_is_missed(name: str) -> None:
    """KVM_GET_REG_LIST forgets a register: the restored vcpu lacks it, and it is reported."""

    class Forgetful(Machine):
        __slots__ = ()

        def kvm_riscv_vcpu_copy_reg_indices(self, vcpu: Any) -> list[int]:
            listed = super().kvm_riscv_vcpu_copy_reg_indices(vcpu)
            return [reg for reg in listed if reg_name(reg) != name]

    reg = register(name, WORLD)
    for cls, forgotten in ((Machine, False), (Forgetful, True)):
        m = language.RISCV.fresh(KERNEL, WORLD, record=False, cls=cls)
        n = len(m.kvm_riscv_vcpu_get_reg(m.vcpus["p0"], reg[1]))
        m.apply("A", "one_reg_set", ("p0", reg, (SET[name],) * n))
        assert m.errno is None
        m.apply("A", "save", ("p0",))
        m.apply("B", "restore", ("p1", "p0"))
        assert m.errno is None
        kinds = {v.kind for v in (*m.violations, *m.check())}
        assert bool(kinds) is forgotten, (name, kinds)
        assert kinds <= {"round-trip", "set-lost", "lost", "stale"}


@pytest.mark.parametrize("name", SET)
def test_a_setter_that_keeps_nothing_is_found(name: str) -> None:
    """KVM_SET_ONE_REG succeeds, and has done nothing: nobody has to read it."""

    class Forgetful(Machine):
        __slots__ = ()

        def kvm_riscv_vcpu_set_reg(self, vcpu: Any, reg: int, vals: Any) -> None:
            pass

    reg = register(name, WORLD)
    for cls, found in ((Machine, False), (Forgetful, True)):
        m = language.RISCV.fresh(KERNEL, WORLD, record=False, cls=cls)
        n = len(m.kvm_riscv_vcpu_get_reg(m.vcpus["p0"], reg[1]))
        m.apply("A", "one_reg_set", ("p0", reg, (SET[name],) * n))
        assert bool({v.kind for v in m.violations} & {"set-lost"}) is found
