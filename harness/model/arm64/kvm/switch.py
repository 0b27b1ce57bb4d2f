"""arch/arm64/kvm/hyp/include/hyp/switch.h: what VHE and nVHE hyp code share."""

from __future__ import annotations

from abc import abstractmethod

from harness.model.arm64.cpu.cpu import Trap, held, set_svcr
from harness.model.arm64.cpu.sysreg import (
    ARMV8_PMU_USERENR_MASK,
    ESR_ELX_EC_FP_ASIMD,
    ESR_ELX_EC_SVE,
    FPCR_MASK,
    FPMR_MASK,
    FPSR_MASK,
    HFG_SME,
    SVCR_ZA_MASK,
    ZCR_ELX_LEN_MASK,
)
from harness.model.arm64.host.state import (
    FP_STATE_FPSIMD,
    FP_STATE_SVE,
    TIF_FOREIGN_FPSTATE,
    TIF_SVE,
    SveState,
)
from harness.model.arm64.kvm.debug_sr import DebugSr
from harness.model.arm64.kvm.state import (
    FP_STATE_FREE,
    FP_STATE_GUEST_OWNED,
    FP_STATE_HOST_OWNED,
    Vcpu,
)
from harness.model.base import kernel_function


class HypSwitch(DebugSr):
    """The lazy FP switch, taken in hyp without leaving for the host kernel."""

    __slots__ = ()

    @abstractmethod
    def kvm_vcpu_run_enter(self, vcpu: Vcpu) -> bool:
        """__kvm_vcpu_run() up to the guest; each mode has its own. False: hyp has refused."""

    @abstractmethod
    def kvm_vcpu_run_exit(self, vcpu: Vcpu) -> None:
        """__kvm_vcpu_run() from the guest on."""

    def keeps_state(self, vcpu: Vcpu) -> bool:
        """Whether hyp keeps the context of `vcpu` over exits: protected mode alone."""
        return False

    def pkvm_vcpu_put(self, vcpu: Vcpu) -> None:
        """__pkvm_vcpu_put, and what goes with it in kvm_arch_vcpu_put(): protected mode alone."""

    def handle_exit_pkvm_state(self, vcpu: Vcpu, reason: str) -> None:
        """The part of handle_exit_early() that is protected mode's; kvm/handle_exit.c."""

    @abstractmethod
    def open_fpsimd_traps(self, vcpu: Vcpu) -> None:
        """Open as many traps as it takes to move the registers."""

    @kernel_function("__activate_traps_common")
    def activate_traps_common(self, vcpu: Vcpu) -> None:
        """VHE: at vcpu_load; nVHE: at each entry."""
        host, sys = self.hyp_host_data, self.cpu.sys
        if self.config.pmu:
            # EL0's accesses to the PMU must trap to EL2, not to the guest's EL1.
            if "pmuserenr-restore" in self.fixes:
                host.host_ctxt_pmuserenr = sys.pmuserenr_el0
            self.set_sys(pmuserenr_el0=ARMV8_PMU_USERENR_MASK)
            vcpu.debug = vcpu.debug._replace(pmuserenr_on_cpu=True)
        if self.switches_mdcr_el2():
            self.save_host_mdcr_el2()
            self.set_sys(mdcr_el2=vcpu.debug.mdcr_el2)
        if self.switches_hfgxtr():
            hfgrtr, hfgwtr = sys.hfgrtr_el2 & ~HFG_SME, sys.hfgwtr_el2 & ~HFG_SME
            self.set_sys(hfgrtr_el2=hfgrtr, hfgwtr_el2=hfgwtr)

    @kernel_function("__deactivate_traps_common")
    def deactivate_traps_common(self, vcpu: Vcpu) -> None:
        host = self.hyp_host_data
        if self.switches_mdcr_el2():
            self.restore_host_mdcr_el2()
        if self.config.pmu:
            restore = "pmuserenr-restore" in self.fixes
            self.set_sys(pmuserenr_el0=host.host_ctxt_pmuserenr if restore else 0)
            vcpu.debug = vcpu.debug._replace(pmuserenr_on_cpu=False)
        if self.switches_hfgxtr():
            sys = self.cpu.sys
            hfgrtr, hfgwtr = sys.hfgrtr_el2 | HFG_SME, sys.hfgwtr_el2 | HFG_SME
            self.set_sys(hfgrtr_el2=hfgrtr, hfgwtr_el2=hfgwtr)

    def switches_mdcr_el2(self) -> bool:
        """Whether it is done here: from v6.17 VHE has its own place, nVHE's __activate_traps()."""
        return not (self.has_vhe and "mdcr-host-vhe" in self.fixes)

    def switches_hfgxtr(self) -> bool:
        """Whether SMPRI_EL1 and TPIDR2_EL0 are opened and closed: where there is SME."""
        if not (self.config.fgt and self.sme_host):
            return False
        # VHE tried SCTLR_EL2.EnTP2 instead, which governs no guest.
        return "sme-trap-guest" in self.fixes and (not self.has_vhe or "sme-fgt-vhe" in self.fixes)

    @kernel_function()
    def hyp_panic(self) -> None:
        """Hyp dies: the host gets its traps and registers back for the last words.

        Which vcpu they name is what this CPU's __hyp_running_vcpu says, in hyp's own
        host_ctxt.
        """
        name = self.hyp_host_data.hyp_running_vcpu
        if name:
            self.hyp_panic_restore(self.vcpus[name])
        self.rq.panic = name or "NULL"
        self.oops, self.fatal = f"HYP panic, VCPU {self.rq.panic}", True

    def hyp_panic_restore(self, vcpu: Vcpu) -> None:
        """__deactivate_traps() and the host's system registers. No FP register is touched."""
        self.deactivate_traps(vcpu)

    @abstractmethod
    def deactivate_traps(self, vcpu: Vcpu) -> None:
        """__deactivate_traps(): the trap controls as the host needs them."""

    @kernel_function()
    def update_fp_enabled(self, vcpu: Vcpu) -> None:
        """Up to v5.16 hyp itself reads the host's thread flags at entry."""
        if self.test_thread_flag(TIF_FOREIGN_FPSTATE):
            self.set_hyp_fp_owner(vcpu, FP_STATE_FREE)

    def guest_owns_fp_regs(self, vcpu: Vcpu) -> bool:
        owner = self.hyp_home[self.cpu.id].fp_owner if "fp-owner" in self.fixes else vcpu.fp_state
        return owner is FP_STATE_GUEST_OWNED

    @kernel_function()
    def kvm_hyp_handle_fpsimd(self, vcpu: Vcpu, trap: Trap) -> bool:
        """A guest's FP or SVE access has trapped to EL2.

        Returns False for what this vcpu cannot have: the kernel will inject an
        UNDEFINED exception. (__hyp_handle_fpsimd() up to v5.15,
        __fpsimd_guest_restore() up to v4.17.)
        """
        if trap.ec not in (ESR_ELX_EC_FP_ASIMD, ESR_ELX_EC_SVE):
            return False
        if trap.ec == ESR_ELX_EC_SVE and not vcpu.sve:
            return False
        cpu = self.cpu
        self.open_fpsimd_traps(vcpu)
        if "kvm-fp-2018" not in self.fixes:
            host = self.hyp_host_data
            host.host_ctxt_fp = cpu.z.limit(1)
            host.host_ctxt_fpsr, host.host_ctxt_fpcr = cpu.fpsr, cpu.fpcr
        elif self.hyp_fp_owner(vcpu) is FP_STATE_HOST_OWNED:
            self.kvm_hyp_save_fpsimd_host(vcpu)
        if "defer-za" in self.fixes and cpu.svcr & SVCR_ZA_MASK:
            # With SMEN opened for it; saved already, ZA can go.
            set_svcr(cpu, cpu.svcr & ~SVCR_ZA_MASK)
        if vcpu.sve:
            self.hyp_sve_restore_guest(vcpu)
        else:
            cpu.z = vcpu.fpsimd_state
        cpu.fpsr, cpu.fpcr = held(vcpu.fpsr, FPSR_MASK), held(vcpu.fpcr, FPCR_MASK)
        if vcpu.fpmr_vm:
            cpu.fpmr = held(vcpu.fpmr, FPMR_MASK)
        self.cost.guest_loads += 1
        self.set_hyp_fp_owner(vcpu, FP_STATE_GUEST_OWNED)
        return True

    @kernel_function()
    def kvm_hyp_save_fpsimd_host(self, vcpu: Vcpu) -> None:
        """Write the host task's registers to its memory, behind the host's back."""
        cpu = self.cpu
        st = self.hyp_host_data.fpsimd_state
        owner = self.owner(st, "kvm_hyp_save_fpsimd_host")
        if owner is None:
            return
        sve = vcpu.host_sve_in_use and "drop-host-sve" not in self.fixes
        if "hyp-saves-sve" in self.fixes:
            sve = bool(self.current.flags & TIF_SVE)
            owner.svcr = cpu.svcr
        if sve:
            vq = self.current_vq()
            owner.sve_state = SveState(cpu.z.limit(vq), cpu.p.limit(vq))
        else:
            owner.fpsimd_state = cpu.z.limit(1)
        if "hyp-fptype" in self.fixes:  # upstream does not write it
            owner.fp_type = FP_STATE_SVE if sve else FP_STATE_FPSIMD
        owner.fpsr, owner.fpcr = cpu.fpsr, cpu.fpcr
        if vcpu.fpmr_vm:  # and else the host's FPMR is not saved
            owner.fpmr = cpu.fpmr
        self.cost.saves += 1
        if self.recording:
            self.note("save", f"{owner.name} <- cpu{cpu.id} by hyp")

    def restore_host_fpsimd(self, vcpu: Vcpu) -> None:
        """Up to v4.17: put back V if the guest has used it during this entry."""
        if not self.guest_owns_fp_regs(vcpu):
            return
        cpu, host = self.cpu, self.hyp_host_data
        vcpu.fpsimd_state, vcpu.fp_type = cpu.z.limit(1), FP_STATE_FPSIMD
        vcpu.fpsr, vcpu.fpcr = cpu.fpsr, cpu.fpcr
        cpu.z = host.host_ctxt_fp
        cpu.fpsr, cpu.fpcr = host.host_ctxt_fpsr, host.host_ctxt_fpcr
        self.set_hyp_fp_owner(vcpu, FP_STATE_FREE)
        self.cost.guest_saves += 1

    @kernel_function("__hyp_sve_restore_guest")
    def hyp_sve_restore_guest(self, vcpu: Vcpu) -> None:
        """Load Z, P, FFR at the vcpu's largest length, then the guest's own ZCR_EL1."""
        self.write_hyp_zcr(vcpu.sve_max_vl - 1)
        state = vcpu.sve_state or SveState()
        self.cpu.z, self.cpu.p = state
        self.write_sysreg_el1(vcpu.zcr_el1, "zcr_el1")

    def write_hyp_zcr(self, length: int) -> None:
        """sve_cond_update_zcr_vq(..., SYS_ZCR_EL2)"""
        cpu = self.cpu
        if cpu.zcr_el2 & ZCR_ELX_LEN_MASK != length:
            cpu.zcr_el2 = length
            if self.recording:
                self.note("reg", f"zcr_el2 := {length:#x}")

    @kernel_function()
    def fpsimd_lazy_switch_to_guest(self, vcpu: Vcpu) -> None:
        if self.guest_owns_fp_regs(vcpu) and vcpu.sve:
            self.write_hyp_zcr(vcpu.sve_max_vl - 1)
            self.write_sysreg_el1(vcpu.zcr_el1, "zcr_el1")

    @kernel_function()
    def fpsimd_lazy_switch_to_host(self, vcpu: Vcpu) -> None:
        """Put the lengths where the host can save the guest's state with them."""
        if not (self.guest_owns_fp_regs(vcpu) and vcpu.sve):
            return
        vcpu.zcr_el1 = self.read_sysreg_el1("zcr_el1")
        if self.has_vhe:
            self.write_hyp_zcr(vcpu.sve_max_vl - 1)
        else:
            self.write_hyp_zcr(self.lengths.sve[-1] - 1)
            self.cpu.zcr_el1 = vcpu.sve_max_vl - 1
