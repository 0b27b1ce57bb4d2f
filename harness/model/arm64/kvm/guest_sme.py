"""arch/arm64/kvm/guest.c, reset.c and sys_regs.c, as the SME series would have them.

No release has SME guests (v7.3). What their registers are to user space was argued over in
March 2024 (the thread of 20240302111935.129994-6-maz@kernel.org), and each answer is a
`variant` here. Vcpus with SME have registers, which a VMM saves and restores; the model
does not run them. ZA is a bank of horizontal vectors, ZA.H[n].

`sme-guest` is the series as of 9 July 2026 (v12,
20260709-kvm-arm64-sme-v12-0-d0301d79ef58@kernel.org). In v13 of 20 July the patches about the ABI
have the same titles; they have not been read.

- Z and P have the length that SVCR.SM selects. With SME alone they exist in streaming mode only,
  and V exists outside it.
- FFR exists in streaming mode with FA64 only.
- A change of SVCR.SM or .ZA zeroes registers as in hardware.
- ZA and ZT0 are EBUSY while SVCR.ZA is 0, and are not listed then.
- One KVM_ARM_VCPU_FINALIZE fixes the lengths of SVE and SME.

`sme-larger-vl` has Z, P and FFR always, and V never, as v2 of the series
(20231222-kvm-arm64-sme-v2-17-da226cb180bb@kernel.org). That it lists Z, P and FFR with SME alone is
an assumption. `sme-za-raz` covers ZA and ZT0 only: the thread does not work out what it would mean
for Z, P and FFR.

The ID registers are not modelled: a vcpu with SME has SME2 and FA64 where the machine has them.
TPIDR2_EL0, SMPRI_EL1 and SMIDR_EL1 are not reached by ONE_REG here.
"""

from __future__ import annotations

from harness.model.arm64.cpu.state import ZA_ROWS, ZT0
from harness.model.arm64.cpu.sysreg import FPSR_AFTER_SM_CHANGE, SVCR_SM_MASK, SVCR_ZA_MASK
from harness.model.arm64.host.state import SveState
from harness.model.arm64.kvm.guest import Guest, longest_of, vector_lengths
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.kvm.uapi import (
    KVM_ARM_VCPU_SME,
    KVM_REG_ARM64_SME,
    KVM_REG_ARM64_SME_VLS,
    KVM_REG_ARM64_SME_ZT0,
    SVE_REG_SLICE_MASK,
    OneReg,
    reg_id,
    za_row,
)
from harness.model.base import Errno
from harness.model.values import EMPTY, ZERO, Quads, Val, spread


