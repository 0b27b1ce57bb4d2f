"""arch/arm64/kvm/debug.c and pmu.c: what the kernel decides of a vcpu's debug side.

MDSCR_EL1 is not modelled: a guest is one that leaves MDE and KDE clear, so its
breakpoint registers are switched from their first use to the next guest exit
(or, from v6.14, to vcpu_put).
"""

from __future__ import annotations

from typing import Any

from harness.model.arm64.cpu.state import UNSET, SysRegs
from harness.model.arm64.cpu.sysreg import (
    HFG_SME,
    MDCR_EL2_E2PB,
    MDCR_EL2_E2TB,
    MDCR_EL2_HPMN,
    MDCR_EL2_TDA,
    MDCR_EL2_TDRA,
    MDCR_EL2_TPM,
    PMUSERENR_ER_CR,
)
from harness.model.arm64.kvm.fpsimd import KvmFpsimd
from harness.model.arm64.kvm.state import Vcpu
from harness.model.base import kernel_function
from harness.model.values import Val


class Debug(KvmFpsimd):
    """Debug registers, MDCR_EL2 and PMUSERENR_EL0 around vcpu_load and KVM_RUN."""

    __slots__ = ()

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        boot = self.host_boot_sysregs()
        for cpu in self.cpus:
            cpu.sys = boot
            cpu.pmscr_el12 = self.config.pmscr_reset if self.has_vhe else 0
            self.run_on(cpu.id)
            self.cpu_hyp_reinit()

    def host_boot_sysregs(self) -> SysRegs:
        """As the boot code leaves them (asm/el2_setup.h)."""
        if not self.debug_side:
            return UNSET
        mdcr = MDCR_EL2_HPMN if self.config.pmu else 0
        if not self.has_vhe:  # the buffers are EL1's
            mdcr |= MDCR_EL2_E2PB if self.config.spe else 0
            mdcr |= MDCR_EL2_E2TB if self.config.trbe else 0
        hfg = HFG_SME if self.config.fgt and self.sme_host else 0
        return SysRegs(mdcr_el2=mdcr, hfgrtr_el2=hfg, hfgwtr_el2=hfg)

    def cpu_hyp_reinit(self) -> None:
        """cpu_hyp_init_features() in arm.c, at boot and where a CPU has lost its registers."""
        if self.has_vhe and self.config.spe and "pmscr-init-vhe" in self.fixes:
            self.kvm_debug_init_vhe()

    def kvm_debug_init_vhe(self) -> None:
        self.cpu.pmscr_el12 = 0

    # What the host does with its own registers ----------------------------------

    @kernel_function()
    def update_pmuserenr(self, on: bool) -> None:
        """drivers/perf/arm_pmuv3.c: open or close the counters to EL0."""
        val = PMUSERENR_ER_CR if on else 0
        if "pmuserenr-loaded" in self.fixes and self.kvm_set_pmuserenr(val):
            return
        self.set_sys(pmuserenr_el0=val)

    @kernel_function()
    def kvm_set_pmuserenr(self, val: int) -> bool:
        """While a guest's PMUSERENR_EL0 is on the CPU, a change is kept for vcpu_put."""
        if not self.has_vhe:
            return False
        vcpu = self.vcpus.get(self.current.vcpu)
        if vcpu is None or not vcpu.debug.pmuserenr_on_cpu:
            return False
        self.host_data.host_ctxt_pmuserenr = val
        return True

    # Around a vcpu's run -----------------------------------------------------------

    def mdcr_el2_of(self, vcpu: Vcpu) -> int:
        mdcr = MDCR_EL2_TDRA | (MDCR_EL2_HPMN | MDCR_EL2_TPM if self.config.pmu else 0)
        return mdcr if vcpu.debug.in_use else mdcr | MDCR_EL2_TDA

    @kernel_function()
    def kvm_arm_setup_mdcr_el2(self, vcpu: Vcpu) -> None:
        """Compute the guest's MDCR_EL2; from v6.14 on it goes to the CPU at once under VHE."""
        vcpu.debug = vcpu.debug._replace(mdcr_el2=self.mdcr_el2_of(vcpu))
        if self.has_vhe and "mdcr-at-load" in self.fixes:
            self.set_sys(mdcr_el2=vcpu.debug.mdcr_el2)

    def kvm_arm_vcpu_init_debug(self, vcpu: Vcpu) -> None:
        """At the first run, v5.13 to v6.13, so that vcpu_load has more than zero to load."""
        first = not vcpu.debug.mdcr_el2
        if first and "mdcr-init" in self.fixes and "mdcr-at-load" not in self.fixes:
            self.kvm_arm_setup_mdcr_el2(vcpu)

    def kvm_vcpu_load_debug(self, vcpu: Vcpu) -> None:
        """At vcpu_load, from v6.14 on, before kvm_vcpu_load_vhe()."""
        if self.has_vhe and "mdcr-host-vhe" in self.fixes:
            self.save_host_mdcr_el2()
        if "debug-owner" in self.fixes:
            vcpu.debug = vcpu.debug._replace(in_use=False)
        if "mdcr-at-load" in self.fixes:
            self.kvm_arm_setup_mdcr_el2(vcpu)

    def kvm_vcpu_put_debug(self, vcpu: Vcpu) -> None:
        """At vcpu_put, from v6.14 on, before kvm_vcpu_put_vhe()."""
        if self.has_vhe and "mdcr-host-vhe" in self.fixes:
            self.restore_host_mdcr_el2()

    def save_host_mdcr_el2(self) -> None:
        """host_debug_state.mdcr_el2 (until v6.9 vcpu->arch.mdcr_el2_host)."""
        host = self.hyp_host_data
        host.host_debug_state = host.host_debug_state._replace(mdcr_el2=self.cpu.sys.mdcr_el2)

    def restore_host_mdcr_el2(self) -> None:
        self.set_sys(mdcr_el2=self.hyp_host_data.host_debug_state.mdcr_el2)

    def kvm_arm_setup_debug(self, vcpu: Vcpu) -> None:
        """Before each entry; from v6.14 nothing is left to do there."""
        if "mdcr-at-load" in self.fixes:
            return
        before = vcpu.debug.mdcr_el2
        self.kvm_arm_setup_mdcr_el2(vcpu)
        changed = vcpu.debug.mdcr_el2 != before  # since vcpu_load
        if self.has_vhe and changed and "mdcr-entry" in self.fixes:
            self.set_sys(mdcr_el2=vcpu.debug.mdcr_el2)

    @kernel_function()
    def trap_debug_regs(self, vcpu: Vcpu, name: str, val: Val | None) -> None:
        """A guest's access to DBGBVR<n>_EL1 has left the guest: emulate it (sys_regs.c)."""
        if val is not None:
            self.set_dbg_bvr(vcpu, name, val)
        if "debug-owner" in self.fixes:  # kvm_debug_set_guest_ownership()
            vcpu.debug = vcpu.debug._replace(in_use=True)
            if "mdcr-at-load" in self.fixes:
                self.kvm_arm_setup_mdcr_el2(vcpu)
        elif val is not None:
            vcpu.debug = vcpu.debug._replace(in_use=True)  # DEBUG_DIRTY
