"""What a task does from user space, or has done to it there, verb by verb.

A coarse verb (`read`, `syscall`, `ptrace_set` ...) is a whole stay in the kernel,
which takes its steps. A fine verb (`syscall_enter`, `trap`, `ret_to_user` ...)
runs one kernel step now, and is refused where the kernel could not take it.
"""

from __future__ import annotations

from harness.model.arm64 import due
from harness.model.arm64.cpu.cpu import Access, Trap
from harness.model.arm64.cpu.state import USER
from harness.model.arm64.cpu.sysreg import (
    ESR_ELX_EC_FP_EXC64,
    FPCR_TRAPS,
    SVCR_SM_MASK,
    SVCR_ZA_MASK,
)
from harness.model.arm64.host.state import NO_RECORD, Frame, SveState, Task
from harness.model.arm64.host.vl import PR_SVE_SET_VL_ONEXEC, PR_SVE_VL_INHERIT, PR_VL_LEN_MASK
from harness.model.arm64.ioctls import Bits, Reg
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.tracer import Tracer
from harness.model.base import Refused
from harness.model.tasks import At

PR_FLAGS = {
    "PR_SVE_VL_INHERIT": PR_SVE_VL_INHERIT,
    "PR_SVE_SET_VL_ONEXEC": PR_SVE_SET_VL_ONEXEC,
    "PR_SME_VL_INHERIT": PR_SVE_VL_INHERIT,
    "PR_SME_SET_VL_ONEXEC": PR_SVE_SET_VL_ONEXEC,
}
EXITS = ("irq", "wfx", "hvc", "sysreg", "dabt")
ACCESS_OF_CLASS: dict[str, Access] = {"fp": "asimd", "sve": "sve", "sme": "sme"}


