"""arch/riscv/kernel/traps.c, signal.c and suspend.c: ways into the kernel and back."""

from __future__ import annotations

from harness.model.base import kernel_function
from harness.model.riscv.cpu.csr import DIRTY, get_vs
from harness.model.riscv.host.process import Process
from harness.model.riscv.host.state import Frame, Task
from harness.model.tasks import At, Mode
from harness.model.values import EMPTY, Bank

_CSRS = range(32, 36)


class Entry(Process):
    """System calls, signals, and a CPU that loses power."""

    __slots__ = ()

    @kernel_function()
    def do_trap_ecall_u(self, task: Task) -> None:
        """A system call begins."""
        self.cpu.mode = Mode.KERNEL
        task.at = At.SYSCALL
        if self.has_vector:
            self.riscv_v_vstate_discard(task)

    @kernel_function()
    def exit_to_user_mode(self) -> None:
        """arch_exit_to_user_mode_prepare(), and the way down."""
        task = self.current
        if task.defer_restore:
            task.defer_restore = False
            self.riscv_v_vstate_restore(task)
        task.at = At.USER
        self.cpu.mode = Mode.USER

    def syscall(self, task: Task) -> None:
        """A whole one that does nothing."""
        self.do_trap_ecall_u(task)
        self.exit_to_user_mode()

    @kernel_function()
    def setup_rt_frame(self, task: Task) -> None:
        vector = self.has_vector and self.riscv_v_vstate_query(task)
        self.fstate_save(task)
        if vector:
            self.riscv_v_vstate_save(task)  # save_v_state()
        task.frames = (*task.frames, Frame(task.fstate, task.vstate if vector else None))

    @kernel_function()
    def rt_sigreturn(self, task: Task) -> None:
        *rest, frame = task.frames
        task.frames = tuple(rest)
        task.fstate = frame.f
        self.fstate_restore(task)
        if frame.v is not None:
            self.restore_v_state(task, frame.v)

    @kernel_function("__restore_v_state")
    def restore_v_state(self, task: Task, saved: Bank) -> None:
        """The CSRs, then the registers, by a copy_from_user() that itself uses vectors."""
        if "rt-sigreturn-v" in self.fixes:
            self.riscv_v_vstate_set_restore(task)
        state = task.vstate or EMPTY
        task.vstate = _merge(state, saved, csrs=True)
        if self.vector_usercopy and get_vs(task.status) == DIRTY:
            self.kernel_vector_begin()
            self.use_vector_in_kernel()
            self.kernel_vector_end()
        task.vstate = _merge(task.vstate or EMPTY, saved, csrs=False)
        if "rt-sigreturn-v" not in self.fixes:
            if "v-defer-restore" in self.fixes:
                self.riscv_v_vstate_set_restore(task)
            else:
                self.riscv_v_vstate_restore(task)

    @kernel_function()
    def suspend_cpu(self) -> None:
        """suspend_save_csrs(), a power loss, suspend_restore_csrs()."""
        hart, saved = self.cpu, self.cpu.senvcfg
        hart.senvcfg = EMPTY.get(0)
        if "envcfg-resume" in self.fixes:
            self.write_senvcfg(saved)


def _merge(old: Bank, new: Bank, csrs: bool) -> Bank:
    """`old` with the CSRs, or the registers, of `new`."""
    take = {n: q for n, q in new.regs.items() if (n in _CSRS) is csrs}
    keep = {n: q for n, q in old.regs.items() if (n in _CSRS) is not csrs}
    return Bank(keep | take)
