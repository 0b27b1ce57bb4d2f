"""arch/arm64/kernel/process.c, kernel/fork.c, kernel/exit.c and the context switch."""

from __future__ import annotations

from harness.model.arm64.cpu.state import Mode
from harness.model.arm64.cpu.sysreg import SVCR_ZA_MASK
from harness.model.arm64.host.efi import Efi
from harness.model.arm64.host.state import (
    FP_STATE_FPSIMD,
    FP_STATE_SVE,
    TIF_FOREIGN_FPSTATE,
    TIF_SME,
    TIF_SVE,
    UNTOUCHED,
    At,
    Task,
)
from harness.model.base import kernel_function
from harness.model.values import EMPTY, ZERO


class Process(Efi):
    """A task's life, and its turns on a CPU."""

    def start(self, task: Task) -> None:
        """Let a first task of the trace exist, as if it had just been exec()ed, off CPU."""
        self.born(task)
        task.at = At.USER
        task.flags = TIF_FOREIGN_FPSTATE
        task.fp_type = FP_STATE_FPSIMD

    # The context switch ------------------------------------------------------

    @kernel_function()
    def context_switch(self, next_task: Task) -> None:
        """kernel/sched/core.c: preempt notifiers around __switch_to()."""
        prev = self.current
        was, self.rq_locked = self.local_irq_save(), True
        self.fire_sched_out_preempt_notifiers(prev)
        self.fpsimd_thread_switch(next_task)
        self.rq.current, self.current = next_task.name, next_task
        prev.on_cpu, next_task.on_cpu = -1, self.cpu.id
        self.cpu.mode = Mode.KERNEL
        self.rq_locked = False
        self.local_irq_restore(was)
        if not self.has("lazy-reload"):
            self.reload_eagerly()
        self.fire_sched_in_preempt_notifiers(next_task)

    def fire_sched_out_preempt_notifiers(self, task: Task) -> None:
        """KVM hangs in here."""

    def fire_sched_in_preempt_notifiers(self, task: Task) -> None:
        """KVM hangs in here."""

    # fork, exec, exit --------------------------------------------------------

    @kernel_function()
    def arch_dup_task_struct(self, child: Task) -> None:
        """Copy current's thread state into `child`, which lives in new memory."""
        src = self.current
        if self.has("clone-preserve"):
            self.fpsimd_save_and_flush_current_state()
            if src.fp_type is FP_STATE_SVE:  # fpsimd_sync_from_effective_state()
                self.sve_to_fpsimd(src)
        else:
            self.fpsimd_preserve_current_state()
        self.born(child)
        child.fpsimd_state, child.fpsr, child.fpcr = src.fpsimd_state, src.fpsr, src.fpcr
        child.fpmr = src.fpmr
        child.fpsimd_cpu, child.flags = src.fpsimd_cpu, src.flags
        child.sve_vl, child.sme_vl = src.sve_vl, src.sme_vl
        child.svcr, child.fp_type = src.svcr, src.fp_type
        # The SVE image belongs to the parent; the child starts from V.
        child.sve_state = child.sme_state = None
        child.flags &= ~TIF_SVE
        if self.has("clone-za"):
            child.svcr &= ~SVCR_ZA_MASK
        if self.sme_host and child.svcr & SVCR_ZA_MASK:
            child.sme_state = src.sme_state
        else:
            child.flags &= ~TIF_SME
        if self.has("fp-type"):
            child.fp_type = FP_STATE_FPSIMD
        child.frames = src.frames

    @kernel_function()
    def copy_thread(self, child: Task, clone_vm: bool) -> None:
        if self.has("dead-leak"):
            self.fpsimd_flush_task_state(child)
        if self.has("clone-za") and not clone_vm:
            self.copy_thread_za(child)
        child.at = At.SYSCALL
        if clone_vm:
            child.frames = ()  # a stack of its own
        # A thread that shares its parent's memory must not have its ZA: the lazy
        # saving scheme of AAPCS64 would restore it from there twice.
        was = self.current.logical
        za, svcr = (EMPTY, 0) if clone_vm else (was.za, was.svcr)
        child.logical = was._replace(z=was.z.limit(1), p=EMPTY, za=za, svcr=svcr)

    @kernel_function()
    def copy_thread_za(self, child: Task) -> None:
        src = self.current
        if self.sme_host and src.svcr & SVCR_ZA_MASK:
            child.sme_state = src.sme_state
            child.svcr |= SVCR_ZA_MASK
            child.flags |= TIF_SME

    @kernel_function()
    def fpsimd_flush_thread(self) -> None:
        """exec: current starts again with all FP state zero."""
        current = self.current
        self.fpsimd_flush_task_state(current)
        current.fpsimd_state, current.fpsr, current.fpcr = EMPTY, ZERO, ZERO
        if self.has("fpmr-exec"):
            current.fpmr = ZERO
        current.sve_state = current.sme_state = None
        current.svcr, current.fp_type = 0, FP_STATE_FPSIMD
        self.clear_thread_flag(TIF_SVE)
        self.clear_thread_flag(TIF_SME)
        current.logical, current.frames = UNTOUCHED, ()

    @kernel_function()
    def do_exit(self) -> None:
        """current dies, the idle task follows it, and its memory is freed.

        No CPU's fpsimd_last_state is cleared: it may go on pointing there.
        """
        task = self.current
        self.context_switch(self.tasks[f"idle{self.cpu.id}"])
        task.at, task.on_cpu, task.pending, task.vcpu = At.DEAD, -1, "", ""
        self.fpsimd_release_task(task)
        self.free(task)

    @kernel_function()
    def fpsimd_release_task(self, task: Task) -> None:
        task.sve_state = task.sme_state = None
