"""Signals, their frames, and the return from a handler."""

from __future__ import annotations

from harness.model.arm64 import due
from harness.model.arm64.host.state import NO_RECORD, Frame, SveState, Task
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import by_syscall, in_user_or_syscall, not_in_neon
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import VALUE, Bits, Reg, Register, words
from harness.model.places import in_kernel, in_user, running
from harness.model.tasks import USER, At


@VERBS.verb(
    "gets a signal: its frame is written; from user space the handler runs next", touches="cpu"
)
def signal(m: Program, actor: str) -> None:
    """From user space a whole interrupt; in the kernel, on the way out, delivery alone."""
    task = running(m, actor)
    from_user = m.cpu.mode is USER
    if from_user:
        m.el0_interrupt()
    else:
        in_kernel(m, actor, At.USER, At.SYSCALL)
        not_in_neon(m, task)
    m.el0_access_trap()
    task.at = At.USER  # do_signal(): forget_syscall(), so a save now is no system call's
    owed = m.task_due[actor]
    owed.frames = (*owed.frames, owed.regs)
    owed.regs = due.handler(owed.regs)
    m.setup_rt_frame()
    if from_user:
        m.exit_to_user_mode()


@VERBS.verb(
    "changes a V register in the FPSIMD record of its frame",
    Register("frame"),
    VALUE,
)
def frame_write(m: Program, actor: str, reg: Reg, bits: Bits) -> None:
    task = in_user(m, actor)
    if not task.frames:
        raise Refused(f"{actor} is not in a signal handler")
    frame, (_, n), val = task.frames[-1], reg, m.value(actor, bits[0])
    task.frames = (*task.frames[:-1], frame._replace(v=frame.v.set(n, (val,))))
    owed = m.task_due[actor]
    owed.frames = (*owed.frames[:-1], due.frame_written(owed.frames[-1], n, val))


@VERBS.verb(
    "returns from the handler: with the frame as it was, with its FPSIMD record alone, "
    "with its SVE record made a streaming or a non-streaming one, or with a streaming one "
    "without registers",
    words("whole fpsimd streaming sve empty", optional=True),
    touches="cpu",
)
def sigreturn(m: Program, actor: str, what: str) -> None:
    task = in_user_or_syscall(m, actor)
    if not task.frames:
        raise Refused(f"{actor} is not in a signal handler")
    owed = m.task_due[actor]
    frame, regs = task.frames[-1], owed.frames[-1]
    if what == "streaming":
        if not m.sme_host or frame.sve is None:
            raise Refused(f"{actor}'s frame has no SVE record, or this kernel no SME")
        frame = made_streaming(task, frame)
        regs = due.frame_streaming(regs, owed.sme.vq)
    elif what == "sve":
        if frame.sve is None:
            raise Refused(f"{actor}'s frame has no SVE record with registers")
        frame = made_non_streaming(task, frame)
        regs = due.frame_sve(regs, owed.sve.vq)
    elif what == "fpsimd":
        frame = frame._replace(sve=None, streaming=False, vl=NO_RECORD)
        regs = due.frame_fpsimd(regs)
    elif what == "empty":
        if not m.sme_host:
            raise Refused("this kernel has no SME")
        frame = frame._replace(sve=None, streaming=True, vl=task.sme_vl)
        regs = due.frame_fpsimd(regs)

    def step() -> None:
        task.frames = task.frames[:-1]
        m.restore_sigframe(frame)
        owed.frames = owed.frames[:-1]
        if not task.killed:  # for a frame that is not its own
            owed.regs = regs

    by_syscall(m, step)


def made_streaming(task: Task, frame: Frame) -> Frame:
    """The frame as a program may forge it: its SVE record with the SM flag set."""
    sve = frame.sve or SveState()
    sve = SveState(sve.z.limit(task.sme_vl), sve.p.limit(task.sme_vl))
    return frame._replace(sve=sve, streaming=True, vl=task.sme_vl)


def made_non_streaming(task: Task, frame: Frame) -> Frame:
    """The same with the SM flag clear: with SME alone, for a vector length of zero."""
    z, p = frame.sve or SveState()
    sve = SveState(z.limit(task.sve_vl), p.limit(task.sve_vl))
    return frame._replace(sve=sve, streaming=False, vl=task.sve_vl)
