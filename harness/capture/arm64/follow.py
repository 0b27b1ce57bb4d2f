"""From what a kernel recorded to the stimuli that made it do so.

The follower knows no kernel version and asks no model: a context switch, a
system call, a trap is a stimulus, and what the kernel's functions then call is
its reaction. User instructions leave no line; they are inferred from what can
only have come of them, and such a stimulus says so (`why`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from harness.capture.arm64 import guests, life, lines, switches
from harness.capture.arm64.background import BACKGROUND
from harness.capture.arm64.fields import settled
from harness.capture.arm64.items import Cpu, Item, NewCpu, Stimulus
from harness.capture.arm64.operands import give_up
from harness.capture.arm64.seen import Seen
from harness.capture.evidence import BEFORE, Tally
from harness.capture.text import Line

# Where a recording can be entered.
_CLEAN = {
    *("sched_switch", "fpsimd_thread_switch", "sys_enter", "sys_exit", "do_sve_acc", "do_sme_acc"),
    *("fpsimd_restore_current_state", "kvm_arch_vcpu_load", "kernel_neon_begin"),
    *("arch_dup_task_struct", "fpsimd_flush_thread", "setup_rt_frame"),
    "fpsimd_signal_preserve_current_state",
}
# So many items are kept back for an operand that is yet to be told.
_LONG, _SHORTLY = 200_000, 2_000
# Events that say nothing of FP state, but belong to those that do.
QUIET = (
    *("kvm_userspace_exit", "sys_exit", "sched_process_exec", "sched_process_exit"),
    *("signal_deliver", "sched_waking", "sched_wakeup", "sched_migrate_task"),
    *("tracing_mark_write", "print", "kvm_exit"),
    # Other work than ours takes it there too.
    "do_notify_resume",
    # Death is the switch away, and the end of the memory.
    "do_exit",
    # A vcpu is whole when it is first seen.
    *("kvm_arch_vcpu_ioctl_vcpu_init", "kvm_reset_vcpu", "kvm_vcpu_enable_sve"),
    *("kvm_arm_vcpu_finalize", "kvm_arch_vcpu_run_pid_change"),
    # The machine of a recording has no PMU and no breakpoints in the model.
    *("kvm_arm_setup_mdcr_el2", "__activate_traps_common", "__deactivate_traps_common"),
    *("__debug_switch_to_guest", "__debug_switch_to_host"),
    # Inside __kvm_vcpu_run(), of which only the whole can be placed: the guest is in between.
    *("__kvm_vcpu_run_vhe", "__activate_traps", "__deactivate_traps", "__guest_exit"),
    "kvm_hyp_handle_fpsimd",
    # They look whether there is such a register set, and call what both sets share.
    *("fpr_get", "__fpr_get", "sve_get", "sve_set", "ssve_get", "ssve_set", "zt_get", "fpmr_get"),
)


# What the kernel does to a stimulus.
_REACTIONS = (
    *("task_fpsimd_load", "fpsimd_bind_task_to_cpu", "fpsimd_bind_state_to_cpu"),
    *("fpsimd_flush_cpu_state", "fpsimd_save_and_flush_current_state"),
    *("fpsimd_kvm_prepare", "kvm_arch_vcpu_load_fp", "kvm_arch_vcpu_put_fp"),
    *("vec_set_vector_length", "sve_set_vector_length", "sve_set_current_vl"),
    *("sme_set_current_vl", "fpsimd_save_kernel_state", "fpsimd_load_kernel_state"),
    *("fpsimd_sync_from_effective_state", "copy_thread", "copy_thread_za", "setup_sigframe"),
    *("setup_return", "restore_za_context", "restore_tpidr2_context", "sve_to_fpsimd"),
    *("fpsimd_to_sve", "sve_sync_to_fpsimd", "task_smstop_sm", "fpsimd_flush_thread_vl"),
    *("tls_thread_switch", "sve_set_common", "fpr_set", "sve_get_common"),
    *("fpsimd_sync_to_effective_state_zeropad", "sve_sync_from_fpsimd_zeropad", "za_get"),
    *("za_set", "zt_set", "fpmr_set", "change_live_vector_length"),
)

Handler = Callable[[Seen, Cpu, Line], None]


def _hold(seen: Seen, cpu: Cpu, line: Line) -> None:
    cpu.held = line


_STIMULI: dict[str, Handler] = {
    "sched_switch": _hold,
    "sys_enter": life.sys_enter,
    "sys_exit": life.sys_exit,
    "kvm_entry": guests.enter,
    "kvm_exit": guests.leave,
    "kvm_arch_vcpu_load": guests.load,
    "kvm_arch_vcpu_put": guests.put,
    "kvm_arch_vcpu_ctxflush_fp": guests.enter,
    "__kvm_vcpu_run": guests.enter,
    "__kvm_vcpu_run_ret": guests.leave,
    "kvm_arch_vcpu_ctxsync_fp": guests.leave,
    "fpsimd_thread_switch": switches.thread_switch,
    "fpsimd_thread_switch_ret": switches.switched,
    "fpsimd_restore_current_state": life.restore,
    "do_sve_acc": life.trap,
    "do_sme_acc": life.trap,
    "kernel_neon_begin": guests.neon_begin,
    "kernel_neon_end": guests.neon_end,
    "fpsimd_flush_task_state": life.flush_task,
    "fpsimd_flush_thread": life.exec_,
    "sched_process_fork": life.process_fork,
    "fpsimd_release_task": life.release,
    "fpsimd_save_and_flush_cpu_state": life.save_and_flush,
    "arch_dup_task_struct": life.dup,
    "task_smstop_sm_ret": life.smstopped,
    "__fpr_set": life.fpr_set,
    **dict.fromkeys(("setup_rt_frame", "fpsimd_signal_preserve_current_state"), life.signal),
    **dict.fromkeys(
        (
            "restore_sigframe",
            "restore_fpsimd_context",
            "restore_sve_fpsimd_context",
            "fpsimd_update_current_state",
        ),
        life.sigreturn,
    ),
    **dict.fromkeys(
        ("fpsimd_save", "fpsimd_save_user_state", "fpsimd_preserve_current_state"), life.save
    ),
}


def _table() -> dict[str, Handler]:
    """What is done with a line, by its name."""
    table = _STIMULI | dict.fromkeys(_REACTIONS, lines.reaction)
    returns = {name + "_ret": lines.returned for name in table if not name.endswith("_ret")}
    silent = {name + end: lines.quiet for name in QUIET for end in ("", "_ret")}
    return silent | returns | table | {"fprig_dump": lines.dump}


_HANDLERS = _table()


@dataclass(slots=True)
class Follower:
    """Turns lines into stimuli and observations. Iterate over `items()`."""

    lines: Iterable[Line]
    states: bool = False  # whether the recording has the state beside each call
    tally: Tally = field(default_factory=Tally)

    def items(self) -> Iterator[Item]:
        """Stimuli and observations, in an order in which they can have happened."""
        seen = Seen(self.tally)
        out, cpus = seen.out, seen.cpus
        for line in settled(self.lines):
            handler = _HANDLERS.get(line.name) or self._resolve(line)
            if handler is None:
                continue
            cpu = cpus.get(line.cpu)
            if cpu is None:
                cpu = cpus[line.cpu] = Cpu(line.cpu)
            if not cpu.joined and not self._joins(cpu, line, handler):
                continue
            if not cpu.shown and f" c{cpu.id}=" in line.text:
                cpu.shown = True
                out.append(NewCpu(line))
            if cpu.held is not None and line.name != "fpsimd_release_task":  # RCU's, in between
                _unhold(seen, cpu, cpu.held, line)
            if cpu.back and cpu.current is not None:
                switches.comes_back(seen, cpu, cpu.current, line)
            handler(seen, cpu, line)
            if len(out) == 1 and type(out[0]) is Line:  # most of the time
                yield out.popleft()
            elif out:
                yield from _ready(seen)
        for cpu in cpus.values():
            if cpu.held is not None:
                _unhold(seen, cpu, cpu.held, None)
        for item in out:
            if isinstance(item, Stimulus) and item.open:
                give_up(item)
        yield from _ready(seen)

    def _joins(self, cpu: Cpu, line: Line, handler: Handler) -> bool:
        """Whether a CPU can be followed from here on: nobody is in the middle of anything."""
        shows = f" c{cpu.id}=" in line.text or line.name == "sched_switch"
        cpu.joined = (
            line.name in _CLEAN
            and (shows or not self.states)
            and not line.text.startswith("fprig ")
        )
        if not cpu.joined and handler is not lines.quiet:
            self.tally.notes[BEFORE] += 1
        return cpu.joined

    def _resolve(self, line: Line) -> Handler | None:
        """The handler of a name that is no key of the table: .isra suffixes, or unknown."""
        name, _, suffix = line.name.partition(".")
        if suffix and name in _HANDLERS:
            return _HANDLERS[name]
        if name in BACKGROUND:
            self.tally.quiet[name] += 1
            return None
        self.tally.unknown[line.name] += 1
        if line.text.startswith(("<-", "(", "__probe_")):
            self.tally.functions_unknown[line.name] += 1
        return None


def _ready(seen: Seen) -> Iterator[Item]:
    """What can be handed on, up to a stimulus of which more may be told."""
    out = seen.out
    while out:
        item = out[0]
        if isinstance(item, Stimulus):
            if item.open:
                if len(out) < (_SHORTLY if item.verb == "trap" else _LONG):
                    return
                give_up(item)
            out.popleft()
            if item.dropped:
                continue  # it turned out to be nothing
        else:
            out.popleft()
        yield item


def _unhold(seen: Seen, cpu: Cpu, held: Line, line: Line | None) -> None:
    """What a line was, by the next one of its CPU; None at the end."""
    cpu.held = None
    if held.name == "sched_switch":
        switches.sched_switch(seen, cpu, held, line)
    elif held.name in ("do_sve_acc", "do_sme_acc"):
        life.handler(seen, cpu, held, line)
    elif held.name in ("kernel_neon_begin", "kernel_neon_end"):
        if line is not None and line.name in switches.SWITCHING and cpu.current is not None:
            cpu.neon = held
        else:
            guests.neon(seen, cpu, held)
    elif held.name == "kvm_arch_vcpu_ctxsync_fp":
        used = line is not None and line.name.startswith("fpsimd_bind_state_to_cpu")
        guests.guest_exit(seen, cpu, held, used)
        seen.out.append(held)
    else:
        if line is None or not line.name.startswith("fpsimd_flush_task_state"):
            cpu.last = held.text
        elif cpu.current is not None:
            life.fork(seen, cpu, cpu.current, held)
        seen.out.append(held)
