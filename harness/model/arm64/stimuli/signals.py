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
from harness.model.verbs import tried


def _can_be_signalled(m: Program, actor: str) -> None:
    task = running(m, actor)
    if m.cpu.mode is not USER:
        in_kernel(m, actor, At.USER, At.SYSCALL)
        not_in_neon(m, task)


@VERBS.verb(
    "gets a signal: its frame is written; from user space the handler runs next",
    when=_can_be_signalled,
    touches="cpu",
    tries=tried("signal"),
    leads=[()],
)
def signal(m: Program, actor: str) -> None:
    """From user space a whole interrupt; in the kernel, on the way out, delivery alone."""
    task = m.tasks[actor]
    from_user = m.cpu.mode is USER
    if from_user:
        m.el0_interrupt()
    m.el0_access_trap()
    task.at = At.USER  # do_signal(): forget_syscall(), so a save now is no system call's
    owed = m.task_due[actor]
    owed.frames = (*owed.frames, owed.regs)
    owed.regs = due.handler(owed.regs)
    m.setup_rt_frame()
    if from_user:
        m.exit_to_user_mode()


def _in_handler(task: Task) -> Frame:
    """The frame that a task would return to."""
    if not task.frames:
        raise Refused(f"{task.name} is not in a signal handler")
    return task.frames[-1]


def _has_frame(m: Program, actor: str, *_: object) -> None:
    _in_handler(in_user(m, actor))


@VERBS.verb(
    "changes a V register in the FPSIMD record of its frame",
    Register("frame"),
    VALUE,
    when=_has_frame,
)
def frame_write(m: Program, actor: str, reg: Reg, bits: Bits) -> None:
    task = m.tasks[actor]
    frame, (_, n), val = task.frames[-1], reg, m.value(actor, bits[0])
    task.frames = (*task.frames[:-1], frame._replace(v=frame.v.set(n, (val,))))
    owed = m.task_due[actor]
    owed.frames = (*owed.frames[:-1], due.frame_written(owed.frames[-1], n, val))


def _can_return(m: Program, actor: str, what: str) -> None:
    frame = _in_handler(in_user_or_syscall(m, actor))
    if what == "streaming" and (not m.sme_host or frame.sve is None):
        raise Refused(f"{actor}'s frame has no SVE record, or this kernel no SME")
    if what == "sve" and frame.sve is None:
        raise Refused(f"{actor}'s frame has no SVE record with registers")
    if what == "empty" and not m.sme_host:
        raise Refused("this kernel has no SME")


@VERBS.verb(
    "returns from the handler: with the frame as it was, with its FPSIMD record alone, "
    "with its SVE record made a streaming or a non-streaming one, or with a streaming one "
    "without registers",
    words("whole fpsimd streaming sve empty", optional=True),
    when=_can_return,
    touches="cpu",
    tries=tried("signal", "whole"),
)
def sigreturn(m: Program, actor: str, what: str) -> None:
    task, owed = m.tasks[actor], m.task_due[actor]
    frame, regs = task.frames[-1], owed.frames[-1]
    if what == "streaming":
        frame = made_streaming(task, frame)
        regs = due.frame_streaming(regs, owed.sme.vq)
    elif what == "sve":
        frame = made_non_streaming(task, frame)
        regs = due.frame_sve(regs, owed.sve.vq)
    elif what == "fpsimd":
        frame = frame._replace(sve=None, streaming=False, vl=NO_RECORD)
        regs = due.frame_fpsimd(regs)
    elif what == "empty":
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
