"""What a thread of a recording does: system calls, traps, signals, fork, exec, death."""

from __future__ import annotations

import re

from harness.capture.arm64.fields import flags_of, number, operand, state_of
from harness.capture.arm64.items import Cpu, NewChild, Thread
from harness.capture.arm64.switches import SWITCHING, Switches
from harness.capture.arm64.threads import KERNEL_FORK
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


class Life(Switches):
    """From sys_enter to the end of a task's memory, but for context switches and KVM."""

    def _sys_enter(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if thread is None:
            return
        if thread.name in self.stopped:  # the tracer was told first
            self._settle_operand(self.stopped.pop(thread.name), True)
        elif not thread.placed and thread.foreign:  # the same, before the recording
            self._place(cpu, thread, line)
        else:
            self._in_user(cpu, thread, line, "")
            self._event(line, cpu.id, thread.name, "syscall_enter")
        thread.user, thread.syscall = False, True
        if thread.sve:
            thread.sve = None
        cpu.last = ""
        match = _SYSCALL.search(line.text) or _SYSCALL_RAW.search(line.text)
        if match and match[2]:
            if number(match[1]) == NR_PTRACE:
                self._ptrace(cpu, thread, line, _arguments(match[2]))
            elif number(match[1]) == NR_PRCTL:
                self._prctl(cpu, thread, line, _arguments(match[2]))

    def _sys_exit(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if thread is not None:
            if not thread.placed:
                self._place(cpu, thread, line)
            thread.syscall, thread.exiting, thread.since = False, True, line.time
        cpu.inside = ""
        self.quiet["sys_exit"] += 1

    def _ptrace(self, cpu: Cpu, thread: Thread, line: Line, args: list[int]) -> None:
        request, pid, what = args[:3]
        tracee, regset = self.threads.get(pid), REGSETS.get(what)
        if tracee is None or regset is None or tracee.cpu >= 0:
            return
        if request == PTRACE_SETREGSET:
            self.waiting[tracee.name] = self._event(
                line, cpu.id, thread.name, "ptrace_setregset", None, f"{tracee.name} {regset}"
            )
            cpu.tracee = tracee.name
        elif request == PTRACE_GETREGSET:
            reads = (tracee.name, regset, (_READ.get(regset, "vl"), 0))
            self._event(line, cpu.id, thread.name, "ptrace_getregset", reads)
        self._begin(cpu, "ptrace", line)

    def _prctl(self, cpu: Cpu, thread: Thread, line: Line, args: list[int]) -> None:
        option, arg = _VL_OPTIONS.get(args[0]), args[1]
        if option is None:
            return
        flags = tuple(f"{option[:6]}_{name}" for bit, name in _VL_FLAGS if arg & bit)
        known = arg & ~sum(bit for bit, _ in _VL_FLAGS)
        self._event(line, cpu.id, thread.name, "prctl", (option, known, flags))
        self._begin(cpu, "prctl", line)

    def _fpr_set(self, cpu: Cpu, line: Line) -> None:
        """A tracer's payload turns out to be V."""
        self._who(cpu, line)
        waits = self.waiting.pop(cpu.tracee, None) if cpu.inside == "ptrace" else None
        if waits is not None:
            self._settle_operand(waits, False)
        self._reaction(cpu, line)

    def _restore(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        resumes = line.text.startswith(_RESUMING) or not cpu.inside
        if cpu.inside == "signal" and cpu.until == line.name + "_ret":
            resumes = False  # it belongs to the signal
            cpu.inside = ""
        if thread is not None and resumes and not cpu.softirq:
            if thread.user:
                self._event(line, cpu.id, f"cpu{cpu.id}", "irq", (), "its registers were lost")
            else:
                self._event(line, cpu.id, thread.name, "do_notify_resume")
                thread.syscall = thread.exiting = False
                thread.since = line.time
            self._begin(cpu, line.name, line)
        self.out.append(line)

    def _trap(self, cpu: Cpu, line: Line) -> None:
        if self._who(cpu, line) is None:
            self._reaction(cpu, line)
        else:
            cpu.held = line  # what comes next tells whether it was preempted first

    def _handler(self, cpu: Cpu, line: Line, after: Line | None) -> None:
        """do_sve_acc() or do_sme_acc(), which sleeps for memory."""
        thread = cpu.current
        sleeps = after is not None and after.name in SWITCHING
        if thread is not None:
            what = line.name[3:6]
            if what == "sve":
                self._reconcile(cpu, thread, line, flags_of(line.text, cpu.id, thread.pid))
                if thread.sve or cpu.zen == 3:  # only a system call can have closed it
                    self._in_user(cpu, thread, line, "a system call came after")
                    self._in_kernel(cpu, thread, line)
            if not thread.trapped:
                self._in_user(cpu, thread, line, "it traps")
                streams = self.za.pop(thread.name, None) if what == "sve" else None
                if streams is not None:
                    self._settle_operand(streams, 0)  # in streaming mode it would not
                self._event(line, cpu.id, thread.name, "trap", (what,))
            thread.trapped = False
            thread.user, thread.syscall, thread.exiting = False, False, False
            if sleeps:
                self.begins[thread.name] = line
                return
            self._event(line, cpu.id, thread.name, "handle_trap")
            thread.sve = what == "sve" or thread.sve
            thread.sme = thread.sme or what == "sme"
            if not line.text.startswith("<-"):  # a kprobe, which tells of the return
                self._begin(cpu, line.name, line)
        self._reaction(cpu, line)

    def _save(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        alone = thread is not None and cpu.leaving is None and not cpu.inside
        alone = alone and thread is not None and thread.vcpu is None
        if alone and (line.text in _LONE_CALLERS or not line.text.startswith("<-")):
            cpu.held = line
        else:
            self._reaction(cpu, line)

    def _dup(self, cpu: Cpu, line: Line) -> None:
        """arch_dup_task_struct(dst): its operand is the child."""
        thread = self._who(cpu, line)
        if thread is not None and not thread.kernel:
            self._fork(cpu, line)
            child, address = self.children[-1], operand(line.text)
            if address:
                child.address = address
                self.by_address[address] = child
            self._begin(cpu, line.name, line)
        self._reaction(cpu, line)
        if thread is not None and thread.kernel:
            self._begin(cpu, KERNEL_FORK, line)

    def _process_fork(self, cpu: Cpu, line: Line) -> None:
        """The tracepoint says which pid the last child has."""
        thread = self._who(cpu, line)
        match = _FORK.search(line.text)
        if thread is None or match is None or thread.kernel:
            return
        mine = [c for c in self.children if c.name.startswith(f"{thread.name}_")]
        if not mine:
            self._fork(cpu, line)
            mine = [self.children[-1]]
        child = mine[-1]
        self.children.remove(child)
        child.comm, child.pid = match[1], int(match[2])
        self.threads[child.pid] = child
        self.quiet[line.name] += 1

    def _fork(self, cpu: Cpu, line: Line) -> None:
        """arch_dup_task_struct() has saved current; copy_thread() will flush the child."""
        thread = cpu.current
        if thread is None:
            return
        self._reconcile(cpu, thread, line, flags_of(line.text, cpu.id, thread.pid))
        self._in_kernel(cpu, thread, line)
        n = 1
        while f"{thread.name}_{n}" in self.names:
            n += 1
        child = Thread(f"{thread.name}_{n}", -1, thread.comm, line.number)
        self.names.add(child.name)
        self.children.append(child)
        self.out.append(NewChild(line.number, child))
        self._event(line, cpu.id, thread.name, "fork", (child.name,))
        child.user = False
        child.syscall = True
        cpu.last = line.text

    def _flush_task(self, cpu: Cpu, line: Line) -> None:
        self._who(cpu, line)
        address = operand(line.text)
        thread = cpu.current
        own = thread is not None and address == thread.address != 0
        if not cpu.inside and (own or line.text == "<-restore_sve_fpsimd_context"):
            # Where the frame has an SVE record, sigreturn begins with this.
            self._sigreturns(cpu, line)
        if self.children and address and not self.children[-1].address:
            child = self.children[-1]
            thread = cpu.current
            if not cpu.inside and thread is not None and address != thread.address:
                child.address = address
                self.by_address[address] = child
        self._reaction(cpu, line)

    def _exec(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if thread is not None:
            self._in_kernel(cpu, thread, line)
            self._event(line, cpu.id, thread.name, "exec")
            thread.sve = False
            self._begin(cpu, line.name, line)
        self._reaction(cpu, line)

    def _signal(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if thread is not None and (cpu.inside != "signal" or line.name == "setup_rt_frame"):
            interrupted = self._is_over(cpu, thread, line)
            if not thread.syscall and state_of(line.text, cpu.id) is None:
                interrupted = line.time - thread.since > _ON_ITS_WAY
            if interrupted:
                self._in_user(cpu, thread, line, "an interrupt brings the signal")
            self._event(line, cpu.id, thread.name, "signal")
            thread.syscall = False
            self._begin(cpu, "signal", line)
            if interrupted:  # the way back to user space belongs to it
                cpu.until = "fpsimd_restore_current_state_ret"
        self._reaction(cpu, line)

    def _smstopped(self, cpu: Cpu, line: Line) -> None:
        """task_smstop_sm() in the delivery of a signal: an SVE image left is not streaming's."""
        thread = self._who(cpu, line)
        state = state_of(line.text, cpu.id)
        if thread is not None and state is not None and cpu.inside == "signal":
            streams = self.za.pop(thread.name, None)
            if streams is not None:
                self._settle_operand(streams, int(state.fp_type == FP_STATE_FPSIMD))
        self._return(cpu, line)

    def _sigreturn(self, cpu: Cpu, line: Line) -> None:
        self._who(cpu, line)
        if cpu.inside != "sigreturn":
            self._sigreturns(cpu, line)
        self._reaction(cpu, line)

    def _sigreturns(self, cpu: Cpu, line: Line) -> None:
        thread = cpu.current
        if thread is not None:
            self._in_kernel(cpu, thread, line)
            self._event(line, cpu.id, thread.name, "sigreturn", ("whole",))
            self._begin(cpu, "sigreturn", line)
            if line.name == "fpsimd_flush_task_state":
                cpu.until = "fpsimd_update_current_state_ret"

    def _release(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if thread is not None and not (cpu.inside or cpu.leaving):
            self._reconcile(cpu, thread, line, flags_of(line.text, cpu.id, thread.pid))
            if self._is_over(cpu, thread, line):
                self._in_user(cpu, thread, line, "an interrupt comes")
        address = operand(line.text)
        dead = self.by_address.pop(address, None)
        if dead is None:
            self.quiet["fpsimd_release_task of a task that never ran"] += 1
            return
        self.threads.pop(dead.pid, None)
        self._event(line, cpu.id, dead.name, "release")
        self._reaction(cpu, line)

    def _save_and_flush(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if thread is None and cpu.leaving is None:
            self._event(line, cpu.id, f"cpu{cpu.id}", "cpu_pm", (), "the idle task flushes")
        self._reaction(cpu, line)


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
