"""The events of arm64 in the trace language: who can do what, with which operands."""

from __future__ import annotations

from harness.model.arm64.kvm.uapi import KVM_ARM_VCPU_SVE, SIZES
from harness.model.arm64.userland import PR_FLAGS
from harness.model.base import Verb
from harness.model.world import Event

_BOTH = ("task", "vcpu")
_TASK, _VCPU, _CPU = ("task",), ("vcpu",), ("cpu",)

VERBS: dict[str, Verb] = {
    "read": Verb(_BOTH, ("register",), "reads a register", reads=True),
    "write": Verb(_BOTH, ("register", "value"), "writes a register"),
    "svcr_write": Verb(_BOTH, ("value",), "writes SVCR by MSR", holder=("svcr", 0)),
    "smstart": Verb(_BOTH, ("?both sm za",), "SMSTART: PSTATE.SM, PSTATE.ZA, or both"),
    "smstop": Verb(_BOTH, ("?both sm za",), "SMSTOP"),
    "syscall": Verb(_TASK, (), "makes a system call that does nothing, and returns"),
    "syscall_enter": Verb(_TASK, (), "makes a system call, and is in the kernel"),
    "ret_to_user": Verb(_TASK, (), "leaves the kernel, whatever is left to do there"),
    "ioctl": Verb(
        _TASK,
        ("KVM_RUN KVM_ARM_VCPU_INIT KVM_ARM_VCPU_FINALIZE KVM_GET_REG_LIST", "vcpu", "argument"),
        "KVM_RUN: loads the vcpu, enters the guest",
    ),
    "one_reg_get": Verb(
        _TASK,
        ("vcpu", "register", "NULL"),
        "KVM_GET_ONE_REG, into a bad pointer with `NULL`",
        view="one_reg",
        reads=True,
    ),
    "one_reg_set": Verb(
        _TASK,
        ("vcpu", "register", "value"),
        "KVM_SET_ONE_REG, from a bad pointer with `= NULL`",
        view="one_reg",
    ),
    "save": Verb(
        _TASK,
        ("vcpu", "*" + " ".join(SIZES)),
        "saves a vcpu by ONE_REG, in KVM_GET_REG_LIST order",
    ),
    "restore": Verb(
        _TASK,
        ("vcpu", "vcpu", "register"),
        "restores it into another (or the same), which it initialises "
        "and finalizes where that is still to be done; one register can go first",
        view="one_reg",
    ),
    "do_notify_resume": Verb(
        _TASK, (), "restores its registers on the way to user space, and is still in the kernel"
    ),
    "prctl": Verb(
        _TASK,
        ("PR_SVE_SET_VL PR_SME_SET_VL", "number", "*" + " ".join(PR_FLAGS)),
        "sets a vector length of its own, in bytes",
    ),
    "ptrace_get": Verb(
        _TASK,
        ("task", "register"),
        "reads a register of a stopped task",
        view="ptrace",
        reads=True,
    ),
    "ptrace_set": Verb(
        _TASK,
        ("task", "register", "value"),
        "writes one: V by NT_PRFPREG, Z, P, FFR by NT_ARM_SVE",
        view="ptrace",
    ),
    "ptrace_getregset": Verb(
        _TASK,
        ("task", "regset", "register"),
        "PTRACE_GETREGSET: reads a register, or a field of the header, of one set",
        reads=True,
    ),
    "ptrace_setregset": Verb(
        _TASK,
        ("task", "regset", "fields"),
        "PTRACE_SETREGSET: writes one set, up to the last register that is named",
    ),
    "signal": Verb(
        _TASK, (), "gets a signal: its frame is written; from user space the handler runs next"
    ),
    "frame_write": Verb(
        _TASK,
        ("register", "value"),
        "changes a V register in the FPSIMD record of its frame",
        view="frame",
    ),
    "sigreturn": Verb(
        _TASK,
        ("?whole fpsimd streaming sve empty",),
        "returns from the handler: with the frame as it was, with its FPSIMD record alone, "
        "with its SVE record made a streaming or a non-streaming one, or with a streaming one "
        "without registers",
    ),
    "fork": Verb(_TASK, ("child",), "makes a child, which waits for a CPU"),
    "clone": Verb(_TASK, ("child",), "makes a thread that shares its memory, and waits for a CPU"),
    "exec": Verb(_TASK, (), "starts a new program"),
    "exit": Verb(_TASK, (), "dies; its memory is freed, the CPU idles"),
    "release": Verb(
        _TASK, (), "has died, and left its CPU by `sched_switch`; now its memory is freed"
    ),
    "trap": Verb(
        _BOTH,
        ("sve sme fp fpe irq wfx hvc sysreg dabt",),
        "a task's access traps, and its handler has yet to run; a guest's access "
        "traps to hyp (fp, sve, sme), or leaves the guest (wfx, hvc, sysreg, dabt); `fpe` is an FP "
        "exception that FPCR has enabled",
    ),
    "handle_trap": Verb(_TASK, (), "the handler of its trap runs: do_sve_acc() or do_sme_acc()"),
    "neon_begin": Verb(_TASK, (), "kernel_neon_begin(), in a system call"),
    "neon_end": Verb(_TASK, (), "kernel_neon_end()"),
    "vcpu_load": Verb(_VCPU, (), "is loaded by its thread, which is in a system call"),
    "vcpu_put": Verb(_VCPU, (), "is put"),
    "guest_enter": Verb(_VCPU, (), "is entered"),
    "guest_exit": Verb(_VCPU, ("?irq wfx hvc sysreg dabt",), "leaves the guest for the run loop"),
    "switch": Verb(_CPU, ("task", "task"), "sched_switch, and the next task goes on"),
    "sched_switch": Verb(_CPU, ("task", "task"), "the next task is current, in the kernel"),
    "irq": Verb(_CPU, (), "is interrupted, and goes on"),
    "cpu_pm": Verb(_CPU, (), "idles or suspends, loses power, and is back (CPU_PM enter and exit)"),
    "hotplug": Verb(_CPU, ("off on",), "goes off line, or comes back with its registers reset"),
    "hyp_panic": Verb(
        _CPU, (), "hyp panics; `expect cpu0.panic = v0` is the vcpu that its last words name"
    ),
    "efi": Verb(
        _CPU,
        ("?task irqs_off hardirq",),
        "calls an EFI runtime service: in a system call or the idle task, there with interrupts "
        "off, or in an interrupt, as pstore does at a panic",
    ),
    "softirq": Verb(
        _CPU,
        ("neon", "?now fpsimd_save_and_flush_cpu_state"),
        "is interrupted, and a softirq uses kernel-mode NEON; with a function, when next in it "
        "(`fpsimd_save_and_flush_cpu_state`)",
    ),
    "perf_user_access": Verb(
        _CPU, ("on off",), "is interrupted, and perf opens or closes its counters to EL0"
    ),
    "profile": Verb(
        _CPU,
        ("spe trbe", "on off"),
        "is interrupted, and the host's statistical profiling or trace starts or stops",
    ),
    "smccc": Verb(_CPU, (), "is interrupted, and the kernel calls the firmware (SMCCC v1.3)"),
    "hw_breakpoint": Verb(
        _CPU, ("number",), "is interrupted, and the host sets a breakpoint (DBGBVR0_EL1)"
    ),
}

