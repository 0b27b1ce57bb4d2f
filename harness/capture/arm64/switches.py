"""Context switches in a recording, and what they tell of who is switched away."""

from __future__ import annotations

import re

from harness.capture.arm64.fields import Switch, flags_of, number, state_of, switch_of
from harness.capture.arm64.guests import Guests
from harness.capture.arm64.items import (
    Cpu,
    Stimulus,
    Thread,
)
from harness.capture.arm64.threads import IN_INTERRUPT
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


class Switches(Guests):
    """The runqueue's view."""

    def _sched_switch(self, cpu: Cpu, line: Line, after: Line | None) -> None:
        match = _SWITCH.search(line.text) or _SWITCH_CMD.search(line.text)
        if match is None:
            self.unknown["sched_switch"] += 1
            return
        prev_comm, prev_pid, state, next_comm, next_pid = match.groups()
        if state[0].isdigit():
            state = _STATES.get(number(state), "?")
        self._switch(cpu, line, int(prev_pid), prev_comm, state, int(next_pid), next_comm, after)

    def _switch(
        self,
        cpu: Cpu,
        line: Line,
        prev_pid: int,
        prev_comm: str,
        state: str,
        next_pid: int,
        next_comm: str,
        after: Line | None,
    ) -> None:
        operands: Switch | None = None
        if after is not None and after.name == "fpsimd_thread_switch":
            operands = switch_of(after.text)
        cpu.leaving = None
        if cpu.neon is not None and cpu.current is not None:
            neon, cpu.neon = cpu.neon, None
            now = operands.prev_flags if operands else 0
            if bool(now & TIF_KERNEL_FPSTATE) == (neon.name == "kernel_neon_end"):
                self.begins[cpu.current.name] = neon  # nothing of it had been done
            else:
                self._neon(cpu, neon)
        was = None
        if operands:
            was = operands.prev_flags, operands.prev_type, operands.prev_cpu
        prev = self._who(cpu, line._replace(pid=prev_pid, comm=prev_comm), was)
        if prev is not None and after is not None and after.name == "kvm_arch_vcpu_put":
            self._was_loaded(cpu, prev, after)
        if prev is not None:
            flags = operands.prev_flags if operands else None
            if prev.vcpu is None and prev.name not in self.begins:
                self._reconcile(cpu, prev, line, flags)
                stopped = self.stopped.pop(prev.name, None)
                foreign = flags is not None and bool(flags & TIF_FOREIGN_FPSTATE)
                over = None
                if operands is not None and after is not None and not foreign:
                    over = self._syscall_over(cpu, prev, operands, after)
                if stopped is not None and stopped.along and (foreign or state[0] != "t"):
                    self.stopped[prev.name] = stopped  # still the same stop
                elif stopped is not None:
                    # With its registers elsewhere it has not been to user space since.
                    self._settle_operand(stopped, True if foreign else None)
                    prev.exiting = foreign
                if over and not prev.syscall:
                    self._in_user(cpu, prev, line, "its system call is over")
                    self._may_trap(cpu, prev, line)
                elif over is False and prev.exiting:
                    # On its way out, or in again.
                    if state[0] == "t" and prev.name not in self.stopped:
                        self._stop(cpu, prev, line)
                elif state[0] == "t" and not foreign:
                    self._stop(cpu, prev, line)
                elif flags is not None and not foreign and not prev.syscall:
                    self._in_user(cpu, prev, line, "it has its registers and is switched away")
                    if prev.sve:
                        # In a system call only V would be saved: fp_type will show it.
                        self.blocked[prev.name] = self._event(
                            line, cpu.id, prev.name, "syscall_enter", None, "saved as FPSIMD"
                        )
                    elif cpu.zen == 3:
                        self.closed[prev.name] = self._event(
                            line, cpu.id, prev.name, "syscall_enter", None, "SVE is closed"
                        )
                    elif not prev.syscall:
                        self._may_trap(cpu, prev, line)
            prev.dying = state[0] in "XZ"
            prev.cpu = -1
        address, first = 0, None
        if operands:
            address = operands.next
            first = operands.next_flags, operands.next_type, operands.next_cpu
        elif after is not None:  # vcpu_put comes first; the runqueue's current is next already
            there = state_of(after.text, cpu.id)
            if there is not None and there.pid == next_pid:
                address = there.current
                first = there.flags, there.fp_type, there.fpsimd_cpu
        task = self._thread(line, next_pid, next_comm, address, first) if next_pid else None
        if task is not None:
            if first is not None:
                blocked = self.blocked.pop(task.name, None)
                if blocked is not None:
                    self._settle_operand(blocked, first[1] == FP_STATE_FPSIMD)
                streams = self.za.pop(task.name, None)
                if streams is not None:
                    # Saved as SVE without TIF_SVE: in streaming mode.
                    saved = first[1] == FP_STATE_SVE
                    if saved and first[0] & TIF_SVE:
                        self.za[task.name] = streams  # delivery of a signal will tell
                    else:
                        self._settle_operand(streams, int(saved))
                waits = self.waiting.pop(task.name, None)
                if waits is not None:
                    by_flag = first[1] < 0 and bool(first[0] & TIF_SVE)
                    self._settle_operand(waits, by_flag or first[1] == FP_STATE_SVE)
            if task.cpu >= 0:  # its switch away has not been recorded
                self._goes_on(self.cpus[task.cpu], None, line, "it runs elsewhere now")
            task.cpu, task.user, task.since = cpu.id, False, line.time
            if first is not None:
                task.sve = bool(first[0] & TIF_SVE)
        names = (prev.name if prev else "idle", task.name if task else "idle")
        self._event(line, cpu.id, f"cpu{cpu.id}", "sched_switch", names)
        cpu.leaving = prev or Thread("idle", 0, "swapper", 0)
        cpu.current = task
        cpu.back = names[1] in self.trapped or names[1] in self.begins
        cpu.last = ""
        cpu.inside = ""
        cpu.zen = -1

    def _was_loaded(self, cpu: Cpu, thread: Thread, line: Line) -> None:
        """Its vcpu is put by the context switch, and when it was loaded has not been seen."""
        if thread.vcpu is None:
            thread.vcpu = guest = self._guest(thread, line)
            self._in_kernel(cpu, thread, line)
            self.out.append(
                Stimulus(line.number, cpu.id, guest.name, "vcpu_load", (), "first seen", "adopt")
            )

    def _switched(self, cpu: Cpu, line: Line) -> None:
        thread = cpu.current
        if thread is not None and not thread.placed:
            flags = flags_of(line.text, cpu.id, thread.pid)
            thread.foreign = bool(flags is not None and flags & TIF_FOREIGN_FPSTATE)
        self._reaction(cpu, line)

    def _thread_switch(self, cpu: Cpu, line: Line) -> None:
        if line.text.startswith("fprig "):
            self.quiet["fprig thread_switch.next"] += 1
            return
        if cpu.leaving is None:
            operands = switch_of(line.text)
            if operands is None:
                self.unknown["fpsimd_thread_switch"] += 1
                return
            self._switch(cpu, line, line.pid, line.comm, "?", operands.next_pid, "task", line)
        self.out.append(line)

    def _syscall_over(self, cpu: Cpu, prev: Thread, operands: Switch, after: Line) -> bool | None:
        """What `to_save` has of it (v6.16): a system call lets SVE state go until it is over."""
        state = state_of(after.text, cpu.id)
        if state is None or operands.prev_cpu != cpu.id:
            return None
        if state.to_save == FP_STATE_FPSIMD:
            self.discards = self.discards or prev.syscall
            return False
        return True if self.discards else None

    def _stop(self, cpu: Cpu, thread: Thread, line: Line) -> None:
        """Its tracer has it: on the way into a system call, out of one, or at a signal."""
        if thread.syscall:  # it can be told already, because TIF_SVE is gone
            self.stopped[thread.name] = Stimulus(line.number, cpu.id, thread.name, "", ())
        elif thread.exiting:
            # Out of a system call, or already on its way into the next: sys_enter tells.
            why = "it stops for its tracer; sys_enter comes later"
            back = self._event(line, cpu.id, thread.name, "ret_to_user", None, why)
            written = self._computes(cpu, thread, line)
            enters = self._event(line, cpu.id, thread.name, "syscall_enter", None, why)
            enters.along = back, written
            self.stopped[thread.name] = enters
        else:
            self._in_user(cpu, thread, line, "it stops for its tracer")
            self.stopped[thread.name] = self._event(
                line, cpu.id, thread.name, "syscall_enter", None, "sys_enter comes later"
            )

    def _may_trap(self, cpu: Cpu, prev: Thread, line: Line) -> None:
        """A handler that finds TIF_FOREIGN_FPSTATE will show that it was preempted before."""
        if prev.name not in self.trapped and not prev.sve:
            self.trapped[prev.name] = self._event(
                line, cpu.id, prev.name, "trap", None, "its handler comes later"
            )

    def _comes_back(self, cpu: Cpu, thread: Thread, line: Line) -> None:
        """The first line of a thread that was preempted tells where that was."""
        interrupt = line.flags[2:3] in IN_INTERRUPT
        if line.pid != thread.pid or interrupt or line.name in SWITCHING:
            return
        cpu.back = False
        trapped = self.trapped.pop(thread.name, None)
        if trapped is not None:
            flags = flags_of(line.text, cpu.id, thread.pid) or 0
            found = line.name in ("do_sve_acc", "do_sme_acc") and flags & TIF_FOREIGN_FPSTATE
            self._settle_operand(trapped, line.name[3:6] if found else None)
            thread.trapped = bool(found)
        begin = self.begins.pop(thread.name, None)
        if begin is not None:
            trap = begin.name.startswith("do_")
            verb = "handle_trap" if trap else begin.name.removeprefix("kernel_")
            self._event(begin, cpu.id, thread.name, verb)
            self.out.append(begin._replace(text=""))  # its state was another
            if trap:
                self._begin(cpu, begin.name, begin)
