"""Context switches in a recording, and what they tell of who is switched away."""

from __future__ import annotations

import re
from typing import NamedTuple

from harness.capture.arm64.fields import Switch, TaskFp, flags_of, number, state_of, switch_of
from harness.capture.arm64.guests import neon, was_loaded
from harness.capture.arm64.items import Cpu, Stimulus, Thread
from harness.capture.arm64.lines import reaction
from harness.capture.arm64.operands import settle, settle_written
from harness.capture.arm64.seen import Seen
from harness.capture.arm64.threads import goes_on, in_interrupt, runs, thread_of, who
from harness.capture.arm64.user import computes, in_user, reconcile
from harness.capture.text import Line
from harness.model.arm64.host.state import (
    FP_STATE_FPSIMD,
    FP_STATE_SVE,
    TIF_FOREIGN_FPSTATE,
    TIF_KERNEL_FPSTATE,
    TIF_SVE,
)

# What trace-cmd report -R prints: TASK_RUNNING, TASK_REPORT_MAX for who is preempted, then bits.
_STATES = {0: "R", 256: "R", 1: "S", 2: "D", 4: "T", 8: "t", 16: "X", 32: "Z", 64: "P", 128: "I"}
_SWITCH = re.compile(
    r"prev_comm=(.*?) prev_pid=(\d{1,19}) .*?prev_state=(\S+) (?:==> )?"
    r"next_comm=(.*?) next_pid=(\d{1,19})",
    re.S,
)
# trace-cmd's own way to print it.
_SWITCH_CMD = re.compile(r"(.*):(\d{1,19}) \[-?\d+\] (\S+) ==> (.*):(\d{1,19}) \[-?\d+\]", re.S)
SWITCHING = ("sched_switch", "fpsimd_thread_switch", "fpsimd_thread_switch_ret")


class _Told(NamedTuple):
    """What lines tell of a switch: who is switched away, in what state, and who comes."""

    prev_pid: int
    prev_comm: str
    state: str
    next_pid: int
    next_comm: str


def sched_switch(seen: Seen, cpu: Cpu, line: Line, after: Line | None) -> None:
    """`after` is the next line of this CPU."""
    match = _SWITCH.search(line.text) or _SWITCH_CMD.search(line.text)
    if match is None:
        seen.tally.unknown["sched_switch"] += 1
        return
    prev_comm, prev_pid, state, next_comm, next_pid = match.groups()
    if state[0].isdigit():
        state = _STATES.get(number(state), "?")
    told = _Told(int(prev_pid), prev_comm, state, int(next_pid), next_comm)
    _switch(seen, cpu, line, told, after)


def thread_switch(seen: Seen, cpu: Cpu, line: Line) -> None:
    if line.text.startswith("fprig "):
        seen.tally.quiet["fprig thread_switch.next"] += 1
        return
    if cpu.leaving is None:
        operands = switch_of(line.text)
        if operands is None:
            seen.tally.unknown["fpsimd_thread_switch"] += 1
            return
        told = _Told(line.pid, line.comm, "?", operands.next.pid, "task")
        _switch(seen, cpu, line, told, line)
    seen.out.append(line)