# What can come before another event, the likelier the earlier.
MOVES: tuple[Event, ...] = (
    ("task", "ret_to_user", ()),
    ("task", "syscall_enter", ()),
    ("task", "ioctl", ("KVM_RUN", "vcpu")),
    ("vcpu", "guest_enter", ()),
    ("vcpu", "guest_exit", ("irq",)),
    ("vcpu", "vcpu_load", ()),
    ("vcpu", "vcpu_put", ()),
    ("cpu", "switch", ("idle", "task")),
    ("cpu", "switch", ("task", "idle")),
    ("cpu", "switch", ("task", "task")),
    ("cpu", "sched_switch", ("idle", "task")),
    ("cpu", "sched_switch", ("task", "idle")),
    ("cpu", "hotplug", ("on",)),
    ("task", "neon_end", ()),
    ("task", "neon_begin", ()),
    ("task", "handle_trap", ()),
    ("task", "trap", ("sve",)),
    ("task", "trap", ("sme",)),
    ("task", "signal", ()),
    ("task", "save", ("vcpu",)),
    ("task", "write", (("fpcr", 0), (0x100,))),
    ("vcpu", "write", (("fpcr", 0), (0x100,))),
    ("task", "ioctl", ("KVM_ARM_VCPU_INIT", "vcpu")),
    ("task", "ioctl", ("KVM_ARM_VCPU_FINALIZE", "vcpu", (KVM_ARM_VCPU_SVE,))),
)
