"""arch/arm64/kvm/hyp/nvhe/hyp-main.c and pkvm.c in protected mode.

Also arch/arm64/kvm/handle_exit.c and arch/arm64/kvm/hyp/nvhe/psci-relay.c.

Hyp runs copies of the host's vcpus (from v6.2: until then it ran the host's
own, which makes no difference to see here, so the copies are always there).
Until v6.9 `fp_state` goes to and fro with the rest, and FP registers are
switched as lazily as under nVHE. From v6.10 kernel and hyp each have a
kvm_host_data of their own: hyp saves the host at a guest's first FP use, puts
it back at each exit, and the kernel never learns of either.

Until v7.2 the context goes to hyp at each entry and back at each exit. From v7.3
on a vcpu of a VM that is not protected keeps it in hyp: the host's copy is stale
after an interrupt, and PKVM_HOST_STATE_DIRTY says which of the two copies counts.
"""

from __future__ import annotations

from harness.model.arm64.cpu.cpu import Trap
from harness.model.arm64.cpu.sysreg import CPTR_EL2_TFP, CPTR_EL2_TZ
from harness.model.arm64.host.state import SveState
from harness.model.arm64.kvm.nvhe import Nvhe
from harness.model.arm64.kvm.state import FP_STATE_HOST_OWNED, Vcpu
from harness.model.base import kernel_function

# __copy_vcpu_state(), as far as it is modelled: what the host's and hyp's vcpu have a copy of.
_CTXT = ("fpsimd_state", "fpsr", "fpcr", "fpmr", "zcr_el1", "cpacr_el1")
# What each entry takes from the host's vcpu and each exit gives back. sve_state is one memory,
# which the host shares with hyp.
_BOTH = ("sve_state", "debug", "host_sve_in_use")
_ENTRY = ("sve", "sve_max_vl", "fpmr_vm", "cptr_tz")


