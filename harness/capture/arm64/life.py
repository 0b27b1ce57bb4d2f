"""What a thread of a recording does: system calls, traps, signals, fork, exec, death.

From sys_enter to the end of a task's memory, but for context switches and KVM.
"""

from __future__ import annotations

import re

from harness.capture.arm64 import user
from harness.capture.arm64.fields import number, operand, state_of
from harness.capture.arm64.items import Cpu, NewChild, Thread
from harness.capture.arm64.lines import KERNEL_FORK, reaction, returned
from harness.capture.arm64.operands import settle, settle_written
from harness.capture.arm64.seen import Seen
from harness.capture.arm64.switches import SWITCHING
from harness.capture.arm64.threads import locate, who
from harness.capture.text import Line
from harness.model.arm64.host.state import FP_STATE_FPSIMD

# asm-generic/unistd.h
NR_PTRACE, NR_PRCTL = 117, 167
PTRACE_GETREGSET, PTRACE_SETREGSET = 0x4204, 0x4205
_VL_OPTIONS = {50: "PR_SVE_SET_VL", 63: "PR_SME_SET_VL"}
_VL_FLAGS = ((1 << 17, "VL_INHERIT"), (1 << 18, "SET_VL_ONEXEC"))
# What stands for all that is read of a register set.
_READ = {"NT_PRFPREG": "v", "NT_ARM_ZT": "zt0", "NT_ARM_FPMR": "fpmr"}
REGSETS = {
    2: "NT_PRFPREG",
    0x405: "NT_ARM_SVE",
    0x40B: "NT_ARM_SSVE",
    0x40C: "NT_ARM_ZA",
    0x40D: "NT_ARM_ZT",
    0x40E: "NT_ARM_FPMR",
}
# Who calls fpsimd_restore_current_state() on the way to user space, release by release.
_RESUMING = ("<-do_notify_resume", "<-exit_to_user_mode", "<-arch_exit_to_user_mode")
# Who calls fpsimd_save() for the sake of a copy in memory.
_LONE_CALLERS = ("<-arch_dup_task_struct", "<-fpsimd_preserve_current_state")
# Nobody takes so many seconds from a system call's exit to the signal that it delivers.
_ON_ITS_WAY = 0.001
_FORK = re.compile(r"child_comm=(.*?) child_pid=(\d{1,19})", re.S)
_SYSCALL = re.compile(r"NR (-?\d+)(?: \((.*?)\))?")
_SYSCALL_RAW = re.compile(r"id=(-?\d+|0x\w+)(?:,? args=(?:ARRAY\[)?(.*?)\]?$)?")


