"""arch/arm64/kernel/process.c, kernel/fork.c, kernel/exit.c and the context switch.

Also kernel/sched/core.c.
"""

from __future__ import annotations

from harness.model.arm64.cpu.sysreg import FPSR_AFTER_SM_CHANGE, SVCR_SM_MASK, SVCR_ZA_MASK
from harness.model.arm64.host.efi import Efi
from harness.model.arm64.host.state import (
    ARM64_VEC_SME,
    ARM64_VEC_SVE,
    FP_STATE_FPSIMD,
    TIF_FOREIGN_FPSTATE,
    TIF_SME,
    TIF_SME_VL_INHERIT,
    TIF_SVE,
    TIF_SVE_VL_INHERIT,
    Task,
    VecType,
)
from harness.model.base import kernel_function
from harness.model.tasks import At, Mode
from harness.model.values import EMPTY, ZERO, Val


class Process(Efi):
    """A task's life, and its turns on a CPU."""

    __slots__ = ()

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
        was, self.irqs_off, self.rq_locked = self.irqs_off, True, True
        self.fire_sched_out_preempt_notifiers(prev)
        self.fpsimd_thread_switch(next_task)
        if self.sme_host:
            self.tls_thread_switch(next_task)
        self.rq.current, self.current = next_task.name, next_task
        prev.on_cpu, next_task.on_cpu = -1, self.cpu.id
        self.cpu.mode = Mode.KERNEL
        self.rq_locked = False
        self.irqs_off = was
        if self.rq.softirq:
            self.local_irq_restore(was)
        if "lazy-reload" not in self.fixes:
            self.reload_eagerly()
        self.fire_sched_in_preempt_notifiers(next_task)

    @kernel_function()
    def tls_thread_switch(self, next_task: Task) -> None:
        """TPIDR2_EL0, which is no FP state but goes with ZA (as far as SME has it)."""
        self.current.tpidr2_el0 = self.cpu.tpidr2_el0
        self.cpu.tpidr2_el0 = next_task.tpidr2_el0

    def fire_sched_out_preempt_notifiers(self, task: Task) -> None:
        """KVM hangs in here."""

    def fire_sched_in_preempt_notifiers(self, task: Task) -> None:
        """KVM hangs in here."""

    # fork, exec, exit --------------------------------------------------------

    @kernel_function()
    def arch_dup_task_struct(self, child: Task) -> None:
        """Copy current's thread state into `child`, which lives in new memory."""
        src = self.current
        if "clone-preserve" in self.fixes:
            self.fpsimd_save_and_flush_current_state()
            self.fpsimd_sync_from_effective_state(src)
        else:
            self.fpsimd_preserve_current_state()
        self.born(child)
        child.fpsimd_state, child.fpsr, child.fpcr = src.fpsimd_state, src.fpsr, src.fpcr
        child.fpmr = src.fpmr
        child.fpsimd_cpu, child.flags = src.fpsimd_cpu, src.flags
        child.sve_vl, child.sme_vl = src.sve_vl, src.sme_vl
        child.sve_vl_onexec, child.sme_vl_onexec = src.sve_vl_onexec, src.sme_vl_onexec
        child.svcr, child.fp_type = src.svcr, src.fp_type
        # The SVE image belongs to the parent; the child starts from V.
        self.sve_free(child)
        child.sme_state = None
        child.flags &= ~TIF_SVE
        if "clone-sm" in self.fixes:
            self.task_smstop_sm(child)
        if "clone-za" in self.fixes:
            child.svcr &= ~SVCR_ZA_MASK
        if self.sme_host and child.svcr & SVCR_ZA_MASK:
            self.sve_alloc(child, flush=False)
            child.sme_state = src.sme_state
        else:
            child.flags &= ~TIF_SME
        if "fp-type" in self.fixes:
            child.fp_type = FP_STATE_FPSIMD
        child.frames = src.frames

    @kernel_function()
    def task_smstop_sm(self, task: Task) -> None:
        """What SMSTOP SM does, to a task in memory."""
        if self.sme_host and task.svcr & SVCR_SM_MASK:
            task.fpsimd_state = EMPTY
            task.fpsr, task.fpmr = Val(FPSR_AFTER_SM_CHANGE), ZERO
            task.svcr &= ~SVCR_SM_MASK
            task.fp_type = FP_STATE_FPSIMD

    @kernel_function()
    def copy_thread(self, child: Task, clone_vm: bool) -> None:
        if "dead-leak" in self.fixes:
            self.fpsimd_flush_task_state(child)
        if "clone-za" in self.fixes and not clone_vm:
            self.copy_thread_za(child)
        # clone() of a thread comes with a TLS pointer (CLONE_SETTLS).
        child.tpidr2_el0 = ZERO if clone_vm else self.cpu.tpidr2_el0
        child.at = At.SYSCALL
        if clone_vm:
            child.frames = ()  # a stack of its own

    @kernel_function()
    def copy_thread_za(self, child: Task) -> None:
        src = self.current
        if self.sme_host and src.svcr & SVCR_ZA_MASK:
            self.sve_alloc(child, flush=False)
            child.sme_state = src.sme_state
            child.svcr |= SVCR_ZA_MASK
            child.flags |= TIF_SME

    @kernel_function()
    def fpsimd_flush_thread(self) -> None:
        """exec: current starts again with all FP state zero."""
        current = self.current
        self.fpsimd_flush_task_state(current)
        current.fpsimd_state, current.fpsr, current.fpcr = EMPTY, ZERO, ZERO
        if "fpmr-exec" in self.fixes:
            current.fpmr = ZERO
        self.sve_free(current)
        current.sme_state = None
        self.cpu.tpidr2_el0 = ZERO  # tls_thread_flush()
        if self.sve_host:
            self.clear_thread_flag(TIF_SVE)
            self.fpsimd_flush_thread_vl(ARM64_VEC_SVE)
        if self.sme_host:
            self.clear_thread_flag(TIF_SME)
            self.fpsimd_flush_thread_vl(ARM64_VEC_SME)
        current.svcr, current.fp_type = 0, FP_STATE_FPSIMD
        current.frames = ()  # they were in the old program's memory

    @kernel_function()
    def fpsimd_flush_thread_vl(self, vec: VecType) -> None:
        """The length of a new program: as asked for, for one exec() or for all, or default."""
        current = self.current
        if vec is ARM64_VEC_SVE:
            current.sve_vl = current.sve_vl_onexec or self.get_default_vl(vec)
            if not current.flags & TIF_SVE_VL_INHERIT:
                current.sve_vl_onexec = 0
        else:
            current.sme_vl = current.sme_vl_onexec or self.get_default_vl(vec)
            if not current.flags & TIF_SME_VL_INHERIT:
                current.sme_vl_onexec = 0

    @kernel_function()
    def do_exit(self) -> None:
        """current dies, the idle task follows it, and its memory is freed.

        No CPU's fpsimd_last_state is cleared: it may go on pointing there.
        """
        task = self.current
        self.context_switch(self.tasks[f"idle{self.cpu.id}"])
        self.free_task(task)

    def free_task(self, task: Task) -> None:
        """The last reference to a dead task is gone."""
        task.at, task.on_cpu, task.pending, task.vcpu = At.DEAD, -1, "", ""
        self.fpsimd_release_task(task)
        self.free(task)

    @kernel_function()
    def fpsimd_release_task(self, task: Task) -> None:
        self.sve_free(task)
        task.sme_state = None