class Pkvm(Nvhe):
    """The kernel at EL1 without a say in what hyp does."""

    __slots__ = ()

    @property
    def eager(self) -> bool:
        return "pkvm-host-sve" in self.fixes

    def kvm_vcpu_run_enter(self, vcpu: Vcpu) -> bool:
        """handle___kvm_vcpu_run() up to the guest."""
        if "pkvm-sme-refuse" in self.fixes and self.cpu.svcr:
            return False  # -EINVAL: no sane host has SM or ZA on here
        hyp_vcpu = self.hyp_vcpus[vcpu.name]
        self.flush_hyp_vcpu(hyp_vcpu, vcpu)
        if "eager-zcr" in self.fixes and not self.eager:
            self.fpsimd_lazy_switch_to_guest(hyp_vcpu)  # 6.1.y, which has no hyp vcpus
        self.enter(hyp_vcpu)
        return True

    def kvm_vcpu_run_exit(self, vcpu: Vcpu) -> None:
        """handle___kvm_vcpu_run() from the guest on."""
        hyp_vcpu = self.hyp_vcpus[vcpu.name]
        self.leave(hyp_vcpu)
        if "eager-zcr" in self.fixes and not self.eager:
            self.fpsimd_lazy_switch_to_host(hyp_vcpu)
        self.sync_hyp_vcpu(hyp_vcpu, vcpu)

    @kernel_function()
    def flush_hyp_vcpu(self, hyp_vcpu: Vcpu, vcpu: Vcpu) -> None:
        for name in (*_BOTH, *_ENTRY):
            setattr(hyp_vcpu, name, getattr(vcpu, name))
        if not self.keeps_state(vcpu):
            self.copy_vcpu_state(vcpu, hyp_vcpu)
        elif vcpu.host_state_dirty:
            self.flush_hyp_vcpu_state(vcpu)
        if self.eager:
            self.set_hyp_fp_owner(hyp_vcpu, FP_STATE_HOST_OWNED)  # fpsimd_sve_flush()
        hyp_vcpu.fp_state = vcpu.fp_state

    @kernel_function()
    def sync_hyp_vcpu(self, hyp_vcpu: Vcpu, vcpu: Vcpu) -> None:
        if self.eager:
            self.fpsimd_sve_sync(hyp_vcpu)
        for name in _BOTH:
            setattr(vcpu, name, getattr(hyp_vcpu, name))
        if not self.keeps_state(vcpu):
            self.copy_vcpu_state(hyp_vcpu, vcpu)
        vcpu.fp_state = hyp_vcpu.fp_state

    # Who has the context of a vcpu that is not protected, from v7.3 on ---------------------

    def keeps_state(self, vcpu: Vcpu) -> bool:
        """Whether hyp keeps the context of `vcpu` over exits that the host has no use for it."""
        return "pkvm-lazy-state" in self.fixes and not vcpu.protected

    def copy_vcpu_state(self, source: Vcpu, target: Vcpu) -> None:
        """__copy_vcpu_state(); until v7.2 and for a protected VM an assignment of the context."""
        for name in _CTXT:
            setattr(target, name, getattr(source, name))

    @kernel_function()
    def flush_hyp_vcpu_state(self, vcpu: Vcpu) -> None:
        self.copy_vcpu_state(vcpu, self.hyp_vcpus[vcpu.name])

    @kernel_function()
    def sync_hyp_vcpu_state(self, vcpu: Vcpu) -> None:
        self.copy_vcpu_state(self.hyp_vcpus[vcpu.name], vcpu)

    def pkvm_vcpu_put(self, vcpu: Vcpu) -> None:
        if not self.keeps_state(vcpu):
            return
        if not vcpu.host_state_dirty:
            self.sync_hyp_vcpu_state(vcpu)  # handle___pkvm_vcpu_put()
        self.set_host_state_dirty(vcpu, True)

    def handle_exit_pkvm_state(self, vcpu: Vcpu, reason: str) -> None:
        if not self.keeps_state(vcpu):
            return
        wanted = reason in ("trap", "serror")  # the host will read it, or write it
        if wanted:
            self.sync_hyp_vcpu_state(vcpu)  # handle___pkvm_vcpu_sync_state()
        self.set_host_state_dirty(vcpu, wanted)

    def set_host_state_dirty(self, vcpu: Vcpu, dirty: bool) -> None:
        if self.recording and dirty is not vcpu.host_state_dirty:
            word = "set" if dirty else "clear"
            self.note("flag", f"{vcpu.name}: {word} PKVM_HOST_STATE_DIRTY")
        vcpu.host_state_dirty = dirty

    # PSCI ----------------------------------------------------------------------------

    def cpu_up(self) -> None:
        """The host's CPU_ON is an SMC that hyp takes; the CPU comes up in hyp (psci-relay.c)."""
        self.psci_cpu_on()
        super().cpu_up()

    @kernel_function()
    def psci_cpu_on(self) -> None:
        self.kvm_host_psci_cpu_entry()

    @kernel_function("__kvm_host_psci_cpu_entry")
    def kvm_host_psci_cpu_entry(self) -> None:
        """Hyp enters the host with the host_ctxt of this CPU, in hyp's own copy."""
        self.cpu.vmpidr_el2 = self.hyp_host_data.host_ctxt_mpidr

    # FP ------------------------------------------------------------------------------

    def kvm_hyp_handle_fpsimd(self, vcpu: Vcpu, trap: Trap) -> bool:
        return super().kvm_hyp_handle_fpsimd(self.hyp_vcpus[vcpu.name], trap)

    def open_fpsimd_traps(self, vcpu: Vcpu) -> None:
        if self.eager and self.system_supports_sve:
            self.write_cptr_el2(self.read_cptr_el2() & ~(CPTR_EL2_TFP | CPTR_EL2_TZ))
        else:
            super().open_fpsimd_traps(vcpu)

    def host_vq(self) -> int:
        """The length at which hyp moves the host's SVE state, whose buffer fits the shared one."""
        shared = self.lengths.sve[-1]
        if "pkvm-vl" in self.fixes or not self.config.sve_hw:
            return shared
        self.violate(
            "wrong-vl",
            f"cpu{self.cpu.id}",
            "kvm_host_data.sve_state",
            f"cpu{self.cpu.id}: hyp saves the host's SVE state at VL {16 * self.config.sve_hw}, "
            f"its buffer is for {16 * shared}",
        )
        return self.config.sve_hw

    @kernel_function()
    def kvm_hyp_save_fpsimd_host(self, vcpu: Vcpu) -> None:
        if not self.eager:
            super().kvm_hyp_save_fpsimd_host(vcpu)
            return
        cpu, host = self.cpu, self.hyp_host_data
        if self.system_supports_sve:
            host.host_ctxt_zcr = cpu.zcr_el1  # __hyp_sve_save_host()
            vq = self.host_vq()
            self.write_hyp_zcr(vq - 1)
            host.sve_state = SveState(cpu.z.limit(vq), cpu.p.limit(vq))
            if not vcpu.sve:
                self.write_cptr_el2(self.read_cptr_el2() | CPTR_EL2_TZ)
        else:
            host.host_ctxt_fp = cpu.z.limit(1)
        host.host_ctxt_fpsr, host.host_ctxt_fpcr = cpu.fpsr, cpu.fpcr
        if vcpu.fpmr_vm:
            host.host_ctxt_fpmr = cpu.fpmr
        self.cost.saves += 1
        if self.recording:
            self.note("save", f"host <- cpu{cpu.id} by hyp")

    @kernel_function()
    def fpsimd_sve_sync(self, hyp_vcpu: Vcpu) -> None:
        """Save the guest, put the host back: it is not to know that a guest has used FP."""
        if not self.guest_owns_fp_regs(hyp_vcpu):
            return
        cpu, host = self.cpu, self.hyp_host_data
        self.write_cptr_el2(self.read_cptr_el2() & ~(CPTR_EL2_TFP | CPTR_EL2_TZ))
        if hyp_vcpu.sve:
            hyp_vcpu.zcr_el1 = cpu.zcr_el1  # __hyp_sve_save_guest()
            vq = hyp_vcpu.sve_max_vl
            self.write_hyp_zcr(vq - 1)
            hyp_vcpu.sve_state = SveState(cpu.z.limit(vq), cpu.p.limit(vq))
        else:
            hyp_vcpu.fpsimd_state = cpu.z.limit(1)
        hyp_vcpu.fpsr, hyp_vcpu.fpcr = cpu.fpsr, cpu.fpcr
        if hyp_vcpu.fpmr_vm:
            hyp_vcpu.fpmr = cpu.fpmr
            cpu.fpmr = host.host_ctxt_fpmr
        self.cost.guest_saves += 1
        if host.sve_state is not None:
            self.write_hyp_zcr(self.host_vq() - 1)  # __hyp_sve_restore_host()
            cpu.z, cpu.p = host.sve_state
            cpu.zcr_el1 = host.host_ctxt_zcr
            host.sve_state = None
        else:
            cpu.z = host.host_ctxt_fp
        cpu.fpsr, cpu.fpcr = host.host_ctxt_fpsr, host.host_ctxt_fpcr
        self.cost.loads += 1
        if self.recording:
            self.note("load", f"cpu{cpu.id} <- host by hyp")
        self.set_hyp_fp_owner(hyp_vcpu, FP_STATE_HOST_OWNED)
