"""From what a kernel recorded to the stimuli that made it do so.

The follower knows no kernel version and asks no model: a context switch, a
system call, a trap is a stimulus, and what the kernel's functions then call is
its reaction. User instructions leave no line; they are inferred from what can
only have come of them, and such a stimulus says so (`why`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.capture.arm64.background import BACKGROUND
from harness.capture.arm64.fields import settled
from harness.capture.arm64.items import Cpu, Item, NewCpu, Stimulus
from harness.capture.arm64.life import Life
from harness.capture.arm64.switches import SWITCHING
from harness.capture.text import Line

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
# So many items are kept back for an operand that is yet to be told.
_LONG, _SHORTLY = 200_000, 2_000
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


class Follower(Life):
    """Turns lines into stimuli and observations. Iterate over `items()`.

    `unknown` counts the events that mean nothing to it, by name; `notes` says
    what had to be guessed.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
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

    def items(self) -> Iterator[Item]:
        """Stimuli and observations, in an order in which they can have happened."""
        out, table, cpus = self.out, self.table, self.cpus
        for line in settled(self.lines):
            handler = table.get(line.name)
            if handler is None:
                handler = self._resolve(line)
                if handler is None:
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
        if name in BACKGROUND:
            self.quiet[name] += 1
            return None
        self.unknown[line.name] += 1
        if line.text.startswith(("<-", "(", "__probe_")):
            self.functions_unknown[line.name] += 1
        return None

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
            if line is not None and line.name in SWITCHING and cpu.current is not None:
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
