"""arch/arm64/kvm/hyp/vhe/switch.c"""

from __future__ import annotations

from harness.model.arm64.cpu.sysreg import (
    CPACR_EL1_FPEN,
    CPACR_EL1_SMEN,
    CPACR_EL1_SMEN_EL1EN,
    CPACR_EL1_TTA,
    CPACR_EL1_ZEN,
    CPACR_EL1_ZEN_EL1EN,
    CPTR_EL2_TAM,
    HCR_TGE,
)
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.kvm.switch import HypSwitch
from harness.model.base import kernel_function

CPACR_EL1_DEFAULT = CPACR_EL1_FPEN | CPACR_EL1_ZEN_EL1EN


class Vhe(HypSwitch):
    """The kernel runs at EL2; its CPACR_EL1 is CPTR_EL2, the guest's stays its own."""

    __slots__ = ()

    @kernel_function("__kvm_vcpu_run_vhe")
    def kvm_vcpu_run_enter(self, vcpu: Vcpu) -> bool:
        if "eager-zcr" in self.fixes:
            self.fpsimd_lazy_switch_to_guest(vcpu)
        if "kvm-fp-2018" in self.fixes and "drop-host-sve" not in self.fixes:
            self.update_fp_enabled(vcpu)
        self.activate_traps(vcpu)
        self.kvm_host_data[self.cpu.id].hyp_running_vcpu = vcpu.name
        if self.debug_side:
            self.debug_switch_to_guest(vcpu)
        self.cpu.hcr_el2 &= ~HCR_TGE
        return True

    @kernel_function("__activate_traps")
    def activate_traps(self, vcpu: Vcpu) -> None:
        val = CPTR_EL2_TAM | CPACR_EL1_TTA
        if self.guest_owns_fp_regs(vcpu):
            val |= CPACR_EL1_FPEN
            if vcpu.sve:
                val |= CPACR_EL1_ZEN
        self.write_sysreg(val, "cpacr_el1")

    def open_fpsimd_traps(self, vcpu: Vcpu) -> None:
        self.sysreg_clear_set("cpacr_el1", 0, CPACR_EL1_FPEN | (CPACR_EL1_ZEN if vcpu.sve else 0))

    @kernel_function("__guest_exit")
    def kvm_vcpu_run_exit(self, vcpu: Vcpu) -> None:
        self.cpu.hcr_el2 |= HCR_TGE
        self.kvm_host_data[self.cpu.id].hyp_running_vcpu = ""
        self.deactivate_traps(vcpu)
        if self.debug_side:
            self.debug_switch_to_host(vcpu)
        if "kvm-fp-2018" not in self.fixes:
            self.restore_host_fpsimd(vcpu)
        elif "eager-zcr" in self.fixes:
            self.fpsimd_lazy_switch_to_host(vcpu)

    def hyp_panic_restore(self, vcpu: Vcpu) -> None:
        self.cpu.hcr_el2 |= HCR_TGE
        super().hyp_panic_restore(vcpu)

    @kernel_function("__deactivate_traps")
    def deactivate_traps(self, vcpu: Vcpu) -> None:
        if "cptr-split" in self.fixes:
            val = CPACR_EL1_FPEN
            val |= CPACR_EL1_ZEN if self.system_supports_sve else 0
            val |= CPACR_EL1_SMEN if self.system_supports_sme else 0
        else:
            val = CPACR_EL1_DEFAULT
            if "sme-reset-smen" in self.fixes and self.system_supports_sme:
                val |= CPACR_EL1_SMEN_EL1EN
        self.write_sysreg(val, "cpacr_el1")
