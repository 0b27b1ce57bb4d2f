"""tools/testing/selftests/kvm/arm64/get-reg-list.c: what its configurations expect, and get.

Of its lists there are here the registers that are modelled: V, SVE, FPSR, FPCR, CPACR_EL1,
and DBGBVR<n>_EL1 where the machine has breakpoints. FPMR is in none of them (v7.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.model.arm64.cpu.state import FFR
from harness.model.arm64.kvm.reset import DBGBVR
from harness.model.arm64.kvm.uapi import (
    KVM_REG_ARM64_SVE_VLS,
    SYS_REGS,
    OneReg,
    name_of,
    reg_id,
)
from harness.model.arm64.machine import Machine
from harness.model.base import Errno, RegTest

_BASE = (("fpsr", 0), ("fpcr", 0), ("cpacr_el1", 0))
_VREGS = tuple(("v", n) for n in range(32))
_SVE = (
    ("sve_vls", 0),
    *(("z", n) for n in range(32)),
    *(("p", n) for n in range(FFR)),
    ("ffr", 0),
    ("zcr_el1", 0),
)


def reg_tests(fresh: Callable[[tuple[str, ...]], Machine], sve: bool) -> Iterator[RegTest]:
    """The configurations `vregs` and `sve`, each on a `fresh` machine with such a vcpu."""
    yield _run(fresh(()), "vregs", (*_BASE, *_VREGS))
    if sve:
        yield _run(fresh(("sve",)), "sve", (*_BASE, *_SVE))
    else:
        yield RegTest("sve", skipped="KVM_CAP_ARM_SVE: not on this kernel and machine")


def _run(machine: Machine, name: str, expected: tuple[tuple[str, int], ...]) -> RegTest:
    vcpu = next(iter(machine.vcpus.values()))
    blessed = [reg_id(*reg) for reg in expected]
    blessed += [SYS_REGS[name] for name in DBGBVR[: machine.config.brps]]
    listed = machine.kvm_get_reg_list(vcpu, None)
    failed = []
    for reg in listed:
        if reg not in blessed:
            continue
        rejects = "EPERM" if reg == KVM_REG_ARM64_SVE_VLS else ""  # once it is finalized
        errno = ""
        try:
            vals = machine.kvm_arm_get_reg(vcpu, OneReg(reg))
            machine.kvm_arm_set_reg(vcpu, OneReg(reg), vals)
        except Errno as error:
            errno = str(error)
        if errno != rejects:
            failed.append(f"{name_of(reg)}: {errno or 'accepted'}")
    return RegTest(
        name,
        missing=tuple(name_of(reg) for reg in blessed if reg not in listed),
        failed=tuple(failed),
        new=tuple(name_of(reg) or f"{reg:#x}" for reg in listed if reg not in blessed),
    )
