"""arch/riscv/kvm/vcpu.c: create, reset, load, put, and the way into a guest and out."""

from __future__ import annotations

from harness.model.base import Refused, kernel_function
from harness.model.riscv.cpu.csr import ENVCFG_PMM, EXC_BREAKPOINT, SR_SPIE, SR_SPP
from harness.model.riscv.cpu.state import Mode, VsCsrs
from harness.model.riscv.kvm.state import Config, Errno, Right, Vcpu
from harness.model.riscv.kvm.vcpu_onereg import VcpuOnereg
from harness.model.riscv.kvm.vcpu_sbi_fwft import MIS_DELEG
from harness.model.tasks import At
from harness.model.values import EMPTY, ZERO

KVM_MP_STATE_RUNNABLE = 0
KVM_MP_STATE_INIT_RECEIVED = 2
KVM_MP_STATE_STOPPED = 5


class VcpuCore(VcpuOnereg):
    """kvm_arch_vcpu_*(), taken apart where something else can come between."""

    __slots__ = ()

    # A vcpu's life -----------------------------------------------------------------------

    @kernel_function()
    def kvm_arch_vcpu_create(self, vcpu: Vcpu, alloc_fails: int = 0) -> None:
        """Raises Errno."""
        vcpu.host = self.cpu.host
        vcpu.ran_atleast_once = False
        vcpu.cfg = Config()
        self.kvm_riscv_vcpu_config_init(vcpu)
        self.kvm_riscv_vcpu_setup_isa(vcpu)
        if "vector-lazy" in self.fixes and self.has_vector:
            self.kvm_riscv_vcpu_alloc_vector_context(vcpu, alloc_fails)
        self.kvm_riscv_vcpu_sbi_init(vcpu)
        self.kvm_riscv_reset_vcpu(vcpu)
        vcpu.stopped = vcpu.secondary  # kvm_arch_vcpu_postcreate()
        vcpu.created = True

    @kernel_function()
    def kvm_riscv_reset_vcpu(self, vcpu: Vcpu) -> None:
        loaded = vcpu.cpu >= 0
        if loaded:
            self.kvm_arch_vcpu_put(vcpu)
        vcpu.last_exit_cpu = -1
        self.kvm_riscv_vcpu_context_reset(vcpu)
        self.kvm_riscv_vcpu_fp_reset(vcpu)
        if "vector-lazy" in self.fixes:
            self.kvm_riscv_vcpu_vector_reset(vcpu)
        self.kvm_riscv_vcpu_timer_reset(vcpu)
        vcpu.irqs_pending = vcpu.irqs_pending_mask = 0
        self.kvm_riscv_vcpu_sbi_reset(vcpu)
        vcpu.right = Right()
        self._has_no_past(vcpu)
        if loaded:
            self.kvm_arch_vcpu_load(vcpu)

    def _has_no_past(self, vcpu: Vcpu) -> None:
        """What a reset must leave: `reset`, told at the step that resets."""
        left = {
            "sstateen0": vcpu.sstateen0.bits,
            "senvcfg": vcpu.senvcfg.bits,
            "henvcfg.PMM": vcpu.cfg.henvcfg & ENVCFG_PMM,
            "hedeleg, misaligned": vcpu.cfg.hedeleg & MIS_DELEG,
            "fwft flags": any(conf.flags for conf in vcpu.fwft),
        }
        for what, value in left.items():
            if value:
                text = f"{vcpu.name} is reset, and its {what} is not"
                self.violated("reset", vcpu.name, what, text)

    @kernel_function()
    def kvm_riscv_vcpu_context_reset(self, vcpu: Vcpu) -> None:
        vcpu.sstatus = SR_SPP | SR_SPIE
        vcpu.sepc, vcpu.x, vcpu.fp = 0, EMPTY, EMPTY
        vcpu.csr, vcpu.senvcfg, vcpu.aia = VsCsrs(), ZERO, (0,) * 7
        vcpu.scounteren = 0 if "scounteren-zero" in self.fixes else 7
        if "sstateen-reset" in self.fixes:
            vcpu.sstateen0 = ZERO

    @kernel_function()
    def kvm_arch_vcpu_ioctl_set_mpstate(self, vcpu: Vcpu, state: int) -> None:
        """Raises Errno. The VM's KVM_CAP_RISCV_MP_STATE_RESET is taken to be on."""
        if state in (KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_STOPPED):
            vcpu.stopped = state == KVM_MP_STATE_STOPPED
        elif state == KVM_MP_STATE_INIT_RECEIVED and "mp-state-reset" in self.fixes:
            self.kvm_riscv_reset_vcpu(vcpu)
        else:
            raise Errno("EINVAL")

    @kernel_function()
    def kvm_arch_vcpu_ioctl_set_guest_debug(self, vcpu: Vcpu, enable: int) -> None:
        if "guest-debug" not in self.fixes:
            raise Errno("EINVAL")
        vcpu.guest_debug = bool(enable)
        hedeleg = vcpu.cfg.hedeleg & ~(1 << EXC_BREAKPOINT)
        if not enable:
            hedeleg |= 1 << EXC_BREAKPOINT
        vcpu.cfg = vcpu.cfg._replace(hedeleg=hedeleg)
        vcpu.csr_dirty = True

    # Load and put --------------------------------------------------------------------------

    @kernel_function()
    def kvm_arch_vcpu_load(self, vcpu: Vcpu) -> None:
        if not self.config_is_loaded(vcpu):
            vcpu.csr_dirty = False
            self.kvm_riscv_vcpu_config_load(vcpu)
            self.cpu.vs = vcpu.csr
            self.note("write", "VS CSRs, hgatp")
        self.kvm_riscv_vcpu_timer_restore(vcpu)
        self.kvm_riscv_vcpu_host_fp_save(vcpu)
        self.kvm_riscv_vcpu_guest_fp_restore(vcpu)
        if "vector-lazy" in self.fixes:
            self.kvm_riscv_vcpu_host_vector_save(vcpu)
            self.kvm_riscv_vcpu_guest_vector_restore(vcpu)
        vcpu.cpu = self.cpu.id

    def config_is_loaded(self, vcpu: Vcpu) -> bool:
        """Whether this CPU's hypervisor CSRs are still the vcpu's, as far as KVM can tell."""
        if "load-fastpath" not in self.fixes:
            return False
        rq = self.rqs[self.cpu.id]
        was, rq.kvm_former_vcpu = rq.kvm_former_vcpu, vcpu.name
        return was == vcpu.name and vcpu.last_exit_cpu == self.cpu.id and not vcpu.csr_dirty

    @kernel_function()
    def kvm_arch_vcpu_put(self, vcpu: Vcpu) -> None:
        vcpu.cpu = -1
        self.kvm_riscv_vcpu_guest_fp_save(vcpu)
        self.kvm_riscv_vcpu_host_fp_restore(vcpu)
        self.kvm_riscv_vcpu_timer_save(vcpu)
        if "vector-lazy" in self.fixes:
            self.kvm_riscv_vcpu_guest_vector_save(vcpu)
            self.kvm_riscv_vcpu_host_vector_restore(vcpu)
        vcpu.csr = self.cpu.vs

    # The run loop ----------------------------------------------------------------------------

    @kernel_function()
    def kvm_arch_vcpu_ioctl_run(self, vcpu: Vcpu) -> None:
        """Up to the first entry into the guest."""
        if not vcpu.ran_atleast_once:
            self.kvm_riscv_vcpu_config_ran_once(vcpu)
        vcpu.ran_atleast_once = True
        self.vcpu_load(vcpu)

    def vcpu_load(self, vcpu: Vcpu) -> None:
        current = self.current
        current.vcpu, vcpu.thread = vcpu.name, current.name
        self.kvm_arch_vcpu_load(vcpu)
        current.at = At.RUN

    def vcpu_put(self, vcpu: Vcpu) -> None:
        self.kvm_arch_vcpu_put(vcpu)
        self.current.vcpu = ""
        self.current.at = At.SYSCALL

    def guest_enter(self, vcpu: Vcpu) -> None:
        """From the preemptible part of the run loop into the guest."""
        if vcpu.stopped:
            raise Refused(
                f"{vcpu.name} is stopped; another vcpu's `sbi hsm hart_start` would start it"
            )
        if vcpu.reset:  # kvm_riscv_check_vcpu_requests()
            vcpu.reset = False
            self.kvm_riscv_reset_vcpu(vcpu)
        self.kvm_riscv_vcpu_flush_interrupts(vcpu)
        self.kvm_riscv_vcpu_swap_in_guest_state(vcpu)
        self.current.at = At.GUEST
        self.cpu.mode = Mode.GUEST

    def guest_exit(self, vcpu: Vcpu, meanwhile: str = "") -> None:
        """Out of the guest, up to where interrupts are on again."""
        vcpu.last_exit_cpu = self.cpu.id
        self.cpu.mode = Mode.KERNEL
        self.current.at = At.RUN
        self.kvm_riscv_vcpu_swap_in_host_state(vcpu)
        self.kvm_riscv_vcpu_sync_interrupts(vcpu, meanwhile)
        self.cost.exits += 1

    def swaps_sstateen0(self, vcpu: Vcpu) -> bool:
        if "smstateen" not in self.fixes or not self.has("smstateen"):
            return False
        return "sstateen-swap-cond" in self.fixes or bool(vcpu.cfg.hstateen0 >> 63)

    @kernel_function()
    def kvm_riscv_vcpu_swap_in_guest_state(self, vcpu: Vcpu) -> None:
        if "senvcfg-switch" in self.fixes:
            vcpu.host_senvcfg = self.cpu.senvcfg
            self.write_senvcfg(vcpu.senvcfg)
        if self.swaps_sstateen0(vcpu):
            vcpu.host_sstateen0, self.cpu.sstateen0 = self.cpu.sstateen0, vcpu.sstateen0

    @kernel_function()
    def kvm_riscv_vcpu_swap_in_host_state(self, vcpu: Vcpu) -> None:
        if "senvcfg-switch" in self.fixes:
            vcpu.senvcfg = self.cpu.senvcfg
            self.write_senvcfg(vcpu.host_senvcfg)
        if self.swaps_sstateen0(vcpu):
            vcpu.sstateen0, self.cpu.sstateen0 = self.cpu.sstateen0, vcpu.host_sstateen0

    # Preemption --------------------------------------------------------------------------------

    def fire_sched_out_preempt_notifiers(self) -> None:
        """kvm_sched_out()"""
        if self.current.vcpu:
            self.kvm_arch_vcpu_put(self.vcpus[self.current.vcpu])

    def fire_sched_in_preempt_notifiers(self) -> None:
        """kvm_sched_in()"""
        if self.current.vcpu:
            self.kvm_arch_vcpu_load(self.vcpus[self.current.vcpu])