class Userland(Tracer):
    """One method a verb, `on_VERB`, called with the actor's name and operands."""

    __slots__ = ()

    # Programs ------------------------------------------------------------------

    def on_read(self, actor: str, reg: Reg) -> None:
        if actor in self.vcpus:
            self.read_register(self.in_guest(actor), *reg)
        else:
            self.read_register(self.in_user(actor), *reg)

    def on_write(self, actor: str, reg: Reg, bits: Bits) -> None:
        if actor in self.vcpus:
            self.write_register(self.in_guest(actor), *reg, bits)
        else:
            self.write_register(self.in_user(actor), *reg, bits)

    def on_svcr_write(self, actor: str, bits: Bits) -> None:
        self.exists("sme")
        if actor in self.vcpus:
            self.instruction(self.in_guest(actor), "sme")  # there are no SME guests
        else:
            self.write_register(self.in_user(actor), "svcr", 0, bits)

    def on_smstart(self, actor: str, which: str) -> None:
        self._smstartstop(actor, which, start=True)

    def on_smstop(self, actor: str, which: str) -> None:
        self._smstartstop(actor, which, start=False)

    def _smstartstop(self, actor: str, which: str, start: bool) -> None:
        self.exists("sme")
        mask = {"sm": SVCR_SM_MASK, "za": SVCR_ZA_MASK}.get(which, SVCR_SM_MASK | SVCR_ZA_MASK)
        if actor in self.vcpus:
            vcpu = self.in_guest(actor)
            self.instruction(vcpu, "sme")  # there are no SME guests
            return
        task = self.in_user(actor)
        if self.instruction(task, "sme"):
            svcr = self.cpu.svcr
            owed = self.task_due[actor]
            self.write_svcr(owed, svcr | mask if start else svcr & ~mask)

    # Into the kernel and back ----------------------------------------------------

    def on_syscall(self, actor: str) -> None:
        self.in_user(actor)
        self.svc()
        self.exit_to_user_mode()

    def on_syscall_enter(self, actor: str) -> None:
        self.in_user(actor)
        self.svc()

    def on_ret_to_user(self, actor: str) -> None:
        task = self.in_kernel(actor, At.USER, At.SYSCALL, At.RUN)
        self.not_in_neon(task)
        if task.at is At.RUN:
            self.vcpu_put(self.vcpus[task.vcpu])
        self.exit_to_user_mode()

    def on_trap(self, actor: str, what: str) -> None:
        self.exists(what)
        if actor in self.vcpus:
            self._guest_class(actor, what)
            return
        task = self.in_user(actor)
        if what == "fpe":
            self._fp_exception(task)
            return
        if what not in ("sve", "sme"):
            raise Refused(f"a task can `trap sve`, `trap sme` or `trap fpe`, not `trap {what}`")
        if self.access(ACCESS_OF_CLASS[what]) is None:
            raise Refused(f"{actor}'s {what.upper()} instruction would not trap here")
        self.cost.host_traps += 1
        self.el0_interrupt()
        task.pending = what

    def _fp_exception(self, who: Task | Vcpu) -> None:
        """A trapped FP exception: no control of EL1 or EL2 is asked, and a guest keeps its own."""
        if not self.cpu.fpcr.bits & FPCR_TRAPS:
            raise Refused(f"{who.name}'s FPCR enables no FP exception")
        guest = isinstance(who, Vcpu)
        trap = Trap(ESR_ELX_EC_FP_EXC64, 2 if self.has_vhe and not guest else 1)
        self.traps.append(trap)
        if self.recording:
            self.note("trap", f"ec={trap.ec:#04x} el={trap.el}")
        if not guest:
            self.cost.host_traps += 1
            self.el0_interrupt()
            self.do_fpsimd_exc()
            self.exit_to_user_mode()

    def on_handle_trap(self, actor: str) -> None:
        task = self.in_kernel(actor, At.USER)
        if not task.pending:
            raise Refused(f"{actor} has no trap to handle")
        self.el0_access_trap()

    def _guest_class(self, actor: str, what: str) -> None:
        vcpu = self.in_guest(actor)
        if what in EXITS:
            self.guest_exit(vcpu, "irq" if what == "irq" else "trap")
            self.current.at = At.RUN
            return
        if what == "fpe":
            self._fp_exception(vcpu)
            return
        executed = self.instruction(vcpu, ACCESS_OF_CLASS[what])
        if executed and not self.traps:
            raise Refused(f"{actor}'s {what.upper()} instruction would not trap here")

    def on_do_notify_resume(self, actor: str) -> None:
        task = self.in_kernel(actor, At.USER, At.SYSCALL)
        self.not_in_neon(task)
        self.el0_access_trap()
        self.do_notify_resume()

    def on_prctl(self, actor: str, option: str, vl: int, flags: tuple[str, ...] = ()) -> None:
        self._in_user_or_syscall(actor)
        arg = vl
        for name in flags:
            arg |= PR_FLAGS[name]
        sve = option == "PR_SVE_SET_VL"

        def step() -> None:
            self.errno = self.sve_set_current_vl(arg) if sve else self.sme_set_current_vl(arg)
            if not self.errno:
                lengths = self.lengths.sve if sve else self.lengths.sme
                vl, flags = arg & PR_VL_LEN_MASK, arg & ~PR_VL_LEN_MASK
                due.set_length(self.task_due[actor], not sve, vl, flags, lengths)

        self._by_syscall(step)

    # Signals ---------------------------------------------------------------------------

    def on_signal(self, actor: str) -> None:
        """From user space a whole interrupt; in the kernel, on the way out, delivery alone."""
        task = self.running(actor)
        from_user = self.cpu.mode is USER
        if from_user:
            self.el0_interrupt()
        else:
            self.in_kernel(actor, At.USER, At.SYSCALL)
            self.not_in_neon(task)
        self.el0_access_trap()
        task.at = At.USER  # do_signal(): forget_syscall(), so a save now is no system call's
        owed = self.task_due[actor]
        owed.frames = (*owed.frames, owed.regs)
        owed.regs = due.handler(owed.regs)
        self.setup_rt_frame()
        if from_user:
            self.exit_to_user_mode()

    def on_frame_write(self, actor: str, reg: Reg, bits: Bits) -> None:
        task = self.in_user(actor)
        if not task.frames:
            raise Refused(f"{actor} is not in a signal handler")
        frame, (_, n), val = task.frames[-1], reg, self.value(actor, bits[0])
        task.frames = (*task.frames[:-1], frame._replace(v=frame.v.set(n, (val,))))
        owed = self.task_due[actor]
        owed.frames = (*owed.frames[:-1], due.frame_written(owed.frames[-1], n, val))

    def on_sigreturn(self, actor: str, what: str) -> None:
        task = self._in_user_or_syscall(actor)
        if not task.frames:
            raise Refused(f"{actor} is not in a signal handler")
        owed = self.task_due[actor]
        frame, regs = task.frames[-1], owed.frames[-1]
        if what == "streaming":
            if not self.sme_host or frame.sve is None:
                raise Refused(f"{actor}'s frame has no SVE record, or this kernel no SME")
            frame = self.made_streaming(task, frame)
            regs = due.frame_streaming(regs, owed.sme.vq)
        elif what == "sve":
            if frame.sve is None:
                raise Refused(f"{actor}'s frame has no SVE record with registers")
            frame = self.made_non_streaming(task, frame)
            regs = due.frame_sve(regs, owed.sve.vq)
        elif what == "fpsimd":
            frame = frame._replace(sve=None, streaming=False, vl=NO_RECORD)
            regs = due.frame_fpsimd(regs)
        elif what == "empty":
            if not self.sme_host:
                raise Refused("this kernel has no SME")
            frame = frame._replace(sve=None, streaming=True, vl=task.sme_vl)
            regs = due.frame_fpsimd(regs)

        def step() -> None:
            task.frames = task.frames[:-1]
            self.restore_sigframe(frame)
            owed.frames = owed.frames[:-1]
            if not task.killed:  # for a frame that is not its own
                owed.regs = regs

        self._by_syscall(step)

    @staticmethod
    def made_streaming(task: Task, frame: Frame) -> Frame:
        """The frame as a program may forge it: its SVE record with the SM flag set."""
        sve = frame.sve or SveState()
        sve = SveState(sve.z.limit(task.sme_vl), sve.p.limit(task.sme_vl))
        return frame._replace(sve=sve, streaming=True, vl=task.sme_vl)

    @staticmethod
    def made_non_streaming(task: Task, frame: Frame) -> Frame:
        """The same with the SM flag clear: with SME alone, for a vector length of zero."""
        z, p = frame.sve or SveState()
        sve = SveState(z.limit(task.sve_vl), p.limit(task.sve_vl))
        return frame._replace(sve=sve, streaming=False, vl=task.sve_vl)

    # A task's life ---------------------------------------------------------------------

    def on_fork(self, actor: str, child_name: str) -> None:
        self._clone(actor, child_name, clone_vm=False)

    def on_clone(self, actor: str, child_name: str) -> None:
        self._clone(actor, child_name, clone_vm=True)

    def _clone(self, actor: str, child_name: str, clone_vm: bool) -> None:
        """A whole system call from user space; in one, the copying alone."""
        self._in_user_or_syscall(actor)
        child = self.tasks[child_name]
        if child.at is not At.UNBORN:
            raise Refused(f"{child_name} exists already, or did")

        def step() -> None:
            due.fork(self.task_due[actor], self.task_due[child_name], clone_vm)
            self.arch_dup_task_struct(child)
            self.copy_thread(child, clone_vm)

        self._by_syscall(step)

    def on_exec(self, actor: str) -> None:
        self._in_user_or_syscall(actor)

        def step() -> None:
            due.exec_(self.task_due[actor], self.config)
            self.fpsimd_flush_thread()

        self._by_syscall(step)

    def on_release(self, actor: str) -> None:
        task = self.tasks[actor]
        if task.on_cpu >= 0 or task.at not in (At.USER, At.SYSCALL) or task.vcpu:
            raise Refused(f"{actor} is not off its CPU for good")
        self.free_task(task)

    def on_exit(self, actor: str) -> None:
        self.in_user(actor)
        self.svc()
        self.do_exit()
