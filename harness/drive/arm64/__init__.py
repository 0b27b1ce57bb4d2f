"""arm64: its events as commands of the runner, and its answers as what a model says."""

from __future__ import annotations

from harness.drive.arm64 import program, scheduler, syscalls, tracing, vcpus
from harness.drive.arm64.aim import needed, tells
from harness.drive.arm64.judge import hold
from harness.drive.arm64.making import make
from harness.drive.arm64.planner import Planner
from harness.drive.script import Driven
from harness.dsl.nodes import Trace
from harness.model.catalogue import Kernel

RULES = {
    "read": program.read,
    "write": program.write,
    "svcr_write": program.svcr_write,
    "smstart": program.smstart,
    "smstop": program.smstop,
    "rdvl": program.rdvl,
    "trap": program.trap,
    "guest_enter": program.guest_enter,
    "guest_exit": program.guest_exit,
    "switch": scheduler.switch,
    "sched_switch": scheduler.switch,
    "ret_to_user": scheduler.ret_to_user,
    "do_notify_resume": scheduler.do_notify_resume,
    "vcpu_put": scheduler.vcpu_put,
    "irq": scheduler.irq,
    "hotplug": scheduler.hotplug,
    "syscall": syscalls.syscall,
    "syscall_enter": syscalls.syscall_enter,
    "prctl": syscalls.prctl,
    "signal": syscalls.signal,
    "frame_write": syscalls.frame_write,
    "sigreturn": syscalls.sigreturn,
    "fork": syscalls.child,
    "clone": syscalls.child,
    "exec": syscalls.exec_,
    "exit": syscalls.exit_,
    "ioctl": vcpus.ioctl,
    "one_reg_get": vcpus.one_reg_get,
    "one_reg_set": vcpus.one_reg_set,
    "save": vcpus.save,
    "restore": vcpus.restore,
    "ptrace_get": tracing.ptrace_get,
    "ptrace_set": tracing.ptrace_set,
    "ptrace_getregset": tracing.ptrace_getregset,
    "ptrace_setregset": tracing.ptrace_setregset,
}
"""How each verb is driven that can be."""

NEVER = {
    "softirq": "a softirq that uses NEON at a given point",
    "efi": "an EFI runtime service",
    "cpu_pm": "a CPU that suspends",
    "smccc": "a firmware call of the kernel in an interrupt",
    "profile": "profiling by SPE or TRBE",
    "perf_user_access": "perf's counters for EL0",
    "hw_breakpoint": "a breakpoint of the host",
    "hyp_panic": "a hyp panic",
    "vcpu_load": "a vcpu that is loaded and not run",
    "release": "the memory of a dead task, freed at a given point",
    "handle_trap": "a trap whose handler runs later",
    "neon_begin": "kernel-mode NEON that is more than one system call",
}
"""What no program can make happen at the point where a trace has it."""


def plan(trace: Trace, kernel: Kernel, mode: str) -> Driven:
    """The trace as a script's test. Raises Undriven."""
    return Planner(trace, kernel, mode, RULES, NEVER).plan()


__all__ = ["NEVER", "RULES", "hold", "make", "needed", "plan", "tells"]
