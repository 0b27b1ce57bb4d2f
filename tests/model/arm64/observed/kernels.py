"""What sets the rebuilt kernels apart from every fix set."""

from __future__ import annotations

from harness.model.arm64.host.state import TIF_SVE
from harness.model.arm64.kvm.state import FP_STATE_FREE, Vcpu
from harness.model.arm64.machine import VheMachine


class Fpbug8(VheMachine):
    """A kernel that never was: vcpu_load does not save the host's state.

    Its registers stay current's by every flag until the guest's are flushed;
    then an older copy is loaded from memory.
    """

    def kvm_arch_vcpu_load_fp(self, vcpu: Vcpu) -> None:
        self.set_fp_owner(vcpu, FP_STATE_FREE)


class Fpbug16(VheMachine):
    """SVE stays on over system calls, but only for a task with TIF_SVE.

    Without it a system call closes EL0's access, as 6.1 does. (v6.2 to v6.15
    leave it alone: there the window of the 2025 bug does not end with the next
    system call.)
    """

    def fp_user_discard(self) -> None:
        super().fp_user_discard()
        if not self.test_thread_flag(TIF_SVE):
            self.sve_user_disable()


class Fpbug7(VheMachine):
    """v6.1 without its BUG_ON() of TIF_SVE at vcpu_load, which a tracer can set."""

    def kvm_arch_vcpu_load_fp(self, vcpu: Vcpu) -> None:
        tif_sve = self.test_and_clear_thread_flag(TIF_SVE)
        super().kvm_arch_vcpu_load_fp(vcpu)
        self.update_tsk_thread_flag(self.current, TIF_SVE, tif_sve)


MACHINES = {"fpbug7": Fpbug7, "fpbug8": Fpbug8, "fpbug16": Fpbug16, "fpbug17": Fpbug16}


def machine(file: str) -> type[VheMachine]:
    """The VHE machine for a file's kernel."""
    return next((cls for tag, cls in MACHINES.items() if tag in file), VheMachine)