def sys_enter(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    if thread is None:
        return
    if thread.name in seen.open.stopped:  # the tracer was told first
        settle(seen.open.stopped.pop(thread.name), True)
    elif not thread.placed and thread.foreign:  # the same, before the recording
        user.place(seen, cpu, thread, line)
    else:
        user.in_user(seen, cpu, thread, line, "")
        seen.event(line, cpu, thread.name, "syscall_enter")
    user.in_syscall(thread)
    if thread.sve:
        thread.sve = None
    cpu.last = ""
    match = _SYSCALL.search(line.text) or _SYSCALL_RAW.search(line.text)
    if match and match[2]:
        if number(match[1]) == NR_PTRACE:
            _ptrace(seen, cpu, thread, line, *_arguments(match[2])[:3])
        elif number(match[1]) == NR_PRCTL:
            _prctl(seen, cpu, thread, line, *_arguments(match[2])[:2])


def sys_exit(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    if thread is not None:
        if not thread.placed:
            user.place(seen, cpu, thread, line)
        thread.syscall, thread.exiting, thread.since = False, True, line.time
    cpu.inside = None
    seen.tally.quiet["sys_exit"] += 1


def _ptrace(
    seen: Seen, cpu: Cpu, thread: Thread, line: Line, request: int, pid: int, what: int
) -> None:
    tracee, regset = seen.threads.get(pid), REGSETS.get(what)
    if tracee is None or regset is None or tracee.cpu >= 0:
        return
    if request == PTRACE_SETREGSET:
        seen.open.written[tracee.name] = seen.event(
            line, cpu, thread.name, "ptrace_setregset", (tracee.name, regset), open=True
        )
        cpu.tracee = tracee
    elif request == PTRACE_GETREGSET:
        reads = (tracee.name, regset, (_READ.get(regset, "vl"), 0))
        seen.event(line, cpu, thread.name, "ptrace_getregset", reads)
    cpu.begin("ptrace", line)


def _prctl(seen: Seen, cpu: Cpu, thread: Thread, line: Line, number: int, arg: int) -> None:
    option = _VL_OPTIONS.get(number)
    if option is None:
        return
    flags = tuple(f"{option[:6]}_{name}" for bit, name in _VL_FLAGS if arg & bit)
    known = arg & ~sum(bit for bit, _ in _VL_FLAGS)
    seen.event(line, cpu, thread.name, "prctl", (option, known, flags))
    cpu.begin("prctl", line)


def fpr_set(seen: Seen, cpu: Cpu, line: Line) -> None:
    """A tracer's payload turns out to be V."""
    who(seen, cpu, line)
    if cpu.inside == "ptrace" and cpu.tracee and cpu.tracee.name in seen.open.written:
        settle_written(seen.open.written.pop(cpu.tracee.name), sve=False)
    reaction(seen, cpu, line)


def restore(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    resumes = line.text.startswith(_RESUMING) or not cpu.inside
    if cpu.inside == "signal" and cpu.until == line.name + "_ret":
        resumes = False  # it belongs to the signal
        cpu.inside = None
    if thread is not None and resumes and not cpu.softirq:
        if thread.user:
            seen.event(line, cpu, cpu.name, "irq", (), "its registers were lost")
        else:
            seen.event(line, cpu, thread.name, "do_notify_resume")
            thread.syscall = thread.exiting = False
            thread.since = line.time
        cpu.begin(line.name, line)
    seen.out.append(line)


def trap(seen: Seen, cpu: Cpu, line: Line) -> None:
    if who(seen, cpu, line) is None:
        reaction(seen, cpu, line)
    else:
        cpu.held = line  # what comes next tells whether it was preempted first


def handler(seen: Seen, cpu: Cpu, line: Line, after: Line | None) -> None:
    """do_sve_acc() or do_sme_acc(), which sleeps for memory."""
    thread = cpu.current
    if thread is not None:
        what = line.name[3:6]
        if what == "sve":
            user.reconcile_line(seen, cpu, thread, line)
            if thread.sve or cpu.zen == 3:  # only a system call can have closed it
                user.in_user(seen, cpu, thread, line, "a system call came after")
                user.in_kernel(seen, cpu, thread, line)
        if not thread.trapped:
            user.in_user(seen, cpu, thread, line, "it traps")
            if what == "sve" and thread.name in seen.open.svcr:
                # In streaming mode it would not.
                settle(seen.open.svcr.pop(thread.name), True, (0,))
            seen.event(line, cpu, thread.name, "trap", (what,))
        thread.trapped = False
        thread.user, thread.syscall, thread.exiting = False, False, False
        if after is not None and after.name in SWITCHING:
            seen.begins[thread.name] = line
            return
        seen.event(line, cpu, thread.name, "handle_trap")
        thread.sve = what == "sve" or thread.sve
        thread.sme = thread.sme or what == "sme"
        if not line.text.startswith("<-"):  # a kprobe, which tells of the return
            cpu.begin(line.name, line)
    reaction(seen, cpu, line)


def save(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    alone = thread is not None and thread.vcpu is None and not (cpu.leaving or cpu.inside)
    if alone and (line.text in _LONE_CALLERS or not line.text.startswith("<-")):
        cpu.held = line
    else:
        reaction(seen, cpu, line)


def dup(seen: Seen, cpu: Cpu, line: Line) -> None:
    """arch_dup_task_struct(dst): its operand is the child."""
    thread = who(seen, cpu, line)
    if thread is not None and not thread.kernel:
        child = fork(seen, cpu, thread, line)
        locate(seen, child, operand(line.text))
        cpu.begin(line.name, line)
    reaction(seen, cpu, line)
    if thread is not None and thread.kernel:
        cpu.begin(KERNEL_FORK, line)


def process_fork(seen: Seen, cpu: Cpu, line: Line) -> None:
    """The tracepoint says which pid the last child has."""
    thread = who(seen, cpu, line)
    match = _FORK.search(line.text)
    if thread is None or match is None or thread.kernel:
        return
    mine = [c for c in seen.children if c.name.startswith(f"{thread.name}_")]
    child = mine[-1] if mine else fork(seen, cpu, thread, line)
    seen.children.remove(child)
    child.comm, child.pid = match[1], int(match[2])
    seen.threads[child.pid] = child
    seen.tally.quiet[line.name] += 1


def fork(seen: Seen, cpu: Cpu, thread: Thread, line: Line) -> Thread:
    """arch_dup_task_struct() has saved current; copy_thread() will flush the child."""
    user.reconcile_line(seen, cpu, thread, line)
    user.in_kernel(seen, cpu, thread, line)
    n = 1
    while f"{thread.name}_{n}" in seen.names:
        n += 1
    child = Thread(f"{thread.name}_{n}", -1, thread.comm)
    user.in_syscall(child)
    seen.names.add(child.name)
    seen.children.append(child)
    seen.out.append(NewChild(child))
    seen.event(line, cpu, thread.name, "fork", (child.name,))
    cpu.last = line.text
    return child


def flush_task(seen: Seen, cpu: Cpu, line: Line) -> None:
    who(seen, cpu, line)
    address, thread = operand(line.text), cpu.current
    own = thread is not None and address == thread.address != 0
    if not cpu.inside and (own or line.text == "<-restore_sve_fpsimd_context"):
        # Where the frame has an SVE record, sigreturn begins with this.
        _sigreturns(seen, cpu, line)
    foreign = thread is not None and address != thread.address
    if foreign and not cpu.inside and seen.children and not seen.children[-1].address:
        locate(seen, seen.children[-1], address)
    reaction(seen, cpu, line)


def exec_(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    if thread is not None:
        user.in_kernel(seen, cpu, thread, line)
        seen.event(line, cpu, thread.name, "exec")
        thread.sve = False
        cpu.begin(line.name, line)
    reaction(seen, cpu, line)


def signal(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    if thread is not None and (cpu.inside != "signal" or line.name == "setup_rt_frame"):
        interrupted = user.is_over(seen, cpu, thread, line)
        if not thread.syscall and state_of(line.text, cpu.id) is None:
            interrupted = line.time - thread.since > _ON_ITS_WAY
        if interrupted:
            user.in_user(seen, cpu, thread, line, "an interrupt brings the signal")
        seen.event(line, cpu, thread.name, "signal")
        thread.syscall = False
        # The way back to user space belongs to it.
        cpu.begin("signal", line, "fpsimd_restore_current_state_ret" if interrupted else None)
    reaction(seen, cpu, line)


def smstopped(seen: Seen, cpu: Cpu, line: Line) -> None:
    """task_smstop_sm() in the delivery of a signal: an SVE image left is not streaming's."""
    thread = who(seen, cpu, line)
    state = state_of(line.text, cpu.id)
    if thread is not None and state is not None and cpu.inside == "signal":
        streams = seen.open.svcr.pop(thread.name, None)
        if streams is not None:
            settle(streams, True, (int(state.fp_type == FP_STATE_FPSIMD),))
    returned(seen, cpu, line)


def sigreturn(seen: Seen, cpu: Cpu, line: Line) -> None:
    who(seen, cpu, line)
    if cpu.inside != "sigreturn":
        _sigreturns(seen, cpu, line)
    reaction(seen, cpu, line)


def _sigreturns(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = cpu.current
    if thread is not None:
        user.in_kernel(seen, cpu, thread, line)
        seen.event(line, cpu, thread.name, "sigreturn", ("whole",))
        flushes = line.name == "fpsimd_flush_task_state"
        cpu.begin("sigreturn", line, "fpsimd_update_current_state_ret" if flushes else None)


def release(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    if thread is not None and not (cpu.inside or cpu.leaving):
        user.reconcile_line(seen, cpu, thread, line)
        if user.is_over(seen, cpu, thread, line):
            user.in_user(seen, cpu, thread, line, "an interrupt comes")
    dead = seen.by_address.pop(operand(line.text), None)
    if dead is None:
        seen.tally.quiet["fpsimd_release_task of a task that never ran"] += 1
        return
    seen.threads.pop(dead.pid, None)
    seen.event(line, cpu, dead.name, "release")
    reaction(seen, cpu, line)


def save_and_flush(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    if thread is None and cpu.leaving is None:
        seen.event(line, cpu, cpu.name, "cpu_pm", (), "the idle task flushes")
    reaction(seen, cpu, line)


def _arguments(text: str) -> list[int]:
    """The six arguments of a system call: numbers, or in a raw report the bytes of all of them.

    Those that cannot be read are -1.
    """
    try:
        words = [int(word, 16) for word in text.replace(" ", "").split(",") if word]
        if len(words) > 6:
            octets = bytes(words)
            words = [int.from_bytes(octets[n : n + 8], "little") for n in range(0, len(words), 8)]
    except ValueError:
        words = []
    return (words + [-1] * 6)[:6]