class SmeGuest(Guest):
    """What differs for a vcpu that has SME."""

    __slots__ = ()

    # Reset and finalisation --------------------------------------------------------

    def kvm_reset_vcpu(self, vcpu: Vcpu) -> None:
        super().kvm_reset_vcpu(vcpu)
        asked = "sme-guest" in self.fixes and vcpu.features >> KVM_ARM_VCPU_SME & 1
        if asked and not vcpu.sve_finalized:
            self.kvm_vcpu_enable_sme(vcpu)

    def kvm_vcpu_enable_sme(self, vcpu: Vcpu) -> None:
        vcpu.sme_max_vl = self.lengths.sme[-1]
        vcpu.sme = True

    def get_sme_vls(self, vcpu: Vcpu, reg: OneReg) -> Quads:
        if not vcpu.sme:
            raise Errno("ENOENT")
        self._copy_user(reg)
        return (Val(vector_lengths(self.lengths.sme, vcpu.sme_max_vl)),)

    def set_sme_vls(self, vcpu: Vcpu, reg: OneReg, vals: Quads) -> None:
        """As set_sve_vls(): before KVM_ARM_VCPU_FINALIZE, which is the same for both."""
        if not vcpu.sme:
            raise Errno("ENOENT")
        if vcpu.sve_finalized:
            raise Errno("EPERM")
        self._copy_user(reg)
        vcpu.sme_max_vl = longest_of(vals[0].bits, self.lengths.sme)

    # Z, P, FFR and V ---------------------------------------------------------------

    def vcpu_has_sve_regs(self, vcpu: Vcpu) -> bool:
        if vcpu.sme and "sme-larger-vl" in self.fixes:
            return True
        return vcpu.sve or bool(vcpu.svcr & SVCR_SM_MASK)

    def visible_vq(self, vcpu: Vcpu) -> int:
        if not vcpu.sme:
            return super().visible_vq(vcpu)
        if "sme-larger-vl" in self.fixes:
            return max(vcpu.sve_max_vl, vcpu.sme_max_vl)
        return vcpu.sme_max_vl if vcpu.svcr & SVCR_SM_MASK else vcpu.sve_max_vl

    def hides_v(self, vcpu: Vcpu) -> bool:
        return "sme-v-visible" not in self.fixes and super().hides_v(vcpu)

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
        """SVCR can be set before KVM_ARM_VCPU_FINALIZE, when there is nothing to zero but V."""
        if svcr & ~(SVCR_SM_MASK | SVCR_ZA_MASK):
            raise Errno("EINVAL")
        changed = 0 if "sme-larger-vl" in self.fixes else vcpu.svcr ^ svcr
        if changed & svcr & SVCR_ZA_MASK:
            vcpu.sme_state = EMPTY
        if changed & SVCR_SM_MASK:
            vcpu.fpsimd_state = EMPTY
            if vcpu.sve_finalized:
                vcpu.sve_state = SveState()
            vcpu.fpsr, vcpu.fpmr = Val(FPSR_AFTER_SM_CHANGE), ZERO
        vcpu.svcr = svcr

    # ZA and ZT0 ----------------------------------------------------------------------

    def is_sme_reg(self, reg: OneReg) -> bool:
        return "sme-guest" in self.fixes and self._coproc(reg) == KVM_REG_ARM64_SME

    def kvm_arm_get_reg(self, vcpu: Vcpu, reg: OneReg) -> Quads:
        return (
            self.get_sme_reg(vcpu, reg)
            if self.is_sme_reg(reg)
            else super().kvm_arm_get_reg(vcpu, reg)
        )

    def kvm_arm_set_reg(self, vcpu: Vcpu, reg: OneReg, vals: Quads) -> None:
        if self.is_sme_reg(reg):
            self.set_sme_reg(vcpu, reg, vals)
        else:
            super().kvm_arm_set_reg(vcpu, reg, vals)

    def get_sme_reg(self, vcpu: Vcpu, reg: OneReg) -> Quads:
        if reg.id == KVM_REG_ARM64_SME_VLS:
            return self.get_sme_vls(vcpu, reg)
        number, there = self.sme_reg_to_region(vcpu, reg)
        self._copy_user(reg)
        za = vcpu.sme_state if there and vcpu.sme_state else EMPTY
        return tuple(za.get(number, quad) for quad in range(4 if number == ZT0 else 16))

    def set_sme_reg(self, vcpu: Vcpu, reg: OneReg, vals: Quads) -> None:
        if reg.id == KVM_REG_ARM64_SME_VLS:
            self.set_sme_vls(vcpu, reg, vals)
            return
        number, there = self.sme_reg_to_region(vcpu, reg)
        self._copy_user(reg)
        if there:
            quads = spread(vals, 4 if number == ZT0 else vcpu.sme_max_vl)
            vcpu.sme_state = (vcpu.sme_state or EMPTY).set(number, quads)

    def sme_reg_to_region(self, vcpu: Vcpu, reg: OneReg) -> tuple[int, bool]:
        """Which register of the bank this is, and whether it is there to be read and written.

        Without SME every ZA.H[n] is in the kernel's range of ids.
        """
        row = za_row(reg.id)
        if reg.id == KVM_REG_ARM64_SME_ZT0:
            row = None
            if not vcpu.sme or not self.config.sme2:
                raise Errno("ENOENT")
        elif row is None or (vcpu.sme and row >= 16 * vcpu.sme_max_vl):
            raise Errno("EINVAL")
        elif not vcpu.sme or reg.id & SVE_REG_SLICE_MASK:
            raise Errno("ENOENT")
        on = bool(vcpu.svcr & SVCR_ZA_MASK)
        if not on and "sme-za-raz" not in self.fixes:
            raise Errno("EBUSY")
        if on and not vcpu.sve_finalized:
            raise Errno("EPERM")
        return ZT0 if row is None else ZA_ROWS + row, on

    def sme_reg_indices(self, vcpu: Vcpu) -> list[int]:
        """After SVE's and before the system registers, so SVCR comes last of all."""
        if not vcpu.sme:
            return []
        ids = [KVM_REG_ARM64_SME_VLS]
        if vcpu.svcr & SVCR_ZA_MASK or "sme-za-raz" in self.fixes:
            ids += [reg_id("za", n) for n in range(16 * vcpu.sme_max_vl)]
            if self.config.sme2:
                ids.append(KVM_REG_ARM64_SME_ZT0)
        return ids
