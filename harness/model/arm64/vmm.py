"""What a VMM does with whole vcpus: save one by ONE_REG, restore it into another.

Both take the registers in the order of KVM_GET_REG_LIST, as
Documentation/virt/kvm/api.rst asks for, and stop at the first errno.
"""

from __future__ import annotations

from harness.model.arm64.cpu.cpu import held
from harness.model.arm64.cpu.state import FFR, ZA_ROWS
from harness.model.arm64.cpu.sysreg import FPCR_MASK, FPSR_MASK, SVCR_SM_MASK
from harness.model.arm64.host.state import SveState
from harness.model.arm64.ioctls import Ioctls, Reg
from harness.model.arm64.kvm.state import Saved, Vcpu
from harness.model.arm64.kvm.uapi import (
    KVM_ARM_VCPU_SVE,
    KVM_REG_ARM64_SME_VLS,
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


class Vmm(Ioctls):
    """Save and restore, and what must come of them: the invariant `round-trip`."""

    __slots__ = ()

    def on_save(self, actor: str, name: str, dropped: tuple[str, ...] = ()) -> None:
        vcpu = self.aarch64(self.idle_vcpu(actor, name))
        sizes = {SIZES[size] for size in dropped}
        self.vcpu_ioctl(lambda: self._save(vcpu, sizes))

    def _save(self, vcpu: Vcpu, dropped: set[int]) -> None:
        regs = tuple(
            (reg, self.kvm_arm_get_reg(vcpu, OneReg(reg)))
            for reg in self.kvm_get_reg_list(vcpu, None)
            if reg & KVM_REG_SIZE_MASK not in dropped
        )
        vq, due = self._vq(vcpu), vcpu.logical
        vcpu.saved = Saved(regs, due._replace(z=due.z.limit(vq), p=due.p.limit(vq)), vq)

    def on_restore(self, actor: str, name: str, source: str, first: Reg | None = None) -> None:
        """In the order that the registers were saved in, but for one that goes before.

        Only the vector lengths go before that, since they must before FINALIZE.
        """
        vcpu, saved = self.aarch64(self.idle_vcpu(actor, name)), self.vcpus[source].saved
        if saved is None:
            raise Refused(f"{source} has not been saved; `{actor} save {source}` would do it")
        regs = saved.regs
        if first is not None:
            order = (KVM_REG_ARM64_SVE_VLS, KVM_REG_ARM64_SME_VLS, reg_id(*first))
            regs = tuple(sorted(regs, key=lambda pair: pair[0] not in order))
        self.vcpu_ioctl(lambda: self._restore(vcpu, saved._replace(regs=regs)))

    def _restore(self, vcpu: Vcpu, saved: Saved) -> None:
        """The vcpu is initialised if it is not yet, and finalized before what needs it."""
        if not vcpu.initialized:
            self.kvm_arch_vcpu_ioctl_vcpu_init(vcpu, vcpu.asked)
        for reg, vals in saved.regs:
            if sve_reg(reg) or za_row(reg) is not None or reg == SYS_REGS["svcr"]:
                self._finalize_once(vcpu)
            if reg == KVM_REG_ARM64_SME_VLS:
                continue  # every length there is, on both
            self.kvm_arm_set_reg(vcpu, OneReg(reg), vals)
        self._finalize_once(vcpu)
        self._round_trip(vcpu, saved)

    def _finalize_once(self, vcpu: Vcpu) -> None:
        if not self.kvm_arm_vcpu_is_finalized(vcpu):
            self.kvm_arm_vcpu_finalize(vcpu, KVM_ARM_VCPU_SVE)

    def _round_trip(self, vcpu: Vcpu, saved: Saved) -> None:
        """No call has failed: the guest must now read what it had."""
        vq, due = self._vq(vcpu), saved.had
        if vq != saved.vq:
            self._differs(vcpu, "VL", Val(16 * saved.vq), Val(16 * vq))
        z, p = SveState(vcpu.fpsimd_state)
        if vcpu.sve:
            z, p = vcpu.sve_state or SveState()
        self._bank(vcpu, "z" if vcpu.sve else "v", due.z, z.limit(vq))
        self._bank(vcpu, "p", due.p, p.limit(vq))
        if vcpu.sme:
            if due.svcr != vcpu.svcr:
                self._differs(vcpu, "svcr", Val(due.svcr), Val(vcpu.svcr))
            self._bank(vcpu, "za", due.za, vcpu.sme_state or EMPTY)
        fpsr, fpcr = held(vcpu.fpsr, FPSR_MASK), held(vcpu.fpcr, FPCR_MASK)
        for name, want, got in (("fpsr", due.fpsr, fpsr), ("fpcr", due.fpcr, fpcr)):
            if want.bits != got.bits:
                self._differs(vcpu, name, want, got)

    def _vq(self, vcpu: Vcpu) -> int:
        """The vector length that the guest has now."""
        return vcpu.sme_max_vl if vcpu.svcr & SVCR_SM_MASK else self.entitled_vq(vcpu)

    def _bank(self, vcpu: Vcpu, name: str, want: Bank, got: Bank) -> None:
        difference = first_difference(want, got)
        if difference:
            n, quad, due, found = difference
            if name == "za":
                n -= ZA_ROWS
            reg = "ffr" if name == "p" and n == FFR else f"{name}{n}"
            self._differs(vcpu, f"{reg}[{quad}]" if quad else reg, due, found)

    def _differs(self, vcpu: Vcpu, what: str, want: Val, got: Val) -> None:
        text = f"{vcpu.name} would read {what} = {shown(got)}, the saved vcpu had {shown(want)}"
        self.violations.append(Violation("round-trip", vcpu.name, what, text, want, got))
