"""What a VMM does with whole vcpus: save one by ONE_REG, restore it into another.

Both take the registers in the order of KVM_GET_REG_LIST, as
Documentation/virt/kvm/api.rst asks for, and stop at the first errno.
"""

from __future__ import annotations

from harness.model.arm64 import due
from harness.model.arm64.cpu.cpu import supported_vq
from harness.model.arm64.cpu.state import FFR, ZA_ROWS, ZT0
from harness.model.arm64.cpu.sysreg import SVCR_SM_MASK, SVCR_ZA_MASK
from harness.model.arm64.due import Kept
from harness.model.arm64.host.state import SveState
from harness.model.arm64.ioctls import Ioctls, Reg
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
from harness.model.base import Refused, Violation, shown
from harness.model.values import EMPTY, Bank, Val, first_difference

_AFTER_FINALIZE = (SYS_REGS["svcr"], KVM_REG_ARM64_SME_ZT0)


class Vmm(Ioctls):
    """Save and restore, and what must come of them: the invariant `round-trip`."""

    __slots__ = ()

    def on_save(self, actor: str, name: str, dropped: tuple[str, ...] = ()) -> None:
        vcpu = self.aarch64(self.idle_vcpu(actor, name))
        sizes = {SIZES[size] for size in dropped}
        self.vcpu_ioctl(lambda: self._save(vcpu, sizes))

    def _save(self, vcpu: Vcpu, dropped: set[int]) -> None:
        regs = tuple(
            (reg, self.get_one_reg(vcpu, OneReg(reg)))
            for reg in self.kvm_get_reg_list(vcpu, None)
            if reg & KVM_REG_SIZE_MASK not in dropped
        )
        vcpu.saved = regs
        owed, vq = self.vcpu_due[vcpu.name], self.entitled_vq(vcpu)
        had = owed.regs._replace(z=owed.regs.z.limit(vq), p=owed.regs.p.limit(vq))
        owed.kept = Kept(had, owed.sys, vq, owed.sme_vq)

    def on_restore(self, actor: str, name: str, source: str, first: Reg | None = None) -> None:
        """In the order that the registers were saved in, but for one that goes before.

        Only the vector lengths go before that, since they must before FINALIZE. Those of SME
        always do: they are listed behind Z, which needs FINALIZE.
        """
        vcpu, saved = self.aarch64(self.idle_vcpu(actor, name)), self.vcpus[source].saved
        if saved is None:
            raise Refused(f"{source} has not been saved")
        order: tuple[int, ...] = (KVM_REG_ARM64_SME_VLS,)
        if first is not None:
            order = (KVM_REG_ARM64_SVE_VLS, KVM_REG_ARM64_SME_VLS, reg_id(*first))
        regs = tuple(sorted(saved, key=lambda pair: pair[0] not in order))
        kept = self.vcpu_due[source].kept
        assert kept is not None
        self.vcpu_ioctl(lambda: self._restore(vcpu, regs, kept))

    def _restore(self, vcpu: Vcpu, saved: Saved, kept: Kept) -> None:
        """The vcpu is initialised if it is not yet, and finalized before what needs it."""
        if not vcpu.initialized:
            self.init_vcpu(vcpu, vcpu.asked)
        for reg, vals in saved:
            if sve_reg(reg) or za_row(reg) is not None or reg in _AFTER_FINALIZE:
                self._finalize_once(vcpu)
            self.set_one_reg(vcpu, OneReg(reg), vals)
        self._finalize_once(vcpu)
        self._round_trip(vcpu, kept)

    def _finalize_once(self, vcpu: Vcpu) -> None:
        if not self.kvm_arm_vcpu_is_finalized(vcpu):
            self.finalize_vcpu(vcpu, KVM_ARM_VCPU_SVE)

    def _round_trip(self, vcpu: Vcpu, kept: Kept) -> None:
        """No call has failed: the guest must now find what it had, listed or not.

        What it would find is what stands in the vcpu, which is not loaded: each register that
        a guest can name (its system registers too), and its vector length.
        """
        had, sys, vq, sme_vq = kept
        z, p = SveState(vcpu.fpsimd_state)
        vectors = self.vcpu_has_sve_regs(vcpu)
        if vectors:
            z, p = vcpu.sve_state or SveState()
        self._bank(vcpu, "z" if vectors else "v", had.z, z.limit(vq))
        self._bank(vcpu, "p", had.p, p.limit(vq))
        if vcpu.sme and had.svcr & SVCR_ZA_MASK:
            self._bank(vcpu, "za", had.za, vcpu.sme_state or EMPTY)
        for name, want, got in (
            ("VL", Val(16 * vq), Val(16 * self._vq(vcpu))),
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
            got = due.kept(name, got, self.abi)
            if name == "fpmr" and not vcpu.fpmr_vm:
                continue  # the host's may be there; an access of this guest's traps
            if want.bits != got.bits:
                self._differs(vcpu, name, want, got)

    def _vq(self, vcpu: Vcpu) -> int:
        """The vector length that the guest would find."""
        if vcpu.svcr & SVCR_SM_MASK:
            return vcpu.sme_max_vl
        asks = due.kept("zcr_el1", Val(vcpu.zcr_el1)).bits + 1
        return supported_vq(min(asks, vcpu.sve_max_vl), self.host_lengths(vcpu))

    def _bank(self, vcpu: Vcpu, name: str, want: Bank, got: Bank) -> None:
        difference = first_difference(want, got)
        if difference:
            n, quad, owed, found = difference
            reg = "ffr" if name == "p" and n == FFR else f"{name}{n}"
            if name == "za":
                reg = "zt0" if n == ZT0 else f"za{n - ZA_ROWS}"
            self._differs(vcpu, f"{reg}[{quad}]" if quad else reg, owed, found)

    def _differs(self, vcpu: Vcpu, what: str, want: Val, got: Val) -> None:
        text = f"{vcpu.name} would read {what} = {shown(got)}, the saved vcpu had {shown(want)}"
        self.violations.append(Violation("round-trip", vcpu.name, what, text, want, got))
