"""A vcpu that is saved, and restored into another."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.arm64 import due
from harness.model.arm64.cpu.cpu import supported_vq
from harness.model.arm64.cpu.sysreg import SVCR_SM_MASK, SVCR_ZA_MASK
from harness.model.arm64.due import Kept
from harness.model.arm64.host.state import SveState
from harness.model.arm64.kvm.state import Saved, Vcpu
from harness.model.arm64.kvm.uapi import (
    KVM_ARM_VCPU_SVE,
    KVM_REG_ARM64_SME_VLS,
    KVM_REG_ARM64_SME_ZT0,
    KVM_REG_ARM64_SVE_VLS,
    KVM_REG_SIZE_MASK,
    SIZES,
    SYS_REGS,
    OneReg,
    reg_id,
    sve_reg,
    za_row,
)
from harness.model.arm64.program import Program
from harness.model.arm64.registers import called
from harness.model.arm64.stimuli.ioctls import finalize_vcpu, init_vcpu
from harness.model.arm64.stimuli.one_reg import get_one_reg, set_one_reg
from harness.model.arm64.stimuli.places import aarch64
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused, Violation, shown
from harness.model.operands import VCPU, Reg, Register, words
from harness.model.shared import vcpu_ioctl
from harness.model.values import EMPTY, Bank, Val, first_difference
from harness.model.verbs import Try
from harness.model.world import World

_AFTER_FINALIZE = (SYS_REGS["svcr"], KVM_REG_ARM64_SME_ZT0)


def _saves(w: World, who: str, current: str) -> Iterator[Try]:
    yield from (Try(("vmm",), (vcpu,)) for vcpu in w.vcpus_of(who))


@VERBS.verb(
    "saves a vcpu by ONE_REG, in KVM_GET_REG_LIST order, up to the first errno; a VMM that cannot "
    "hold registers of a size (`U2048`) leaves them out",
    *(VCPU, words(SIZES, several=True, called="SIZE, ...")),
    when=aarch64,
    tries=_saves,
    leads=[(None,)],
)
def save(m: Program, actor: str, name: str, dropped: tuple[str, ...] = ()) -> None:
    vcpu = m.vcpus[name]
    sizes = {SIZES[size] for size in dropped}
    vcpu_ioctl(m, lambda: save_vcpu(m, vcpu, sizes))


def save_vcpu(m: Program, vcpu: Vcpu, dropped: set[int]) -> None:
    regs = tuple(
        (reg, get_one_reg(m, vcpu, OneReg(reg)))
        for reg in m.kvm_get_reg_list(vcpu, None)
        if reg & KVM_REG_SIZE_MASK not in dropped
    )
    vcpu.saved = regs
    owed, vq = m.vcpu_due[vcpu.name], m.entitled_vq(vcpu)
    had = owed.regs._replace(z=owed.regs.z.limit(vq), p=owed.regs.p.limit(vq))
    owed.kept = Kept(had, owed.sys, vq, owed.sme_vq)


def _can_restore(m: Program, actor: str, name: str, source: str, first: Reg | None = None) -> None:
    aarch64(m, actor, name)
    if m.vcpus[source].saved is None:
        raise Refused(f"{source} has not been saved")


def _restores(w: World, who: str, current: str) -> Iterator[Try]:
    yield from (Try(("vmm",), (vcpu, vcpu)) for vcpu in w.vcpus_of(who))


@VERBS.verb(
    "restores it into another (or the same), which it initialises "
    "and finalizes where that is still to be done; one register can go first",
    *(VCPU, VCPU, Register("one_reg")),
    when=_can_restore,
    tries=_restores,
)
def restore(m: Program, actor: str, name: str, source: str, first: Reg | None = None) -> None:
    """In the order that the registers were saved in, but for one that goes before.

    Only the vector lengths go before that, since they must before FINALIZE. Those of SME
    always do: they are listed behind Z, which needs FINALIZE.
    """
    vcpu, saved, kept = m.vcpus[name], m.vcpus[source].saved, m.vcpu_due[source].kept
    assert saved is not None
    assert kept is not None
    order: tuple[int, ...] = (KVM_REG_ARM64_SME_VLS,)
    if first is not None:
        order = (KVM_REG_ARM64_SVE_VLS, KVM_REG_ARM64_SME_VLS, reg_id(*first))
    regs = tuple(sorted(saved, key=lambda pair: pair[0] not in order))
    vcpu_ioctl(m, lambda: restore_vcpu(m, vcpu, regs, kept))


def restore_vcpu(m: Program, vcpu: Vcpu, saved: Saved, kept: Kept) -> None:
    """The vcpu is initialised if it is not yet, and finalized before what needs it."""
    if not vcpu.initialized:
        init_vcpu(m, vcpu, vcpu.asked)
    for reg, vals in saved:
        if sve_reg(reg) or za_row(reg) is not None or reg in _AFTER_FINALIZE:
            _finalize_once(m, vcpu)
        set_one_reg(m, vcpu, OneReg(reg), vals)
    _finalize_once(m, vcpu)
    _round_trip(m, vcpu, kept)


def _finalize_once(m: Program, vcpu: Vcpu) -> None:
    if not m.kvm_arm_vcpu_is_finalized(vcpu):
        finalize_vcpu(m, vcpu, KVM_ARM_VCPU_SVE)


def _round_trip(m: Program, vcpu: Vcpu, kept: Kept) -> None:
    """No call has failed: the guest must now find what it had, listed or not.

    What it would find is what stands in the vcpu, which is not loaded: each register that
    a guest can name (its system registers too), and its vector length.
    """
    had, sys, vq, sme_vq = kept
    z, p = SveState(vcpu.fpsimd_state)
    vectors = m.vcpu_has_sve_regs(vcpu)
    if vectors:
        z, p = vcpu.sve_state or SveState()
    _bank(m, vcpu, "z" if vectors else "v", had.z, z.limit(vq))
    _bank(m, vcpu, "p", had.p, p.limit(vq))
    if vcpu.sme and had.svcr & SVCR_ZA_MASK:
        _bank(m, vcpu, "za", had.za, vcpu.sme_state or EMPTY)
    for name, want, got in (
        ("VL", Val(16 * vq), Val(16 * _vq(m, vcpu))),
        ("SVL", Val(16 * sme_vq), Val(16 * vcpu.sme_max_vl if vcpu.sme else 0)),
        ("fpsr", had.fpsr, vcpu.fpsr),
        ("fpcr", had.fpcr, vcpu.fpcr),
        ("fpmr", had.fpmr, vcpu.fpmr),
        ("svcr", Val(had.svcr), Val(vcpu.svcr)),
        ("cpacr_el1", Val(sys.cpacr_el1), Val(vcpu.cpacr_el1)),
        ("zcr_el1", Val(sys.zcr_el1), Val(vcpu.zcr_el1)),
        ("smcr_el1", Val(sys.smcr_el1), Val(vcpu.smcr_el1)),
        ("dbgbvr0_el1", sys.dbgbvr0_el1, vcpu.debug.dbgbvr0_el1),
        ("dbgbvr1_el1", sys.dbgbvr1_el1, vcpu.debug.dbgbvr1_el1),
    ):
        got = due.kept(name, got, m.abi)
        if name == "fpmr" and not vcpu.fpmr_vm:
            continue  # the host's may be there; an access of this guest's traps
        if want.bits != got.bits:
            _differs(m, vcpu, name, want, got)


def _vq(m: Program, vcpu: Vcpu) -> int:
    """The vector length that the guest would find."""
    if vcpu.svcr & SVCR_SM_MASK:
        return vcpu.sme_max_vl
    asks = due.kept("zcr_el1", Val(vcpu.zcr_el1)).bits + 1
    return supported_vq(min(asks, vcpu.sve_max_vl), m.host_lengths(vcpu))


def _bank(m: Program, vcpu: Vcpu, name: str, want: Bank, got: Bank) -> None:
    difference = first_difference(want, got)
    if difference:
        n, quad, owed, found = difference
        reg = called(name, n)
        _differs(m, vcpu, f"{reg}[{quad}]" if quad else reg, owed, found)


def _differs(m: Program, vcpu: Vcpu, what: str, want: Val, got: Val) -> None:
    text = f"{vcpu.name} would read {what} = {shown(got)}, the saved vcpu had {shown(want)}"
    m.violations.append(Violation("round-trip", vcpu.name, what, text, want, got))
