"""arch/arm64/kernel/entry-common.c and syscall.c: into the kernel, and back to EL0."""

from __future__ import annotations

from harness.model.arm64.cpu.sysreg import SVCR_SM_MASK
from harness.model.arm64.host.smccc import Smccc
from harness.model.arm64.host.state import (
    FP_STATE_CURRENT,
    FP_STATE_FPSIMD,
    TIF_FOREIGN_FPSTATE,
    TIF_SVE,
)
from harness.model.base import kernel_function
from harness.model.tasks import KERNEL, USER, At


class Entry(Smccc):
    """Exceptions from EL0, and the way back."""

    __slots__ = ()

    @kernel_function()
    def el0_svc(self) -> None:
        """current makes a system call."""
        self.cpu.mode = KERNEL
        self.current.at = At.SYSCALL
        self.fp_user_discard()

    @kernel_function()
    def fp_user_discard(self) -> None:
        """At syscall entry: drop what the ABI need not keep.

        Up to v5.18 sve_user_discard(), from v6.16 fpsimd_syscall_enter().
        """
        if self.sme_host:
            self.sme_smstop(SVCR_SM_MASK)
        if not self.sve_host:
            return
        if "sve-stays-on" in self.fixes:
            if self.test_thread_flag(TIF_SVE):
                self.sve_flush_live()
            elif "discard-closes-sve" in self.fixes:
                self.sve_user_disable()
            if "discard-modified" in self.fixes:
                self.last.to_save = FP_STATE_FPSIMD
        else:
            self.clear_thread_flag(TIF_SVE)
            self.sve_user_disable()

    def el0_interrupt(self) -> None:
        """An interrupt, or a trap whose handler has yet to run, takes current from EL0."""
        self.cpu.mode = KERNEL

    def el0_access_trap(self) -> None:
        """el0_sve_acc() or el0_sme_acc(), if current has come into the kernel that way."""
        current = self.current
        if current.pending == "sve" and self.sve_host:
            self.do_sve_acc()
        elif current.pending == "sme" and self.sme_host:
            self.do_sme_acc()
        elif current.pending:
            self.force_signal_inject("SIGILL")
        current.pending = ""

    @kernel_function()
    def do_notify_resume(self) -> None:
        """The work on the way to user space: current's registers are restored if need be."""
        if self.current.flags & TIF_FOREIGN_FPSTATE:
            self.fpsimd_restore_current_state()

    @kernel_function()
    def exit_to_user_mode(self) -> None:
        """ret_to_user: finish what is pending, restore the registers, ERET to EL0."""
        current = self.current
        self.el0_access_trap()
        if current.killed:
            self.do_exit()
            return
        self.do_notify_resume()
        if "discard-modified" in self.fixes and self.sve_host:
            self.last.to_save = FP_STATE_CURRENT  # fpsimd_syscall_exit()
        current.at = At.USER
        self.cpu.mode = USER
