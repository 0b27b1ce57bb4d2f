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
    def kvm_arm_setup_mdcr_el2(self, vcpu: Vcpu, loaded: bool) -> None:
        """What of MDCR_EL2 changes while a vcpu is loaded goes to the CPU at once under VHE."""
        mdcr = self.mdcr_el2_of(vcpu)
        if self.has_vhe and loaded and vcpu.debug.mdcr_el2 != mdcr:
            self.set_sys(mdcr_el2=mdcr)
        vcpu.debug = vcpu.debug._replace(mdcr_el2=mdcr)

    def kvm_vcpu_load_debug(self, vcpu: Vcpu) -> None:
        """At vcpu_load, before anything is put into a register."""
        if "debug-owner" in self.fixes:
            vcpu.debug = vcpu.debug._replace(in_use=False)
        self.kvm_arm_setup_mdcr_el2(vcpu, loaded=False)

    def kvm_arm_setup_debug(self, vcpu: Vcpu) -> None:
        """Before each entry; from v6.14 nothing is left to do there."""
        if "debug-owner" not in self.fixes:
            self.kvm_arm_setup_mdcr_el2(vcpu, loaded=True)

    @kernel_function()
    def trap_debug_regs(self, vcpu: Vcpu, val: Val | None) -> None:
        """A guest's access to DBGBVR0_EL1 has left the guest: emulate it (sys_regs.c)."""
        if val is not None:
            vcpu.debug = vcpu.debug._replace(dbgbvr0_el1=val)
        if "debug-owner" in self.fixes:  # kvm_debug_set_guest_ownership()
            vcpu.debug = vcpu.debug._replace(in_use=True)
            self.kvm_arm_setup_mdcr_el2(vcpu, loaded=True)
        elif val is not None:
            vcpu.debug = vcpu.debug._replace(in_use=True)  # DEBUG_DIRTY
