"""arch/arm64/kvm/hyp/nvhe/switch.c and hyp-main.c"""

from __future__ import annotations

from harness.model.arm64.cpu.made import mpidr
from harness.model.arm64.cpu.sysreg import (
    CPACR_EL1_FPEN,
    CPACR_EL1_SMEN,
    CPACR_EL1_TTA,
    CPACR_EL1_ZEN,
    CPTR_EL2_TAM,
    CPTR_EL2_TFP,
    CPTR_EL2_TSM,
    CPTR_EL2_TTA,
    CPTR_EL2_TZ,
    CPTR_NVHE_EL2_RES1,
)
from harness.model.arm64.kvm.state import FP_STATE_GUEST_OWNED, Vcpu
from harness.model.arm64.kvm.switch import HypSwitch
from harness.model.base import kernel_function


class Nvhe(HypSwitch):
    """The kernel runs at EL1 beside its guests; hyp swaps EL1's registers."""

    __slots__ = ()

    def kvm_vcpu_run_enter(self, vcpu: Vcpu) -> bool:
        """handle___kvm_vcpu_run() up to the guest."""
        if "eager-zcr" in self.fixes:
            self.fpsimd_lazy_switch_to_guest(vcpu)
        self.enter(vcpu)
        return True

    def kvm_vcpu_run_exit(self, vcpu: Vcpu) -> None:
        """handle___kvm_vcpu_run() from the guest on."""
        self.leave(vcpu)
        if "kvm-fp-2018" in self.fixes and "eager-zcr" in self.fixes:
            self.fpsimd_lazy_switch_to_host(vcpu)

    @kernel_function("__kvm_vcpu_run")
    def enter(self, vcpu: Vcpu) -> None:
        cpu = self.cpu
        host = self.hyp_host_data
        host.hyp_running_vcpu = vcpu.name
        host.host_ctxt_cpacr = cpu.cpacr_el1  # __sysreg_save_state_nvhe()
        if self.debug_side:
            self.debug_save_host_buffers_nvhe()
        cpu.cpacr_el1 = vcpu.cpacr_el1 & self.el1_masks["cpacr_el1"]
        cpu.vmpidr_el2 = mpidr(0)  # the vcpu's own; its number does not matter here
        if "kvm-fp-2018" in self.fixes and "drop-host-sve" not in self.fixes:
            self.update_fp_enabled(vcpu)
        self.activate_traps(vcpu)
        if self.debug_side:
            self.activate_traps_common(vcpu)
            self.debug_switch_to_guest(vcpu)

    @kernel_function("__activate_traps")
    def activate_traps(self, vcpu: Vcpu) -> None:
        owned = self.guest_owns_fp_regs(vcpu)
        val = CPTR_NVHE_EL2_RES1 | CPTR_EL2_TTA | CPTR_EL2_TAM
        if self.system_supports_sme and "sme-trap-guest" in self.fixes:
            val |= CPTR_EL2_TSM
        if not owned:
            val |= CPTR_EL2_TFP | CPTR_EL2_TZ
        elif "cptr-scratch" in self.fixes or "nvhe-sve" not in self.fixes:
            if not vcpu.sve:
                val |= CPTR_EL2_TZ
        elif vcpu.cptr_tz:
            val |= CPTR_EL2_TZ
        self.write_cptr_el2(val)

    def read_cptr_el2(self) -> int:
        return self.cpu.cptr_el2

    def write_cptr_el2(self, val: int) -> None:
        self.cpu.cptr_el2 = val
        if self.recording:
            self.note("reg", f"cptr_el2 := {val:#x}")

    def open_fpsimd_traps(self, vcpu: Vcpu) -> None:
        self.write_cptr_el2(
            self.read_cptr_el2() & ~(CPTR_EL2_TFP | (CPTR_EL2_TZ if vcpu.sve else 0))
        )

    @kernel_function("__guest_exit")
    def leave(self, vcpu: Vcpu) -> None:
        cpu, host = self.cpu, self.hyp_host_data
        vcpu.cpacr_el1 = cpu.cpacr_el1
        self.deactivate_traps(vcpu)
        cpu.cpacr_el1 = host.host_ctxt_cpacr  # __sysreg_restore_state_nvhe()
        cpu.vmpidr_el2 = host.host_ctxt_mpidr
        host.hyp_running_vcpu = ""
        if self.debug_side:
            self.deactivate_traps_common(vcpu)
            self.debug_switch_to_host(vcpu)
            self.debug_restore_host_buffers_nvhe()
        if "kvm-fp-2018" not in self.fixes:
            self.restore_host_fpsimd(vcpu)

    def hyp_panic_restore(self, vcpu: Vcpu) -> None:
        super().hyp_panic_restore(vcpu)
        self.cpu.cpacr_el1 = self.hyp_host_data.host_ctxt_cpacr
        self.cpu.vmpidr_el2 = self.hyp_host_data.host_ctxt_mpidr

    @kernel_function("__deactivate_traps")
    def deactivate_traps(self, vcpu: Vcpu) -> None:
        """Open everything for the host, but SVE if ZCR_EL2 is still the guest's."""
        left = "nvhe-tsm-left" in self.fixes and self.system_supports_sme and not self.config.hvhe
        tsm = CPTR_EL2_TSM if left else 0
        self.write_cptr_el2(CPTR_NVHE_EL2_RES1 | self.host_tz(vcpu) | tsm)

    def host_tz(self, vcpu: Vcpu) -> int:
        """CPTR_EL2.TZ as kvm_get_reset_cptr_el2() has it, v5.13 to v6.13."""
        lazy = "nvhe-sve" in self.fixes and "eager-zcr" not in self.fixes
        return CPTR_EL2_TZ if lazy and vcpu.sve and self.guest_owns_fp_regs(vcpu) else 0

    def host_sve_access(self) -> None:
        """handle_trap() in hyp-main.c: the host's own SVE access has trapped to EL2."""
        if self.read_cptr_el2() & CPTR_EL2_TZ:
            self.write_cptr_el2(self.read_cptr_el2() & ~CPTR_EL2_TZ)
            self.write_hyp_zcr(self.lengths.sve[-1] - 1)

    def host_sme_access(self) -> None:
        """handle_trap() knows no SME: only stable trees let it come to that."""
        if self.read_cptr_el2() & CPTR_EL2_TSM:
            self.bug("handle_trap: BUG() in hyp, the host's SME access traps to EL2")

    def vcpu_init(self, vcpu: Vcpu) -> None:
        """KVM_ARM_VCPU_INIT: vcpu->arch.cptr_el2 gets its value, v6.5 to v6.13.

        It depends on an owner that vcpu_put has left behind: until v6.9 the
        vcpu's own, from v6.10 that of the CPU on which the ioctl happens to run.
        """
        super().vcpu_init(vcpu)
        owned = self.fp_owner(vcpu) is FP_STATE_GUEST_OWNED
        vcpu.cptr_tz = vcpu.sve and owned and "cptr-reset" in self.fixes


