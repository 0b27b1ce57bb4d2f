"""What a thread is inferred to have done in user space, and in system calls."""

from __future__ import annotations

from harness.capture.arm64.fields import flags_of, state_of
from harness.capture.arm64.items import Cpu, Stimulus, Thread
from harness.capture.arm64.operands import settle
from harness.capture.arm64.seen import Seen
from harness.capture.text import Line
from harness.model.arm64.host.state import FP_STATE_CURRENT, TIF_FOREIGN_FPSTATE, TIF_SME, TIF_SVE


def in_user(seen: Seen, cpu: Cpu, thread: Thread, line: Line, why: str, sve: bool = False) -> None:
    """It can only have been in user space just before: let it go there, and compute."""
    if thread.user or thread.kernel:
        return
    thread.placed = True
    seen.event(line, cpu, thread.name, "ret_to_user", (), why)
    thread.user, thread.syscall, thread.exiting = True, False, False
    computes(seen, cpu, thread, line, sve)
    if thread.name in seen.open.svcr:
        settle(seen.open.svcr.pop(thread.name), False)
    if thread.sme:
        why = "a later line tells SVCR"
        seen.open.svcr[thread.name] = seen.event(
            line, cpu, thread.name, "svcr_write", (), why, open=True
        )


def computes(seen: Seen, cpu: Cpu, thread: Thread, line: Line, sve: bool = False) -> Stimulus:
    """It changes all its registers."""
    thread.values += 1
    kind = "z" if sve or thread.sve or cpu.zen == 3 else "v"
    value = (thread.pid << 20 | thread.values) & (1 << 64) - 1
    return seen.event(line, cpu, thread.name, "write", ((kind, 0), (value,)), kind="value")


def in_syscall(thread: Thread) -> None:
    thread.user, thread.syscall = False, True


def in_kernel(seen: Seen, cpu: Cpu, thread: Thread, line: Line) -> None:
    """It is in a system call, whether that was recorded or not."""
    if thread.kernel:
        return
    if not thread.placed:
        place(seen, cpu, thread, line)
    elif thread.user or not (thread.syscall or thread.vcpu):
        in_user(seen, cpu, thread, line, "a system call came after")
        seen.event(line, cpu, thread.name, "syscall_enter", (), "not recorded")
        in_syscall(thread)
        cpu.last = ""


def place(seen: Seen, cpu: Cpu, thread: Thread, line: Line) -> None:
    """It is first seen in a system call."""
    seen.event(line, cpu, thread.name, "in_syscall", (), "first seen", "adopt")
    thread.placed = True
    in_syscall(thread)


def reconcile(seen: Seen, cpu: Cpu, thread: Thread, line: Line, flags: int | None) -> None:
    """TIF_SVE that is gone without a function that takes it: a system call did it."""
    if flags is None:
        return
    thread.sme = thread.sme or bool(flags & TIF_SME)
    now = bool(flags & TIF_SVE)
    if not now and thread.vcpu is None:
        before = flags_of(cpu.last, cpu.id, thread.pid)
        if thread.sve if before is None else before & TIF_SVE:
            in_user(seen, cpu, thread, line, "a system call came after", sve=True)
            seen.event(line, cpu, thread.name, "syscall_enter", (), "TIF_SVE is gone")
            in_syscall(thread)
    thread.sve = now


def reconcile_line(seen: Seen, cpu: Cpu, thread: Thread, line: Line) -> None:
    """The same, by the thread flags in this line."""
    reconcile(seen, cpu, thread, line, flags_of(line.text, cpu.id, thread.pid))


def is_over(seen: Seen, cpu: Cpu, thread: Thread, line: Line) -> bool:
    """Whether `to_save` has it that a thread has been in user space since its system call."""
    state = state_of(line.text, cpu.id) if seen.discards and not thread.syscall else None
    return (
        state is not None
        and state.to_save == FP_STATE_CURRENT
        and not state.flags & TIF_FOREIGN_FPSTATE
    )
