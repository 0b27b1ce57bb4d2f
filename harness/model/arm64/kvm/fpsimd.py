"""arch/arm64/kvm/fpsimd.c: the four places where KVM and the host's FP code meet."""

from __future__ import annotations

from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.cpu.sysreg import (
    CPACR_EL1_SMEN,
    CPACR_EL1_SMEN_EL0EN,
    CPACR_EL1_SMEN_EL1EN,
    CPACR_EL1_ZEN_EL0EN,
    SVCR_SM_MASK,
    SVCR_ZA_MASK,
    ZCR_ELX_LEN_MASK,
)
from harness.model.arm64.host.state import (
    FP_STATE_CURRENT,
    FP_STATE_FPSIMD,
    FP_STATE_SVE,
    NULL,
    TIF_FOREIGN_FPSTATE,
    TIF_SVE,
)
from harness.model.arm64.kvm.reset import Reset
from harness.model.arm64.kvm.state import (
    FP_STATE_FREE,
    FP_STATE_GUEST_OWNED,
    FP_STATE_HOST_OWNED,
    FpOwner,
    HostData,
    Vcpu,
    Vm,
)
from harness.model.base import kernel_function
from harness.model.catalogue import Kernel


class KvmFpsimd(Reset):
    """vcpus, kvm_host_data in its homes, and the hooks around a guest's run."""

    __slots__ = ("home", "hyp_home", "hyp_vcpus", "kvm_host_data", "kvm_nvhe_host_data")

    def __init__(
        self, kernel: Kernel, config: Config, tasks: tuple[str, ...], vcpus: tuple[Vcpu, ...]
    ) -> None:
        super().__init__(kernel, config, tasks)
        self.vcpus = {v.name: v for v in vcpus}
        self.vms = [Vm() for _ in range(1 + max((v.vm for v in vcpus), default=0))]
        self.contexts |= self.vcpus
        self.kvm_host_data = [HostData() for _ in range(config.cpus)]
        self.kvm_nvhe_host_data = [HostData() for _ in range(config.cpus)]
        # Protected mode: hyp has vcpus of its own (struct pkvm_hyp_vcpu).
        self.hyp_vcpus = {v.name: Vcpu(v.name) for v in vcpus} if config.protected else {}
        vhe = self.has_vhe
        self.hyp_home = self.kvm_host_data if vhe else self.kvm_nvhe_host_data
        # this_cpu_ptr() or this_cpu_ptr_hyp_sym(), see host_data.
        self.home = self.kvm_host_data if "hd-kernel-copy" in self.fixes else self.hyp_home
        for vcpu in vcpus:
            self.born(vcpu)
        for cpu in self.cpus:
            self.run_on(cpu.id)
            self.cpu_hyp_init_context()
        self.run_on(0)
        if config.protected and "fp-owner" in self.fixes:
            # kvm_protected_mode_initialized: from now on hyp's memory is out of reach.
            self.home = self.kvm_host_data

    def hyp_owner(self, cpu: int, vcpu: Vcpu) -> FpOwner:
        """Who owns a CPU's registers while `vcpu` is loaded there, as hyp sees it."""
        if "fp-owner" not in self.fixes:
            return self.hyp_vcpus.get(vcpu.name, vcpu).fp_state
        return self.hyp_home[cpu].fp_owner

    def vcpu_init(self, vcpu: Vcpu) -> None:
        """KVM_ARM_VCPU_INIT, where it is granted."""
        self.kvm_reset_vcpu(vcpu)

    def cpu_hyp_init_context(self) -> None:
        """Boot: leave this CPU's MPIDR_EL1 where hyp will look for it (kvm/arm.c)."""
        self.host_data.host_ctxt_mpidr = self.cpu.mpidr_el1

    # The homes of per-CPU data -------------------------------------------------

    @property
    def host_data(self) -> HostData:
        """host_data_ptr() in the kernel proper."""
        return self.home[self.cpu.id]

    @property
    def hyp_host_data(self) -> HostData:
        """host_data_ptr() in hyp code, whose this_cpu_ptr() finds hyp's own copy."""
        return self.hyp_home[self.cpu.id]

    def fp_owner(self, vcpu: Vcpu) -> FpOwner:
        return self.home[self.cpu.id].fp_owner if "fp-owner" in self.fixes else vcpu.fp_state

    def set_fp_owner(self, vcpu: Vcpu, owner: FpOwner) -> None:
        if "fp-owner" in self.fixes:
            self.host_data.fp_owner = owner
        else:
            vcpu.fp_state = owner
        if self.recording:
            self.note("owner", owner.name)

    def hyp_fp_owner(self, vcpu: Vcpu) -> FpOwner:
        return self.hyp_home[self.cpu.id].fp_owner if "fp-owner" in self.fixes else vcpu.fp_state

    def set_hyp_fp_owner(self, vcpu: Vcpu, owner: FpOwner) -> None:
        if "fp-owner" in self.fixes:
            self.hyp_host_data.fp_owner = owner
        else:
            vcpu.fp_state = owner
        if self.recording:
            self.note("owner", owner.name)

    # v4.15 to v4.17 ------------------------------------------------------------

    @kernel_function()
    def kvm_fpsimd_flush_cpu_state(self) -> None:
        """Before guest entry: disown registers whose SVE part KVM would destroy."""
        last = self.last
        if "null-always" in self.fixes:
            last.st = NULL
            return
        if not self.sve_host or last.st == NULL:
            return
        if "sve-dead-task" in self.fixes:
            sve = last.sve_in_use
        else:
            # sve_flush_cpu_state() went through the pointer to the task's flags.
            owner = self.owner(last.st, "sve_flush_cpu_state")
            sve = owner is not None and bool(self.tasks[owner.name].flags & TIF_SVE)
        if sve:
            last.st = NULL  # fpsimd_flush_cpu_state(), which then did no more

    # v4.18 and after -----------------------------------------------------------

    @kernel_function()
    def kvm_arch_vcpu_load_fp(self, vcpu: Vcpu) -> None:
        """At vcpu_load: say who owns the registers, or see that nobody does."""
        current = self.current
        if "save-and-flush" in self.fixes:
            self.fpsimd_save_and_flush_cpu_state()
            self.set_fp_owner(vcpu, FP_STATE_FREE)
            return
        if "hyp-saves-sve" in self.fixes:
            pass  # TIF_SVE stays: hyp will save what it stands for
        elif "kvm-prepare" in self.fixes:
            self.fpsimd_kvm_prepare()
        elif "drop-host-sve" in self.fixes:
            if current.flags & TIF_SVE and "recorded-no-bug" not in self.fixes:
                self.bug("kvm_arch_vcpu_load_fp: TIF_SVE is set")
                return
        else:
            vcpu.host_sve_in_use = bool(current.flags & TIF_SVE)
        self.set_fp_owner(vcpu, FP_STATE_HOST_OWNED)
        # In the vcpu until it was moved to kvm_host_data with the owner: hyp finds it there.
        data = self.host_data if "fp-owner" in self.fixes else self.hyp_host_data
        data.fpsimd_state = current.addr
        cpacr = self.read_sysreg("cpacr_el1")
        if "drop-host-sve" not in self.fixes or "sve-flag-clear" in self.fixes:
            vcpu.host_sve_enabled = False
        if cpacr & CPACR_EL1_ZEN_EL0EN:
            vcpu.host_sve_enabled = True
        if "sme-kvm-load" in self.fixes and self.system_supports_sme:
            if "sme-flag-clear" in self.fixes:
                vcpu.host_sme_enabled = False
            if cpacr & CPACR_EL1_SMEN_EL0EN:
                vcpu.host_sme_enabled = True
            if self.cpu.svcr & self._svcr_to_leave():
                self.set_fp_owner(vcpu, FP_STATE_FREE)
                self.fpsimd_save_and_flush_cpu_state()

    def _svcr_to_leave(self) -> int:
        if "defer-za" in self.fixes and self.test_thread_flag(TIF_FOREIGN_FPSTATE):
            # ZA that has been saved already can stay on until the guest uses FP.
            return SVCR_SM_MASK
        return SVCR_SM_MASK | SVCR_ZA_MASK

    @kernel_function()
    def kvm_arch_vcpu_ctxflush_fp(self, vcpu: Vcpu) -> None:
        """Just before guest entry, no longer preemptible."""
        if self.test_thread_flag(TIF_FOREIGN_FPSTATE):
            self.set_fp_owner(vcpu, FP_STATE_FREE)

    @kernel_function()
    def kvm_arch_vcpu_ctxsync_fp(self, vcpu: Vcpu) -> None:
        """Just after guest exit, interrupts still off."""
        if self.fp_owner(vcpu) is not FP_STATE_GUEST_OWNED:
            return
        to_save = FP_STATE_CURRENT
        if "to-save" in self.fixes or "recorded-no-bug" in self.fixes:
            to_save = FP_STATE_SVE if vcpu.sve else FP_STATE_FPSIMD
        vl = vcpu.sve_max_vl if vcpu.sve else 0
        self.fpsimd_bind_state_to_cpu(vcpu.addr, vl, to_save)
        self.clear_thread_flag(TIF_FOREIGN_FPSTATE)
        if "to-save" not in self.fixes and "kvm-tifsve-vcpu" in self.fixes:
            self.update_tsk_thread_flag(self.current, TIF_SVE, vcpu.sve)

    @kernel_function()
    def kvm_arch_vcpu_put_fp(self, vcpu: Vcpu) -> None:
        """At vcpu_put, which the scheduler may have called under its lock."""
        was = self.irqs_off
        if "put-irqs" in self.fixes:
            self.local_irq_save()
        else:
            self.bh_off = True
        self._put_fp(vcpu)
        self.smen_pending = False
        if "put-irqs" in self.fixes:
            self.local_irq_restore(was)
        else:
            self.local_bh_enable()

    def _put_fp(self, vcpu: Vcpu) -> None:
        if "save-and-flush" in self.fixes:
            # The ZEN and SMEN restores that stood here went with the rest of
            # that series; after a flush every task is bound anew before EL0.
            if self.fp_owner(vcpu) is FP_STATE_GUEST_OWNED:
                if vcpu.sve and "eager-zcr" not in self.fixes:
                    self._save_guest_zcr(vcpu)
                self.fpsimd_save_and_flush_cpu_state()
            return
        if self.has_vhe and "sme-kvm-load" in self.fixes and self.system_supports_sme:
            closed = not self.cpu.cptr_el2 & CPACR_EL1_SMEN_EL1EN
            self.smen_pending = closed and "smen-isb" not in self.fixes
            if vcpu.host_sme_enabled:
                self.sysreg_clear_set("cpacr_el1", 0, CPACR_EL1_SMEN)
            else:
                self.sysreg_clear_set("cpacr_el1", CPACR_EL1_SMEN_EL0EN, CPACR_EL1_SMEN_EL1EN)
        if self.fp_owner(vcpu) is FP_STATE_GUEST_OWNED:
            if vcpu.sve:
                self._save_guest_zcr(vcpu)
            self.fpsimd_save_and_flush_cpu_state()
        elif self.has_vhe and self.sve_host:
            # Hyp has reset CPACR_EL1 (that is, CPTR_EL2).
            if "kvm-trap-noncur" in self.fixes:
                zen = CPACR_EL1_ZEN_EL0EN
                if vcpu.host_sve_enabled:
                    self.sysreg_clear_set("cpacr_el1", 0, zen)
                else:
                    self.sysreg_clear_set("cpacr_el1", zen, 0)
            elif not self.test_thread_flag(TIF_FOREIGN_FPSTATE):
                self.fpsimd_bind_task_to_cpu()
        if "drop-host-sve" not in self.fixes:
            if "kvm-tifsve-vcpu" in self.fixes:
                self.update_tsk_thread_flag(self.current, TIF_SVE, vcpu.host_sve_in_use)
        elif "to-save" not in self.fixes:
            self.clear_thread_flag(TIF_SVE)

    def _save_guest_zcr(self, vcpu: Vcpu) -> None:
        """Read the guest's ZCR_EL1, and leave the length the save is laid out for."""
        vcpu.zcr_el1 = self.read_sysreg_el1("zcr_el1")
        if not self.has_vhe:
            self.host_sve_access()
            self.sysreg_clear_set("zcr_el1", ZCR_ELX_LEN_MASK, vcpu.sve_max_vl - 1)