# What CPTR_EL2 calls a trap with HCR_EL2.E2H = 0, and what is open otherwise with E2H = 1.
_PAIRS = (
    (CPTR_EL2_TFP, CPACR_EL1_FPEN),
    (CPTR_EL2_TZ, CPACR_EL1_ZEN),
    (CPTR_EL2_TSM, CPACR_EL1_SMEN),
)


class Hvhe(Nvhe):
    """nVHE's hyp on a CPU with VHE, which it uses for itself: CPTR_EL2 looks like CPACR_EL1.

    The kernel stays at EL1, with a CPACR_EL1 of its own. Hyp's decisions are
    nVHE's; it is the register that says them in another way (has_hvhe() in
    kvm_get_reset_cptr_el2(), __activate_traps() and handle_trap()).
    """

    __slots__ = ()

    def read_cptr_el2(self) -> int:
        val = self.cpu.cptr_el2
        return sum(trap for trap, open_ in _PAIRS if not val & open_ & ~self.cpacr_res0)

    def write_cptr_el2(self, val: int) -> None:
        e2h = val & CPTR_EL2_TAM | (CPACR_EL1_TTA if val & CPTR_EL2_TTA else 0)
        e2h |= sum(open_ for trap, open_ in _PAIRS if not val & trap)
        super().write_cptr_el2(e2h & ~self.cpacr_res0)
