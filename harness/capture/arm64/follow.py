"""From what a kernel recorded to the stimuli that made it do so.

The follower knows no kernel version and asks no model: a context switch, a
system call, a trap is a stimulus, and what the kernel's functions then call is
its reaction. User instructions leave no line; they are inferred from what can
only have come of them, and such a stimulus says so (`why`).

Long because the cases of one state machine stand together.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.capture.arm64.fields import (
    TIF_FOREIGN_FPSTATE,
    TIF_KERNEL_FPSTATE,
    TIF_SME,
    TIF_SVE,
    Switch,
    dump_of,
    flags_of,
    number,
    operand,
    owner_of,
    settled,
    state_of,
    switch_of,
    vcpu_of,
)
from harness.capture.arm64.items import (
    Cpu,
    Guest,
    Item,
    NewChild,
    NewCpu,
    NewTask,
    NewVcpu,
    Stimulus,
    Thread,
)
from harness.capture.text import Line

# asm-generic/unistd.h
NR_PTRACE, NR_PRCTL = 117, 167
PTRACE_GETREGSET, PTRACE_SETREGSET = 0x4204, 0x4205
_VL_OPTIONS = {50: "PR_SVE_SET_VL", 63: "PR_SME_SET_VL"}
_VL_FLAGS = ((1 << 17, "VL_INHERIT"), (1 << 18, "SET_VL_ONEXEC"))
# What stands for all that is written to a register set, and read of one.
_WRITTEN = {"NT_ARM_SSVE": "z", "NT_ARM_ZA": "za", "NT_ARM_ZT": "zt0", "NT_ARM_FPMR": "fpmr"}
_READ = {"NT_PRFPREG": "v", "NT_ARM_ZT": "zt0", "NT_ARM_FPMR": "fpmr"}
REGSETS = {
    2: "NT_PRFPREG",
    0x405: "NT_ARM_SVE",
    0x40B: "NT_ARM_SSVE",
    0x40C: "NT_ARM_ZA",
    0x40D: "NT_ARM_ZT",
    0x40E: "NT_ARM_FPMR",
}
FP_STATE_GUEST_OWNED = 2
FP_STATE_CURRENT, FP_STATE_FPSIMD, FP_STATE_SVE = 0, 1, 2
# What trace-cmd report -R prints: TASK_RUNNING, TASK_REPORT_MAX for who is preempted, then bits.
_STATES = {0: "R", 256: "R", 1: "S", 2: "D", 4: "T", 8: "t", 16: "X", 32: "Z", 64: "P", 128: "I"}
# kernel_thread(): a child without an mm has no FP state to be given.
_KERNEL_FORK = "fork of a kernel thread"
_FORKS = ("arch_dup_task_struct", "copy_thread", "fpsimd_flush_task_state")
# Who calls fpsimd_restore_current_state() on the way to user space, release by release.
_RESUMING = ("<-do_notify_resume", "<-exit_to_user_mode", "<-arch_exit_to_user_mode")
# Who calls fpsimd_save() for the sake of a copy in memory.
_LONE_CALLERS = ("<-arch_dup_task_struct", "<-fpsimd_preserve_current_state")

_SWITCH = re.compile(
    r"prev_comm=(.*?) prev_pid=(\d+) .*?prev_state=(\S+) (?:==> )?next_comm=(.*?) next_pid=(\d+)"
)
# trace-cmd's own way to print it.
_SWITCH_CMD = re.compile(r"(.*):(\d+) \[-?\d+\] (\S+) ==> (.*):(\d+) \[-?\d+\]")
# Where a recording can be entered.
_CLEAN = {
    "sched_switch",
    "fpsimd_thread_switch",
    "sys_enter",
    "sys_exit",
    "do_sve_acc",
    "do_sme_acc",
    "fpsimd_restore_current_state",
    "kvm_arch_vcpu_load",
    "kernel_neon_begin",
    "arch_dup_task_struct",
    "fpsimd_flush_thread",
    "setup_rt_frame",
    "fpsimd_signal_preserve_current_state",
}
# Hard and soft interrupts and NMIs, in the third of the flags.
_IN_INTERRUPT = ("s", "h", "H", "Z", "z")
# Nobody takes so many seconds from a system call's exit to the signal that it delivers.
_ON_ITS_WAY = 0.001
# So many items are kept back for an operand that is yet to be told.
_LONG, _SHORTLY = 200_000, 2_000
_SWITCHING = ("sched_switch", "fpsimd_thread_switch", "fpsimd_thread_switch_ret")
# By their names: nothing that is recorded tells them from others for certain.
_KTHREAD = re.compile(
    r"(kworker/|ksoftirqd/|rcu_|rcuo|migration/|kthreadd$|kswapd|kcompactd|khugepaged|cpuhp/|irq/)"
)
_FORK = re.compile(r"child_comm=(.*?) child_pid=(\d+)")
_SYSCALL = re.compile(r"NR (-?\d+)(?: \((.*?)\))?")
_SYSCALL_RAW = re.compile(r"id=(-?\d+|0x\w+)(?:,? args=(?:ARRAY\[)?(.*?)\]?$)?")

# Events that say nothing of FP state, but belong to those that do.
QUIET = (
    "kvm_userspace_exit",
    "sys_exit",
    "sched_process_exec",
    "sched_process_exit",
    "signal_deliver",
    "sched_waking",
    "sched_wakeup",
    "sched_migrate_task",
    "tracing_mark_write",
    "print",
    "kvm_exit",
    # Other work than ours takes it there too.
    "do_notify_resume",
    # Death is the switch away, and the end of the memory.
    "do_exit",
    # A vcpu is whole when it is first seen.
    "kvm_arch_vcpu_ioctl_vcpu_init",
    "kvm_reset_vcpu",
    "kvm_vcpu_enable_sve",
    "kvm_arm_vcpu_finalize",
    "kvm_arch_vcpu_run_pid_change",
    # The machine of a recording has no PMU and no breakpoints in the model.
    "kvm_arm_setup_mdcr_el2",
    "__activate_traps_common",
    "__deactivate_traps_common",
    "__debug_switch_to_guest",
    "__debug_switch_to_host",
    # Inside __kvm_vcpu_run(), of which only the whole can be placed: the guest is in between.
    "__kvm_vcpu_run_vhe",
    "__activate_traps",
    "__deactivate_traps",
    "__guest_exit",
    "kvm_hyp_handle_fpsimd",
    # They look whether there is such a register set, and call what both sets share.
    "fpr_get",
    "__fpr_get",
    "sve_get",
    "sve_set",
    "ssve_get",
    "ssve_set",
    "zt_get",
    "fpmr_get",
)


@dataclass
class Follower:
    """Turns lines into stimuli and observations. Iterate over `items()`.

    `unknown` counts the events that mean nothing to it, by name; `notes` says
    what had to be guessed.
    """

    lines: Iterable[Line]
    states: bool = False  # whether the recording has the state beside each call
    unknown: Counter[str] = field(default_factory=Counter)
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
        table: dict[str, Callable[[Cpu, Line], None]] = {
            "sched_switch": self._hold,
            "sys_enter": self._sys_enter,
            "sys_exit": self._sys_exit,
            "kvm_entry": self._enter,
            "kvm_exit": self._exit,
            "kvm_arch_vcpu_load": self._load,
            "kvm_arch_vcpu_put": self._put,
            "kvm_arch_vcpu_ctxflush_fp": self._enter,
            "__kvm_vcpu_run": self._enter,
            "__kvm_vcpu_run_ret": self._exit,
            "kvm_arch_vcpu_ctxsync_fp": self._exit,
            "fpsimd_thread_switch": self._thread_switch,
            "fpsimd_thread_switch_ret": self._switched,
            "fpsimd_restore_current_state": self._restore,
            "do_sve_acc": self._trap,
            "do_sme_acc": self._trap,
            "kernel_neon_begin": self._neon_begin,
            "kernel_neon_end": self._neon_end,
            "fpsimd_flush_task_state": self._flush_task,
            "fpsimd_flush_thread": self._exec,
            "sched_process_fork": self._process_fork,
            "fpsimd_release_task": self._release,
            "fpsimd_save_and_flush_cpu_state": self._save_and_flush,
            "arch_dup_task_struct": self._dup,
            "task_smstop_sm_ret": self._smstopped,
            "__fpr_set": self._fpr_set,
        }
        for name in ("setup_rt_frame", "fpsimd_signal_preserve_current_state"):
            table[name] = self._signal
        for name in (
            "restore_sigframe",
            "restore_fpsimd_context",
            "restore_sve_fpsimd_context",
            "fpsimd_update_current_state",
        ):
            table[name] = self._sigreturn
        for name in ("fpsimd_save", "fpsimd_save_user_state", "fpsimd_preserve_current_state"):
            table[name] = self._save
        for name in (
            "task_fpsimd_load",
            "fpsimd_bind_task_to_cpu",
            "fpsimd_bind_state_to_cpu",
            "fpsimd_flush_cpu_state",
            "fpsimd_save_and_flush_current_state",
            "fpsimd_kvm_prepare",
            "kvm_arch_vcpu_load_fp",
            "kvm_arch_vcpu_put_fp",
            "vec_set_vector_length",
            "sve_set_vector_length",
            "sve_set_current_vl",
            "sme_set_current_vl",
            "fpsimd_save_kernel_state",
            "fpsimd_load_kernel_state",
            "fpsimd_sync_from_effective_state",
            "copy_thread",
            "copy_thread_za",
            "setup_sigframe",
            "setup_return",
            "restore_za_context",
            "restore_tpidr2_context",
            "sve_to_fpsimd",
            "fpsimd_to_sve",
            "sve_sync_to_fpsimd",
            "task_smstop_sm",
            "fpsimd_flush_thread_vl",
            "tls_thread_switch",
            "sve_set_common",
            "fpr_set",
            "sve_get_common",
            "fpsimd_sync_to_effective_state_zeropad",
            "sve_sync_from_fpsimd_zeropad",
            "za_get",
            "za_set",
            "zt_set",
            "fpmr_set",
            "change_live_vector_length",
        ):
            table[name] = self._reaction
        for name in [*table]:
            if not name.endswith("_ret"):
                table.setdefault(name + "_ret", self._return)
        table["fprig_dump"] = self._dump
        for name in QUIET:
            table.setdefault(name, self._quiet)
            table.setdefault(name + "_ret", self._quiet)
        self.table = table

    # The stream ------------------------------------------------------------------

    def items(self) -> Iterator[Item]:
        """Stimuli and observations, in an order in which they can have happened."""
        out, table, cpus = self.out, self.table, self.cpus
        for line in settled(self.lines):
            handler = table.get(line.name)
            if handler is None:
                handler = self._resolve(line)
                if handler is None:
                    continue
                if line.name.startswith(("ip=", "function")):
                    continue
            cpu = cpus.get(line.cpu)
            if cpu is None:
                cpu = cpus[line.cpu] = Cpu(line.cpu)
            self.last_line = line.number
            if not cpu.joined and not self._joins(cpu, line, handler):
                continue
            if not cpu.shown and f" c{cpu.id}=" in line.text:
                cpu.shown = True
                out.append(NewCpu(line))
            if cpu.held is not None and line.name != "fpsimd_release_task":  # RCU's, in between
                self._unhold(cpu, line)
            if cpu.back and cpu.current is not None:
                self._comes_back(cpu, cpu.current, line)
            handler(cpu, line)
            if len(out) == 1 and type(out[0]) is Line:  # most of the time
                yield out.popleft()
            elif out:
                yield from self._ready()
        for cpu in cpus.values():
            if cpu.held is not None:
                self._unhold(cpu, None)
        waiting = (self.waiting, self.za, self.blocked, self.stopped, self.closed, self.trapped)
        for stimulus in [s for table in waiting for s in table.values()]:
            self._settle_operand(stimulus, None)
        yield from self._ready(everything=True)

    def _joins(self, cpu: Cpu, line: Line, handler: Callable[[Cpu, Line], None]) -> bool:
        """Whether a CPU can be followed from here on: nobody is in the middle of anything."""
        shows = f" c{cpu.id}=" in line.text or line.name == "sched_switch"
        cpu.joined = (
            line.name in _CLEAN
            and (shows or not self.states)
            and not line.text.startswith("fprig ")
        )
        if not cpu.joined and handler != self._quiet:
            self.notes["an event before the first clean point of its CPU"] += 1
        return cpu.joined

    def _ready(self, everything: bool = False) -> Iterator[Item]:
        out = self.out
        while out:
            item = out[0]
            if isinstance(item, Stimulus) and item.args is None:
                patience = _SHORTLY if item.verb == "trap" else _LONG
                if not everything and len(out) < patience:
                    return
                self._settle_operand(item, None)
            out.popleft()
            if isinstance(item, Stimulus) and not item.verb:
                continue  # it turned out to be nothing
            yield item

    def _resolve(self, line: Line) -> Callable[[Cpu, Line], None] | None:
        """The handler of a name that is no key of the table: .isra suffixes, or unknown."""
        name, _, suffix = line.name.partition(".")
        if suffix and name in self.table:
            return self.table[name]
        self.unknown[line.name] += 1
        return None

    # Who -------------------------------------------------------------------------

    def _name(self, comm: str, pid: int) -> str:
        stem = re.sub(r"\W+", "_", comm).strip("_") or "task"
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
        if self.stopped and current is not None and line.name not in ("sys_enter", "sched_switch"):
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

    # Emission ----------------------------------------------------------------------

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
        thread.values += 1
        kind = "z" if sve or thread.sve or cpu.zen == 3 else "v"
        value = (thread.pid << 20 | thread.values) & (1 << 64) - 1
        self.out.append(
            Stimulus(line.number, cpu.id, thread.name, "write", ((kind, 0), (value,)), "", "value")
        )
        if thread.name in self.za:
            self._settle_operand(self.za.pop(thread.name), None)
        if thread.sme:
            self.za[thread.name] = self._event(
                line, cpu.id, thread.name, "svcr_write", None, "a later line tells SVCR"
            )

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

    # Reactions -------------------------------------------------------------------

    def _reaction(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        forks = line.name.removesuffix("_ret") in _FORKS or cpu.inside == _KERNEL_FORK
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
        cpu.zen = int(zen) if zen and zen.isdigit() else -1
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
            stimulus.args = ()
            if not found:
                stimulus.verb = ""
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

    # The scheduler -----------------------------------------------------------------

    def _hold(self, cpu: Cpu, line: Line) -> None:
        cpu.held = line

    def _unhold(self, cpu: Cpu, line: Line | None) -> None:
        held, cpu.held = cpu.held, None
        assert held is not None
        if held.name == "sched_switch":
            self._sched_switch(cpu, held, line)
        elif held.name in ("do_sve_acc", "do_sme_acc"):
            self._handler(cpu, held, line)
        elif held.name in ("kernel_neon_begin", "kernel_neon_end"):
            if line is not None and line.name in _SWITCHING and cpu.current is not None:
                cpu.neon = held
            else:
                self._neon(cpu, held)
        elif held.name == "kvm_arch_vcpu_ctxsync_fp":
            used = line is not None and line.name.startswith("fpsimd_bind_state_to_cpu")
            self._guest_exit(cpu, held, used)
            self.out.append(held)
        elif line is not None and line.name.startswith("fpsimd_flush_task_state"):
            self._fork(cpu, held)
            self.out.append(held)
        else:
            self.out.append(held)
            cpu.last = held.text

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
                if stopped is not None:
                    # With its registers elsewhere it has not been to user space since.
                    self._settle_operand(stopped, True if foreign else None)
                    prev.exiting = foreign
                if over and not prev.syscall:
                    self._in_user(cpu, prev, line, "its system call is over")
                    self._may_trap(cpu, prev, line)
                elif over is False and prev.exiting:
                    pass  # on its way out
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

    def _may_trap(self, cpu: Cpu, prev: Thread, line: Line) -> None:
        """A handler that finds TIF_FOREIGN_FPSTATE will show that it was preempted before."""
        if prev.name not in self.trapped and not prev.sve:
            self.trapped[prev.name] = self._event(
                line, cpu.id, prev.name, "trap", None, "its handler comes later"
            )

    def _comes_back(self, cpu: Cpu, thread: Thread, line: Line) -> None:
        """The first line of a thread that was preempted tells where that was."""
        interrupt = line.flags[2:3] in _IN_INTERRUPT
        if line.pid != thread.pid or interrupt or line.name in _SWITCHING:
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

    def _syscall_over(self, cpu: Cpu, prev: Thread, operands: Switch, after: Line) -> bool | None:
        """What `to_save` has of it (v6.16): a system call lets SVE state go until it is over."""
        state = state_of(after.text, cpu.id)
        if state is None or operands.prev_cpu != cpu.id:
            return None
        if state.to_save == FP_STATE_FPSIMD:
            self.discards = self.discards or prev.syscall
            return False
        return True if self.discards else None

    def _is_over(self, cpu: Cpu, thread: Thread, line: Line) -> bool:
        """Whether `to_save` has it that a thread has been in user space since its system call."""
        state = state_of(line.text, cpu.id) if self.discards and not thread.syscall else None
        return (
            state is not None
            and state.to_save == FP_STATE_CURRENT
            and not state.flags & TIF_FOREIGN_FPSTATE
        )

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

    def _stop(self, cpu: Cpu, thread: Thread, line: Line) -> None:
        """Its tracer has it: on the way into a system call, out of one, or at a signal."""
        if thread.syscall:  # it can be told already, because TIF_SVE is gone
            self.stopped[thread.name] = Stimulus(line.number, cpu.id, thread.name, "", ())
        elif not thread.exiting:
            self._in_user(cpu, thread, line, "it stops for its tracer")
            self.stopped[thread.name] = self._event(
                line, cpu.id, thread.name, "syscall_enter", None, "sys_enter comes later"
            )

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

    # System calls --------------------------------------------------------------------

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
        sleeps = after is not None and after.name in _SWITCHING
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

    # KVM ---------------------------------------------------------------------------

    def _guest(self, thread: Thread, line: Line) -> Guest:
        arg = vcpu_of(line.text)
        if arg is None:
            guest = self.guest_of.get(thread.name)
            if guest is None:
                guest = Guest(f"v_{thread.name}", 0, thread, False, 0)
        else:
            known = self.guests.get(arg.address)
            if known is not None and (known.thread is thread or not known.thread.dying):
                guest = known
            else:
                name, n = f"v_{thread.name}", 1
                while name in self.guest_of:
                    n += 1
                    name = f"v{n}_{thread.name}"
                guest = Guest(name, arg.address, thread, arg.sve == 1, arg.sve_max_vl, arg.fp_state)
                self.guests[arg.address] = guest
        if guest.name not in self.guest_of:
            self.guest_of[guest.name] = self.guest_of[thread.name] = guest
            self.names.add(guest.name)
            self.out.append(NewVcpu(line.number, guest))
        return guest

    def _load(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if thread is not None and thread.vcpu is None:
            guest = self._guest(thread, line)
            self._in_kernel(cpu, thread, line)
            self._event(line, cpu.id, guest.name, "vcpu_load")
            thread.vcpu = guest
        self._reaction(cpu, line)

    def _put(self, cpu: Cpu, line: Line) -> None:
        if cpu.leaving is None:
            thread = self._who(cpu, line)
            if thread is not None and thread.vcpu is not None:
                self._event(line, cpu.id, thread.vcpu.name, "vcpu_put")
                thread.vcpu = None
        self._reaction(cpu, line)

    def _loaded(self, cpu: Cpu, line: Line) -> Guest | None:
        thread = self._who(cpu, line)
        if thread is None:
            return None
        if thread.vcpu is None:
            thread.vcpu = guest = self._guest(thread, line)
            self._in_kernel(cpu, thread, line)
            self._event(line, cpu.id, guest.name, "vcpu_load", (), "before the recording")
        return thread.vcpu

    def _enter(self, cpu: Cpu, line: Line) -> None:
        guest = self._loaded(cpu, line)
        if guest is not None and not guest.entered:
            arg = vcpu_of(line.text)
            guest.owner = arg.fp_state if arg else -1
            guest.entered = True
            self._event(line, cpu.id, guest.name, "guest_enter")
        if line.name == "kvm_entry":
            self.quiet[line.name] += 1
            return
        if line.name.startswith("__kvm_vcpu_run"):
            arg = vcpu_of(line.text)
            if guest is not None and arg is not None:
                guest.owner = arg.fp_state
        self._reaction(cpu, line)

    def _exit(self, cpu: Cpu, line: Line) -> None:
        guest = self._loaded(cpu, line)
        if guest is not None and guest.entered:
            owner = owner_of(line.text, cpu.id)
            if owner < 0:
                arg = vcpu_of(line.text)
                owner = arg.fp_state if arg else -1
            if owner >= 0:
                self._guest_exit(cpu, line, owner == FP_STATE_GUEST_OWNED)
            elif line.name == "kvm_arch_vcpu_ctxsync_fp":
                cpu.held = line
                return
            elif line.name.startswith("__kvm_vcpu_run"):
                self.quiet[line.name] += 1
                return
            else:
                self._guest_exit(cpu, line, False)
        if line.name == "kvm_exit":
            self.quiet[line.name] += 1
        else:
            self._reaction(cpu, line)

    def _guest_exit(self, cpu: Cpu, line: Line, owns: bool) -> None:
        thread = cpu.current
        guest = thread.vcpu if thread is not None else None
        if thread is None or guest is None or not guest.entered:
            return
        if owns and guest.owner != FP_STATE_GUEST_OWNED:
            thread.values += 1
            value = 0x6E57 << 32 | line.number
            args = (("z" if guest.sve else "v", 0), (value,))
            self._event(line, cpu.id, guest.name, "write", args, "it owns the registers after")
        guest.entered = False
        self._event(line, cpu.id, guest.name, "guest_exit", ("irq",))

    def _neon(self, cpu: Cpu, line: Line) -> None:
        if cpu.current is not None:
            verb = line.name.removeprefix("kernel_")
            self._event(line, cpu.id, cpu.current.name, verb)
        self._reaction(cpu, line)

    # Kernel-mode NEON ----------------------------------------------------------------

    def _neon_begin(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if line.flags[2:3] in _IN_INTERRUPT:
            self._event(line, cpu.id, f"cpu{cpu.id}", "softirq", ("neon", "now"))
            cpu.softirq = True
        elif thread is not None:
            self._in_kernel(cpu, thread, line)
            cpu.held = line  # what comes next tells whether it was preempted first
            return
        self._reaction(cpu, line)

    def _neon_end(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if cpu.softirq:
            cpu.softirq = False
        elif thread is not None:
            cpu.held = line
            return
        self._reaction(cpu, line)

    # A task's life -------------------------------------------------------------------

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
            self._begin(cpu, _KERNEL_FORK, line)

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

    def _fpr_set(self, cpu: Cpu, line: Line) -> None:
        """A tracer's payload turns out to be V."""
        self._who(cpu, line)
        waits = self.waiting.pop(cpu.tracee, None) if cpu.inside == "ptrace" else None
        if waits is not None:
            self._settle_operand(waits, False)
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
