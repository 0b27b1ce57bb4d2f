"""arch/arm64/kvm/guest.c and sys_regs.c, as the SME series would have them.

No release has SME guests (v7.2). What their registers are to user space was argued over in
March 2024 (the thread of 20240302111935.129994-6-maz@kernel.org), and each answer is a
`variant` here. Vcpus with SME have registers, which a VMM saves and restores; the model
does not run them. ZA is a bank of horizontal vectors, ZA.H[n]; ZT0 is left out.

`sme-guest` is the series as of July 2026 (v12): Z and P have the length that SVCR.SM selects,
a change of SVCR.SM or .ZA zeroes registers as in hardware, ZA is EBUSY while SVCR.ZA is 0.
"""

from __future__ import annotations

from harness.model.arm64.cpu.state import ZA_ROWS
from harness.model.arm64.cpu.sysreg import FPSR_AFTER_SM_CHANGE, SVCR_SM_MASK, SVCR_ZA_MASK
from harness.model.arm64.host.state import SveState
from harness.model.arm64.kvm.guest import Guest
from harness.model.arm64.kvm.state import Errno, Vcpu
from harness.model.arm64.kvm.uapi import (
    KVM_REG_ARM64_SME,
    KVM_REG_ARM64_SME_VLS,
    SVE_REG_SLICE_MASK,
    OneReg,
    reg_id,
    za_row,
)
from harness.model.values import EMPTY, ZERO, Quads, Val, spread


class SmeGuest(Guest):
    """What differs for a vcpu that has SME."""

    __slots__ = ()

    # Z, P and V ------------------------------------------------------------------

    def visible_vq(self, vcpu: Vcpu) -> int:
        if not vcpu.sme:
            return super().visible_vq(vcpu)
        if "sme-larger-vl" in self.fixes:
            return max(vcpu.sve_max_vl, vcpu.sme_max_vl)
        return vcpu.sme_max_vl if vcpu.svcr & SVCR_SM_MASK else vcpu.sve_max_vl

    def hides_v(self, vcpu: Vcpu) -> bool:
        if "sme-v-visible" in self.fixes:
            return False
        return vcpu.sme or super().hides_v(vcpu)

    def vcpu_ffr_enabled(self, vcpu: Vcpu) -> bool:
        """Not in streaming mode without FA64: from v10 of the series on."""
        if not vcpu.svcr & SVCR_SM_MASK or "sme-larger-vl" in self.fixes:
            return super().vcpu_ffr_enabled(vcpu)
        return self.config.fa64

    # SVCR and SMCR_EL1 -------------------------------------------------------------

    def sys_reg_visible(self, vcpu: Vcpu, name: str) -> bool:
        return vcpu.sme if name in ("svcr", "smcr_el1") else super().sys_reg_visible(vcpu, name)

    def sys_reg_get(self, vcpu: Vcpu, name: str) -> Val:
        if name in ("svcr", "smcr_el1"):
            return Val(vcpu.svcr if name == "svcr" else vcpu.smcr_el1)
        return super().sys_reg_get(vcpu, name)

    def sys_reg_set(self, vcpu: Vcpu, name: str, val: Val) -> None:
        if name == "svcr":
            self.set_svcr(vcpu, val.bits)
        elif name == "smcr_el1":
            vcpu.smcr_el1 = val.bits
        else:
            super().sys_reg_set(vcpu, name, val)

    def set_svcr(self, vcpu: Vcpu, svcr: int) -> None:
        if svcr & ~(SVCR_SM_MASK | SVCR_ZA_MASK):
            raise Errno("EINVAL")
        changed = 0 if "sme-larger-vl" in self.fixes else vcpu.svcr ^ svcr
        if changed & svcr & SVCR_ZA_MASK:
            vcpu.sme_state = EMPTY
        if changed & SVCR_SM_MASK:
            vcpu.sve_state, vcpu.fpsimd_state = SveState(), EMPTY
            vcpu.fpsr, vcpu.fpmr = Val(FPSR_AFTER_SM_CHANGE), ZERO
        vcpu.svcr = svcr

    # ZA ------------------------------------------------------------------------------

    def is_sme_reg(self, vcpu: Vcpu, reg: OneReg) -> bool:
        return vcpu.sme and self._coproc(reg) == KVM_REG_ARM64_SME

    def kvm_arm_get_reg(self, vcpu: Vcpu, reg: OneReg) -> Quads:
        if not self.is_sme_reg(vcpu, reg):
            return super().kvm_arm_get_reg(vcpu, reg)
        if reg.id == KVM_REG_ARM64_SME_VLS:
            self._copy_user(reg)
            return (Val(sum(1 << vq - 1 for vq in self.lengths.sme)),)
        row = self.sme_reg_to_region(vcpu, reg)
        self._copy_user(reg)
        za = EMPTY if row < 0 else vcpu.sme_state or EMPTY
        return tuple(za.get(ZA_ROWS + row, quad) for quad in range(16))

    def kvm_arm_set_reg(self, vcpu: Vcpu, reg: OneReg, vals: Quads) -> None:
        if not self.is_sme_reg(vcpu, reg):
            super().kvm_arm_set_reg(vcpu, reg, vals)
            return
        if reg.id == KVM_REG_ARM64_SME_VLS:
            raise Errno("EPERM")  # SVE and SME are finalized together, with every length
        row = self.sme_reg_to_region(vcpu, reg)
        self._copy_user(reg)
        if row >= 0:
            quads = spread(vals, vcpu.sme_max_vl)
            vcpu.sme_state = (vcpu.sme_state or EMPTY).set(ZA_ROWS + row, quads)

    def sme_reg_to_region(self, vcpu: Vcpu, reg: OneReg) -> int:
        """Which ZA.H[n] a slice is of; -1 where reads give zero and writes do nothing."""
        row = za_row(reg.id)
        if row is None or row >= 16 * vcpu.sme_max_vl:
            raise Errno("EINVAL")
        if reg.id & SVE_REG_SLICE_MASK:
            raise Errno("ENOENT")
        if not vcpu.svcr & SVCR_ZA_MASK:
            if "sme-za-raz" in self.fixes:
                return -1
            raise Errno("EBUSY")
        if not vcpu.sve_finalized:
            raise Errno("EPERM")
        return row

    def sme_reg_indices(self, vcpu: Vcpu) -> list[int]:
        """After SVE's and before the system registers, so SVCR comes last of all."""
        if not vcpu.sme:
            return []
        ids = [KVM_REG_ARM64_SME_VLS]
        if vcpu.svcr & SVCR_ZA_MASK or "sme-za-raz" in self.fixes:
            ids += [reg_id("za", n) for n in range(16 * vcpu.sme_max_vl)]
        return ids
