"""Who is there in a recording, and what each is inferred to have done in user space."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from harness.capture.arm64.fields import dump_of, flags_of, number, state_of
from harness.capture.arm64.items import (
    Cpu,
    Guest,
    Item,
    NewTask,
    Stimulus,
    Thread,
)
from harness.capture.text import Line
from harness.model.arm64.host.state import FP_STATE_CURRENT, TIF_FOREIGN_FPSTATE, TIF_SME, TIF_SVE

# Hard and soft interrupts and NMIs, in the third of the flags.
IN_INTERRUPT = ("s", "h", "H", "Z", "z")
# What stands for all that is written to a register set.
_WRITTEN = {"NT_ARM_SSVE": "z", "NT_ARM_ZA": "za", "NT_ARM_ZT": "zt0", "NT_ARM_FPMR": "fpmr"}
KERNEL_FORK = "fork of a kernel thread"
# kernel_thread(): a child without an mm has no FP state to be given.
_FORKS = ("arch_dup_task_struct", "copy_thread", "fpsimd_flush_task_state")
# By their names: nothing that is recorded tells them from others for certain.
_KTHREAD = re.compile(
    r"(kworker/|ksoftirqd/|rcu_|rcuo|migration/|kthreadd$|kswapd|kcompactd|khugepaged|cpuhp/|irq/)"
)


@dataclass
class Threads:
    """The state of a follower: its CPUs, threads and vcpus, and what waits for a later line."""

    lines: Iterable[Line]
    states: bool = False  # whether the recording has the state beside each call
    unknown: Counter[str] = field(default_factory=Counter)
    functions_unknown: Counter[str] = field(default_factory=Counter)  # of these, functions
    quiet: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.cpus: dict[int, Cpu] = {}
        self.threads: dict[int, Thread] = {}
        self.names: set[str] = set()
        self.by_address: dict[int, Thread] = {}
        self.guests: dict[int, Guest] = {}
        self.guest_of: dict[str, Guest] = {}
        self.children: deque[Thread] = deque()  # forked, not seen to run yet
        self.out: deque[Item] = deque()
        self.waiting: dict[str, Stimulus] = {}  # a tracee's name: what its tracer wrote
        self.stopped: dict[str, Stimulus] = {}  # a tracee's name: it may enter a system call
        self.closed: dict[str, Stimulus] = {}  # the same, of who had SVE open without TIF_SVE
        self.blocked: dict[str, Stimulus] = {}  # a thread's name: it may be in a system call
        self.trapped: dict[str, Stimulus] = {}  # preempted in user space, or where it traps
        self.begins: dict[str, Line] = {}  # preempted in kernel_neon_begin() or _end(), first thing
        self.za: dict[str, Stimulus] = {}  # a thread's name: what it may have done with SVCR
        self.last_line = 0
        self.discards = False  # whether `to_save` tells of system calls

    def _name(self, comm: str, pid: int) -> str:
        stem = re.sub(r"\W+", "_", comm, flags=re.ASCII).strip("_") or "task"
        if stem[0].isdigit():
            stem = "t" + stem
        name = f"{stem}_{pid}"
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name

    def _thread(
        self,
        line: Line,
        pid: int,
        comm: str,
        address: int = 0,
        first: tuple[int, int, int] | None = None,
        current: bool = False,
    ) -> Thread:
        """The thread of a pid: known, a child that has not run yet, or from before."""
        thread = self.threads.get(pid)
        if thread is not None:
            thread.comm = comm
            if address and not thread.address:
                thread.address = address
                self.by_address[address] = thread
            return thread
        if address and address in self.by_address and self.by_address[address].pid < 0:
            thread = self.by_address[address]
            self.children.remove(thread)
        elif not address and (child := self._child(comm)) is not None:
            thread = child
        else:
            thread = Thread(self._name(comm, pid), pid, comm, line.number, address)
            thread.kernel = _KTHREAD.match(comm) is not None
            thread.placed = thread.kernel
            self.out.append(NewTask(line.number, line.cpu, thread, first, current))
        thread.pid, thread.comm = pid, comm
        self.threads[pid] = thread
        if address:
            thread.address = address
            self.by_address[address] = thread
        return thread

    def _child(self, comm: str) -> Thread | None:
        """The child that has waited longest: until it calls itself otherwise, it has this name."""
        for child in self.children:
            if child.comm == comm:
                self.children.remove(child)
                return child
        return None

    def _who(
        self, cpu: Cpu, line: Line, first: tuple[int, int, int] | None = None
    ) -> Thread | None:
        """Who runs; None for the idle task. A switch that was not recorded is made up for."""
        current = cpu.current
        pid = line.pid
        if (
            self.stopped
            and current is not None
            and line.name not in ("sys_enter", "sched_switch")
            and line.flags[2:3] not in IN_INTERRUPT
        ):
            stopped = self.stopped.pop(current.name, None) if current.pid == pid else None
            if stopped is not None and cpu.leaving is None:
                self._settle_operand(stopped, None)
            elif stopped is not None:
                self.stopped[current.name] = stopped
        if cpu.leaving is not None:
            if pid == cpu.leaving.pid:
                return current
            cpu.leaving = None
        if current is None:
            if pid == 0:
                return None
        elif current.pid == pid:
            return current
        if pid and line.comm == "<...>" and current is None:
            line = line._replace(comm="task")
        state = state_of(line.text, cpu.id) if current is None and pid else None
        if state is not None and state.pid == pid:
            first = state.flags, state.fp_type, state.fpsimd_cpu
        thread = self._thread(line, pid, line.comm, 0, first, True) if pid else None
        self._goes_on(cpu, thread, line, "who runs here" if thread else "the CPU idles")
        return thread

    def _goes_on(self, cpu: Cpu, thread: Thread | None, line: Line, why: str) -> None:
        """`thread` is current here, though no switch to it has been seen."""
        if cpu.current is not None or cpu.last:
            self.notes["a context switch that was not recorded"] += 1
        was = cpu.current
        if thread is not None and thread.cpu >= 0:
            other = self.cpus[thread.cpu]
            self._event(
                line, other.id, f"cpu{other.id}", "sched_switch", (thread.name, "idle"), why
            )
            other.current = None
            thread.cpu = -1
        names = (was.name if was else "idle", thread.name if thread else "idle")
        self.out.append(
            Stimulus(line.number, cpu.id, f"cpu{cpu.id}", "sched_switch", names, why, "adopt")
        )
        if was is not None:
            was.cpu = -1
        cpu.current = thread
        cpu.back = names[1] in self.trapped or names[1] in self.begins
        cpu.last = ""
        if thread is not None:
            thread.cpu = cpu.id
            thread.user = False

    def _event(
        self,
        line: Line,
        cpu: int,
        actor: str,
        verb: str,
        args: tuple[Any, ...] | None = (),
        why: str = "",
    ) -> Stimulus:
        self.cpus[cpu].inside = ""
        stimulus = Stimulus(line.number, cpu, actor, verb, args, why)
        self.out.append(stimulus)
        return stimulus

    def _in_user(self, cpu: Cpu, thread: Thread, line: Line, why: str, sve: bool = False) -> None:
        """It can only have been in user space just before: let it go there, and compute."""
        if thread.user or thread.kernel:
            return
        thread.placed = True
        self._event(line, cpu.id, thread.name, "ret_to_user", (), why)
        thread.user, thread.syscall, thread.exiting = True, False, False
        self._computes(cpu, thread, line, sve)
        if thread.name in self.za:
            self._settle_operand(self.za.pop(thread.name), None)
        if thread.sme:
            self.za[thread.name] = self._event(
                line, cpu.id, thread.name, "svcr_write", None, "a later line tells SVCR"
            )

    def _computes(self, cpu: Cpu, thread: Thread, line: Line, sve: bool = False) -> Stimulus:
        """It changes all its registers."""
        thread.values += 1
        kind = "z" if sve or thread.sve or cpu.zen == 3 else "v"
        value = (thread.pid << 20 | thread.values) & (1 << 64) - 1
        args = ((kind, 0), (value,))
        written = Stimulus(line.number, cpu.id, thread.name, "write", args, "", "value")
        self.out.append(written)
        return written

    def _in_kernel(self, cpu: Cpu, thread: Thread, line: Line) -> None:
        """It is in a system call, whether that was recorded or not."""
        if thread.kernel:
            return
        if not thread.placed:
            self._place(cpu, thread, line)
        elif thread.user or not thread.syscall:
            if not thread.user and thread.vcpu is not None:
                return
            self._in_user(cpu, thread, line, "a system call came after")
            self._event(line, cpu.id, thread.name, "syscall_enter", (), "not recorded")
            thread.user, thread.syscall = False, True
            cpu.last = ""

    def _place(self, cpu: Cpu, thread: Thread, line: Line) -> None:
        """It is first seen in a system call."""
        self.out.append(
            Stimulus(line.number, cpu.id, thread.name, "in_syscall", (), "first seen", "adopt")
        )
        thread.placed, thread.user, thread.syscall = True, False, True

    def _reconcile(self, cpu: Cpu, thread: Thread, line: Line, flags: int | None) -> None:
        """TIF_SVE that is gone without a function that takes it: a system call did it."""
        if flags is None:
            return
        thread.sme = thread.sme or bool(flags & TIF_SME)
        now = bool(flags & TIF_SVE)
        if not now and thread.vcpu is None:
            before = flags_of(cpu.last, cpu.id, thread.pid)
            if thread.sve if before is None else before & TIF_SVE:
                self._in_user(cpu, thread, line, "a system call came after", sve=True)
                self._event(line, cpu.id, thread.name, "syscall_enter", (), "TIF_SVE is gone")
                thread.user, thread.syscall = False, True
        thread.sve = now

    def _is_over(self, cpu: Cpu, thread: Thread, line: Line) -> bool:
        """Whether `to_save` has it that a thread has been in user space since its system call."""
        state = state_of(line.text, cpu.id) if self.discards and not thread.syscall else None
        return (
            state is not None
            and state.to_save == FP_STATE_CURRENT
            and not state.flags & TIF_FOREIGN_FPSTATE
        )

    def _reaction(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        forks = line.name.removesuffix("_ret") in _FORKS or cpu.inside == KERNEL_FORK
        if thread is not None and thread.kernel and forks and cpu.leaving is None:
            self.quiet[f"{line.name} of a kernel thread"] += 1
            return
        self.out.append(line)
        if cpu.leaving is None:
            cpu.last = line.text

    def _return(self, cpu: Cpu, line: Line) -> None:
        if line.name == cpu.until:
            cpu.inside = ""
        self._reaction(cpu, line)

    def _begin(self, cpu: Cpu, inside: str, line: Line) -> None:
        """What follows belongs to this, until it returns or something else begins."""
        cpu.inside, cpu.until = inside, line.name + "_ret"

    def _quiet(self, cpu: Cpu, line: Line) -> None:
        self.quiet[line.name] += 1
        if cpu.current is not None and cpu.leaving is None and f" c{cpu.id}=" in line.text:
            cpu.last = line.text

    def _dump(self, cpu: Cpu, line: Line) -> None:
        if line.text.startswith(("fprig next_pid", "fprig prev_pid")):
            self.quiet["fprig_dump"] += 1
            return
        thread = cpu.current if cpu.leaving is None else cpu.leaving
        if thread is not None and thread.name in self.za:
            svcr = dump_of(line.text).get("svcr")
            if svcr is not None:
                self._settle_operand(self.za.pop(thread.name), int(svcr, 16))
        zen = dump_of(line.text).get("zen")
        cpu.zen = number(zen) if zen else -1
        if thread is not None and thread.name in self.closed:
            self._settle_operand(self.closed.pop(thread.name), cpu.zen == 1)
        self.out.append(line)

    def _settle_operand(self, stimulus: Stimulus, found: Any) -> None:
        """Give a stimulus the operand that a later line has shown, or None has."""
        if stimulus.args is not None:
            return
        if stimulus.verb == "trap":
            stimulus.args = (found,) if found else ()
            stimulus.verb = "trap" if found else ""
        elif stimulus.verb == "syscall_enter":
            for each in (stimulus, *stimulus.along):
                each.args = each.args or ()
                if not found:
                    each.verb = ""
        elif stimulus.verb == "svcr_write":
            if found is not None:
                stimulus.args = ((found,),)
            else:
                stimulus.verb, stimulus.args = "", ()
        else:
            tracee, regset = stimulus.why.split()
            kind = "z" if regset == "NT_ARM_SVE" and found else _WRITTEN.get(regset, "v")
            fields: list[tuple[tuple[str, int], tuple[int, ...]]] = [((kind, 0), (0x5E7,))]
            if kind in ("v", "z"):
                fields.append((("fpcr", 0), (0,)))  # the last: a whole set is written
            stimulus.args = (tracee, regset, tuple(fields))
            stimulus.why = ""