def switched(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = cpu.current
    if thread is not None and not thread.placed:
        flags = flags_of(line.text, cpu.id, thread.pid)
        thread.foreign = bool(flags is not None and flags & TIF_FOREIGN_FPSTATE)
    reaction(seen, cpu, line)


def _switch(seen: Seen, cpu: Cpu, line: Line, told: _Told, after: Line | None) -> None:
    operands: Switch | None = None
    if after is not None and after.name == "fpsimd_thread_switch":
        operands = switch_of(after.text)
    cpu.leaving = None
    if cpu.neon is not None and cpu.current is not None:
        section, cpu.neon = cpu.neon, None
        now = operands.prev.fp.flags if operands else 0
        if bool(now & TIF_KERNEL_FPSTATE) == (section.name == "kernel_neon_end"):
            seen.begins[cpu.current.name] = section  # nothing of it had been done
        else:
            neon(seen, cpu, section)
    was = operands.prev.fp if operands else None
    prev = who(seen, cpu, line._replace(pid=told.prev_pid, comm=told.prev_comm), was)
    if prev is not None:
        if after is not None and after.name == "kvm_arch_vcpu_put":
            # Put by the context switch, and when it was loaded has not been seen.
            was_loaded(seen, cpu, prev, after, "first seen", "adopt")
        if prev.vcpu is None and prev.name not in seen.begins:
            _was_doing(seen, cpu, prev, line, told.state, operands, after)
        prev.dying = told.state[0] in "XZ"
        prev.cpu = -1
    address = 0
    first: TaskFp | None = None
    if operands:
        address, first = operands.next.address, operands.next.fp
    elif after is not None:  # vcpu_put comes first; the runqueue's current is next already
        there = state_of(after.text, cpu.id)
        if there is not None and there.pid == told.next_pid:
            address, first = there.current, there.fp
    task = None
    if told.next_pid:
        task = thread_of(seen, told.next_pid, told.next_comm, address, first)
        if first is not None:
            _was_saved(seen, task, first)
        if task.cpu >= 0:  # its switch away has not been recorded
            goes_on(seen, seen.cpus[task.cpu], None, line, "it runs elsewhere now")
        if first is not None:
            task.sve = bool(first.flags & TIF_SVE)
        task.since = line.time
    names = (prev.name if prev else "idle", task.name if task else "idle")
    seen.event(line, cpu, cpu.name, "sched_switch", names)
    cpu.leaving = prev or Thread("idle", 0, "swapper")
    runs(seen, cpu, task)
    cpu.zen = -1


def _was_doing(
    seen: Seen,
    cpu: Cpu,
    prev: Thread,
    line: Line,
    state: str,
    operands: Switch | None,
    after: Line | None,
) -> None:
    """Where a thread is switched away: in user space, in a system call, stopped by its tracer."""
    flags = operands.prev.fp.flags if operands else None
    reconcile(seen, cpu, prev, line, flags)
    stopped = seen.open.stopped.pop(prev.name, None)
    foreign = flags is not None and bool(flags & TIF_FOREIGN_FPSTATE)
    over = None
    if operands is not None and after is not None and not foreign:
        over = _syscall_over(seen, cpu, prev, operands, after)
    if stopped is not None and stopped.along and (foreign or state[0] != "t"):
        seen.open.stopped[prev.name] = stopped  # still the same stop
    elif stopped is not None:
        # With its registers elsewhere it has not been to user space since.
        settle(stopped, foreign)
        prev.exiting = foreign
    if over and not prev.syscall:
        in_user(seen, cpu, prev, line, "its system call is over")
        _may_trap(seen, cpu, prev, line)
    elif over is False and prev.exiting:
        # On its way out, or in again.
        if state[0] == "t" and prev.name not in seen.open.stopped:
            _stop(seen, cpu, prev, line)
    elif state[0] == "t" and not foreign:
        _stop(seen, cpu, prev, line)
    elif flags is not None and not foreign and not prev.syscall:
        in_user(seen, cpu, prev, line, "it has its registers and is switched away")
        if prev.sve:
            # In a system call only V would be saved: fp_type will show it.
            seen.open.blocked[prev.name] = _may_enter(seen, cpu, prev, line, "saved as FPSIMD")
        elif cpu.zen == 3:
            seen.open.closed[prev.name] = _may_enter(seen, cpu, prev, line, "SVE is closed")
        else:
            _may_trap(seen, cpu, prev, line)


def _was_saved(seen: Seen, task: Thread, first: TaskFp) -> None:
    """How the next task's registers are saved tells what it did before."""
    blocked = seen.open.blocked.pop(task.name, None)
    if blocked is not None:
        settle(blocked, first.fp_type == FP_STATE_FPSIMD)
    saved = first.fp_type == FP_STATE_SVE
    # Saved as SVE without TIF_SVE: in streaming mode. With it, delivery of a signal will tell.
    if task.name in seen.open.svcr and not (saved and first.flags & TIF_SVE):
        settle(seen.open.svcr.pop(task.name), True, (int(saved),))
    written = seen.open.written.pop(task.name, None)
    if written is not None:
        by_flag = first.fp_type < 0 and bool(first.flags & TIF_SVE)
        settle_written(written, by_flag or saved)


def _syscall_over(seen: Seen, cpu: Cpu, prev: Thread, operands: Switch, after: Line) -> bool | None:
    """What `to_save` has of it (v6.16): a system call lets SVE state go until it is over."""
    state = state_of(after.text, cpu.id)
    if state is None or operands.prev.fp.fpsimd_cpu != cpu.id:
        return None
    if state.to_save == FP_STATE_FPSIMD:
        seen.discards = seen.discards or prev.syscall
        return False
    return True if seen.discards else None


def _may_enter(seen: Seen, cpu: Cpu, thread: Thread, line: Line, why: str) -> Stimulus:
    """It may make a system call here: a later line tells."""
    return seen.event(line, cpu, thread.name, "syscall_enter", (), why, open=True)


def _stop(seen: Seen, cpu: Cpu, thread: Thread, line: Line) -> None:
    """Its tracer has it: on the way into a system call, out of one, or at a signal."""
    if thread.syscall:  # it can be told already, because TIF_SVE is gone
        stopped = Stimulus(line.number, cpu.id, thread.name, "syscall_enter", ())
    elif thread.exiting:
        # Out of a system call, or already on its way into the next: sys_enter tells.
        why = "it stops for its tracer; sys_enter comes later"
        back = seen.event(line, cpu, thread.name, "ret_to_user", (), why, open=True)
        written = computes(seen, cpu, thread, line)
        stopped = _may_enter(seen, cpu, thread, line, why)
        stopped.along = back, written
    else:
        in_user(seen, cpu, thread, line, "it stops for its tracer")
        stopped = _may_enter(seen, cpu, thread, line, "sys_enter comes later")
    seen.open.stopped[thread.name] = stopped


def _may_trap(seen: Seen, cpu: Cpu, prev: Thread, line: Line) -> None:
    """A handler that finds TIF_FOREIGN_FPSTATE will show that it was preempted before."""
    if prev.name not in seen.open.trapped and not prev.sve:
        why = "its handler comes later"
        seen.open.trapped[prev.name] = seen.event(line, cpu, prev.name, "trap", (), why, open=True)


def comes_back(seen: Seen, cpu: Cpu, thread: Thread, line: Line) -> None:
    """The first line of a thread that was preempted tells where that was."""
    if line.pid != thread.pid or in_interrupt(line) or line.name in SWITCHING:
        return
    cpu.back = False
    trapped = seen.open.trapped.pop(thread.name, None)
    if trapped is not None:
        flags = flags_of(line.text, cpu.id, thread.pid) or 0
        found = line.name in ("do_sve_acc", "do_sme_acc") and bool(flags & TIF_FOREIGN_FPSTATE)
        settle(trapped, found, line.name[3:6])
        thread.trapped = found
    begin = seen.begins.pop(thread.name, None)
    if begin is not None:
        trap = begin.name.startswith("do_")
        verb = "handle_trap" if trap else begin.name.removeprefix("kernel_")
        seen.event(begin, cpu, thread.name, verb)
        seen.out.append(begin._replace(text=""))  # its state was another
        if trap:
            cpu.begin(begin.name, begin)
