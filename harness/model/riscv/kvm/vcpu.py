"""arch/riscv/kvm/vcpu.c: create, reset, load, put, and the way into a guest and out.

Also arch/riscv/kvm/vcpu_switch.S.
"""

from __future__ import annotations

from harness.model.base import Errno, kernel_function
from harness.model.riscv.cpu.csr import (
    CLEAN,
    EXC_BREAKPOINT,
    IRQ_VS_EXT,
    SR_SPIE,
    SR_SPP,
    with_vs,
)
from harness.model.riscv.cpu.state import VsCsrs
from harness.model.riscv.cpu.warl import (
    SCOUNTEREN_MASK,
    SSTATEEN0_MASK,
    legal_aia,
    legal_fp,
    legal_sepc,
    legal_ssp,
    legal_vs,
    read_vs,
)
from harness.model.riscv.kvm.sbi import SBI_ERR_NOT_SUPPORTED
from harness.model.riscv.kvm.state import STOPPED, Config, Vcpu
from harness.model.riscv.kvm.uapi import (
    KVM_CAP_RISCV_MP_STATE_RESET,
    KVM_GUESTDBG_ENABLE,
    KVM_INTERRUPT_SET,
    KVM_MP_STATE_INIT_RECEIVED,
    KVM_MP_STATE_RUNNABLE,
    KVM_MP_STATE_STOPPED,
)
from harness.model.riscv.kvm.vcpu_onereg import VcpuOnereg
from harness.model.tasks import At, Mode
from harness.model.values import EMPTY, ZERO, Val


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
        vcpu.mvendorid, vcpu.marchid, vcpu.mimpid = self.host.machine_ids
        if "vector-lazy" in self.fixes and self.has_vector:
            self.kvm_riscv_vcpu_alloc_vector_context(vcpu, alloc_fails)
        self.kvm_riscv_vcpu_sbi_init(vcpu)
        self.kvm_riscv_reset_vcpu(vcpu)
        vcpu.stopped = vcpu.secondary  # kvm_arch_vcpu_postcreate()
        vcpu.mp_state_reset = any(v.mp_state_reset for v in self.vm_vcpus(vcpu))
        vcpu.time_delta = next((v.time_delta for v in self.vm_vcpus(vcpu)), 0)
        vcpu.created = True

    @kernel_function()
    def kvm_riscv_reset_vcpu(self, vcpu: Vcpu, sbi_reset: bool = False) -> None:
        """With `sbi_reset` it goes on where the SBI call that asked for it says."""
        loaded = vcpu.cpu >= 0
        if loaded:
            self.kvm_arch_vcpu_put(vcpu)
        vcpu.last_exit_cpu = -1
        self.kvm_riscv_vcpu_context_reset(vcpu)
        if sbi_reset:
            self.kvm_riscv_vcpu_sbi_load_reset_state(vcpu)
        self.kvm_riscv_vcpu_fp_reset(vcpu)
        if "vector-lazy" in self.fixes:
            self.kvm_riscv_vcpu_vector_reset(vcpu)
        self.kvm_riscv_vcpu_timer_reset(vcpu)
        vcpu.irqs_pending = vcpu.irqs_pending_mask = 0
        self.kvm_riscv_vcpu_sbi_reset(vcpu)
        if loaded:
            self.kvm_arch_vcpu_load(vcpu)

    @kernel_function()
    def kvm_riscv_vcpu_context_reset(self, vcpu: Vcpu) -> None:
        vcpu.sstatus = SR_SPP | SR_SPIE
        vcpu.sepc, vcpu.x, vcpu.fp = 0, EMPTY, EMPTY
        vcpu.csr, vcpu.senvcfg, vcpu.aia = VsCsrs(), ZERO, (0,) * 7
        vcpu.scounteren = 0 if "scounteren-zero" in self.fixes else 7
        if "sstateen-reset" in self.fixes:
            vcpu.sstateen0 = ZERO
        vcpu.ssp = ZERO

    @kernel_function()
    def kvm_riscv_vcpu_sbi_load_reset_state(self, vcpu: Vcpu) -> None:
        vcpu.sepc, a1 = vcpu.reset_state
        for n, bits in ((10, self.hart_id(vcpu)), (11, a1)):
            vcpu.x = vcpu.x.set(n, (self.val(bits, vcpu.name),))

    @kernel_function()
    def kvm_vm_ioctl_enable_cap(self, vcpu: Vcpu, cap: int) -> None:
        """Of the VM that a vcpu is in. Raises Errno."""
        if cap != KVM_CAP_RISCV_MP_STATE_RESET or "mp-state-reset" not in self.fixes:
            raise Errno("EINVAL")
        for each in self.vm_vcpus(vcpu):
            each.mp_state_reset = True

    @kernel_function()
    def kvm_arch_vcpu_async_ioctl(self, vcpu: Vcpu, irq: int) -> None:
        """KVM_INTERRUPT: one value sets the external interrupt, every other unsets it."""
        if irq == KVM_INTERRUPT_SET:
            self.kvm_riscv_vcpu_set_interrupt(vcpu, IRQ_VS_EXT)
        else:
            self.kvm_riscv_vcpu_unset_interrupt(vcpu, IRQ_VS_EXT)

    @kernel_function()
    def kvm_arch_vcpu_ioctl_set_mpstate(self, vcpu: Vcpu, state: int) -> None:
        """Raises Errno."""
        if state in (KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_STOPPED):
            vcpu.stopped = state == KVM_MP_STATE_STOPPED
        elif state == KVM_MP_STATE_INIT_RECEIVED and vcpu.mp_state_reset:
            self.kvm_riscv_reset_vcpu(vcpu)
        else:
            raise Errno("EINVAL")

    @kernel_function()
    def kvm_arch_vcpu_ioctl_set_guest_debug(self, vcpu: Vcpu, control: int) -> None:
        if "guest-debug" not in self.fixes:
            raise Errno("EINVAL")
        enable = control & KVM_GUESTDBG_ENABLE
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
            self.cpu.vs = legal_vs(self.host.isa, self.host.sv, vcpu.csr, self.cpu.vs)
            self.note("write", "VS CSRs, hgatp")
        self.kvm_riscv_vcpu_timer_restore(vcpu)
        self.kvm_riscv_vcpu_host_fp_save(vcpu)
        self.kvm_riscv_vcpu_guest_fp_restore(vcpu)
        if "vector-lazy" in self.fixes:
            self.kvm_riscv_vcpu_host_vector_save(vcpu)
            self.kvm_riscv_vcpu_guest_vector_restore(vcpu)
        self.cpu.f = legal_fp(self.cpu.f)
        if self.has("ssaia"):
            vcpu.aia = legal_aia(vcpu.aia)  # kvm_riscv_vcpu_aia_load(), and what it reads back
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
        vcpu.csr = read_vs(self.cpu.vs)

    # The run loop ----------------------------------------------------------------------------

    @kernel_function()
    def kvm_arch_vcpu_ioctl_run(self, vcpu: Vcpu) -> None:
        """Up to the first entry into the guest."""
        if vcpu.run == "KVM_EXIT_RISCV_SBI":
            self.kvm_riscv_vcpu_sbi_return(vcpu)
        vcpu.run = ""
        if not vcpu.ran_atleast_once:
            self.kvm_riscv_vcpu_config_ran_once(vcpu)
        vcpu.ran_atleast_once = True
        self.vcpu_load(vcpu)

    @kernel_function()
    def kvm_riscv_vcpu_sbi_return(self, vcpu: Vcpu) -> None:
        """The answer of a VMM that knows nothing of the call."""
        for n, bits in ((10, SBI_ERR_NOT_SUPPORTED), (11, 0)):
            vcpu.x = vcpu.x.set(n, (self.val(bits & (1 << 64) - 1, vcpu.name),))

    def vcpu_load(self, vcpu: Vcpu) -> None:
        current = self.current
        vcpu.waiting = ""
        current.vcpu, vcpu.thread = vcpu.name, current.name
        self.kvm_arch_vcpu_load(vcpu)
        current.at = At.RUN

    def vcpu_put(self, vcpu: Vcpu) -> None:
        self.kvm_arch_vcpu_put(vcpu)
        self.current.vcpu = ""
        self.current.at = At.SYSCALL

    def is_stopped(self, vcpu: Vcpu) -> str:
        return f"{vcpu.name} is stopped until another vcpu calls `sbi hsm hart_start`"

    def guest_enter(self, vcpu: Vcpu) -> None:
        """From the preemptible part of the run loop into the guest."""
        if vcpu.reset:  # kvm_riscv_check_vcpu_requests()
            vcpu.reset = False
            self.kvm_riscv_reset_vcpu(vcpu, sbi_reset=True)
        self.kvm_riscv_vcpu_record_steal_time(vcpu)
        self.kvm_riscv_vcpu_flush_interrupts(vcpu)
        self.kvm_riscv_vcpu_enter_exit(vcpu)
        vcpu.scounteren &= SCOUNTEREN_MASK
        vcpu.sepc = legal_sepc(vcpu.sepc)
        self.current.at = At.GUEST
        self.cpu.mode = Mode.GUEST

    @kernel_function()
    def kvm_riscv_vcpu_enter_exit(self, vcpu: Vcpu) -> None:
        """Up to where the guest runs."""
        self.kvm_riscv_vcpu_swap_in_guest_state(vcpu)
        if self.current.vcpu_need_restore:
            self.current.vcpu_need_restore, self.current.vcpu_ctx = False, True
            self.kvm_riscv_vector_restore(vcpu)
            self.cost.v_loads += 1
            vcpu.sstatus = with_vs(vcpu.sstatus, CLEAN)

    def guest_enter_again(self, vcpu: Vcpu) -> None:
        """On with the run loop. A vcpu that has been stopped sleeps there (KVM_REQ_SLEEP)."""
        if vcpu.stopped:
            vcpu.waiting = STOPPED
        if vcpu.waiting:
            self.vcpu_put(vcpu)
        else:
            self.guest_enter(vcpu)

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

    @property
    def swaps_ssp(self) -> bool:
        return "ssp-switch" in self.fixes and self.has("zicfiss")

    @kernel_function()
    def kvm_riscv_vcpu_swap_in_guest_state(self, vcpu: Vcpu) -> None:
        if "senvcfg-switch" in self.fixes:
            vcpu.host_senvcfg = self.cpu.senvcfg
            self.write_senvcfg(vcpu.senvcfg)
        if self.swaps_sstateen0(vcpu):
            vcpu.host_sstateen0 = self.cpu.sstateen0
            bits = vcpu.sstateen0.bits & SSTATEEN0_MASK
            self.cpu.sstateen0 = Val(bits, vcpu.sstateen0.origin)
        if self.swaps_ssp:
            self.cpu.ssp = Val(legal_ssp(vcpu.ssp.bits), vcpu.ssp.origin)

    @kernel_function()
    def kvm_riscv_vcpu_swap_in_host_state(self, vcpu: Vcpu) -> None:
        if "senvcfg-switch" in self.fixes:
            vcpu.senvcfg = self.cpu.senvcfg
            self.write_senvcfg(vcpu.host_senvcfg)
        if self.swaps_sstateen0(vcpu):
            vcpu.sstateen0, self.cpu.sstateen0 = self.cpu.sstateen0, vcpu.host_sstateen0
        if self.swaps_ssp:
            vcpu.ssp, self.cpu.ssp = self.cpu.ssp, ZERO

    # Preemption --------------------------------------------------------------------------------

    def fire_sched_out_preempt_notifiers(self) -> None:
        """kvm_sched_out()"""
        if self.current.vcpu:
            self.kvm_arch_vcpu_put(self.vcpus[self.current.vcpu])

    def fire_sched_in_preempt_notifiers(self) -> None:
        """kvm_sched_in()"""
        if self.current.vcpu:
            self.kvm_arch_vcpu_load(self.vcpus[self.current.vcpu])
