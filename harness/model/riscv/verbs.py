"""The events of RISC-V in the trace language: who can do what, with which operands."""

from __future__ import annotations

from harness.model.base import Verb
from harness.model.riscv.cpu.access import CBOS
from harness.model.riscv.guest import FAULTS, INSTRUCTIONS
from harness.model.riscv.kvm.sbi import EXTENSIONS
from harness.model.riscv.kvm.uapi import SIZES
from harness.model.riscv.stimuli import MEANWHILE, PR_FLAGS, PRCTLS
from harness.model.world import Event

_BOTH = ("task", "vcpu")
_TASK, _VCPU, _CPU = ("task",), ("vcpu",), ("cpu",)
_FUNCTIONS = " ".join(dict.fromkeys(f for e in EXTENSIONS.values() for f in e.functions))
IOCTLS = (
    *("KVM_RUN", "KVM_CREATE_VCPU", "KVM_GET_REG_LIST", "KVM_INTERRUPT"),
    *("KVM_SET_MP_STATE", "KVM_SET_GUEST_DEBUG", "KVM_ENABLE_CAP"),
)

VERBS: dict[str, Verb] = {
    "read": Verb(_BOTH, ("register",), "reads a register or a CSR", reads=True),
    "write": Verb(_BOTH, ("register", "value"), "writes one"),
    "load": Verb(
        _BOTH,
        ("number",),
        "loads from an address that is mapped where the mask leaves it canonical",
    ),
    "fetch": Verb(_VCPU, ("number",), "fetches an instruction from an address"),
    "hlv": Verb(_VCPU, ("number",), "is loaded, and KVM reads its memory by HLV"),
    "hlvx": Verb(_VCPU, ("number",), "is loaded, and KVM reads an instruction of it by HLVX"),
    "page": Verb(
        _VCPU,
        ("pbmt ad invalid",),
        "loads by a PTE with PBMT bits, by one whose A or D bit is clear, or by one that is not "
        "valid",
    ),
    "vsetvli": Verb(
        _BOTH, ("number",), "sets vtype, and vl to as many elements as a register group has"
    ),
    "vl1r": Verb(_TASK, ("number",), "loads v0 whole, by VL1R, from where this x register points"),
    "insn": Verb(_VCPU, (" ".join(INSTRUCTIONS),), "executes an instruction"),
    "cbo": Verb(_VCPU, (" ".join(CBOS),), "does a cache-block operation"),
    "priv": Verb(_VCPU, ("s u",), "goes on in VS-mode, or in VU-mode"),
    "fault": Verb(_VCPU, (" ".join(FAULTS),), "raises an exception"),
    "sbi": Verb(
        _VCPU,
        ("#" + " ".join(EXTENSIONS), "#" + _FUNCTIONS, "argument"),
        "calls its firmware, by names or numbers, with a0 and on after the function",
    ),
    "syscall": Verb(_TASK, (), "makes a system call that does nothing, and returns"),
    "syscall_enter": Verb(_TASK, (), "makes a system call, and is in the kernel"),
    "ret_to_user": Verb(_TASK, (), "leaves the kernel, whatever is left to do there"),
    "uaccess": Verb(_TASK, ("number",), "makes a system call with a pointer, tagged or not"),
    "futex": Verb(
        _TASK,
        ("number",),
        "calls FUTEX_WAKE_OP, which changes the word at a pointer, tagged or not",
    ),
    "ioctl": Verb(
        _TASK,
        (" ".join(IOCTLS), "vcpu", "argument"),
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
        "restores it into another: ISA extensions, SBI extensions, then the rest as listed; "
        "one register can go before all",
        view="one_reg",
    ),
    "prctl": Verb(
        _TASK,
        (
            " ".join(PRCTLS),
            "number",
            "*" + " ".join(PR_FLAGS),
        ),
        "asks for a PMLEN, or says or asks whether its vectors are on (2) or off (1)",
    ),
    "signal": Verb(_TASK, (), "gets a signal: its frame is written, the handler runs next"),
    "sigreturn": Verb(_TASK, (), "returns from the handler"),
    "fork": Verb(_TASK, ("child",), "makes a child, which waits for a CPU"),
    "clone": Verb(_TASK, ("child",), "makes a thread that shares its memory, and waits for a CPU"),
    "exec": Verb(_TASK, (), "starts a new program"),
    "exit": Verb(_TASK, (), "dies; the CPU idles"),
    "kernel_vector_begin": Verb(_TASK, (), "in a system call, the kernel begins to use vectors"),
    "kernel_vector_end": Verb(_TASK, (), "and ends"),
    "vcpu_load": Verb(_VCPU, (), "is loaded by its thread, which is in a system call"),
    "vcpu_put": Verb(_VCPU, (), "is put"),
    "guest_enter": Verb(_VCPU, (), "is entered"),
    "guest_exit": Verb(
        _VCPU,
        ("?irq " + " ".join(MEANWHILE),),
        "leaves the guest for the run loop, while another CPU raises or lowers its software "
        "interrupt",
    ),
    "pmu_overflow": Verb(_VCPU, (), "a counter of its overflows, wherever it is"),
    "hrtimer_expired": Verb(_VCPU, (), "the timer expires that it has without Sstc"),
    "switch": Verb(_CPU, ("task", "task"), "sched_switch, and the next task goes on"),
    "sched_switch": Verb(_CPU, ("task", "task"), "the next task is current, in the kernel"),
    "irq": Verb(_CPU, (), "is interrupted, and goes on"),
    "softirq": Verb(_CPU, ("vector",), "is interrupted, and a softirq uses vectors"),
    "cpu_pm": Verb(_CPU, (), "sleeps, loses power, and is back"),
    "hotplug": Verb(_CPU, ("off on",), "goes off line, or comes back with its registers reset"),
}

# What can come before another event, the likelier the earlier.
MOVES: tuple[Event, ...] = (
    *(("vcpu", "sbi", ("hsm", "hart_start", (hart,))) for hart in range(4)),
    *(("vcpu", "sbi", ("ipi", "send_ipi", (1 << hart, 0))) for hart in range(4)),
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
    ("task", "kernel_vector_end", ()),
    ("task", "kernel_vector_begin", ()),
    ("task", "signal", ()),
    ("task", "save", ("vcpu",)),
    ("task", "ioctl", ("KVM_CREATE_VCPU", "vcpu")),
    ("vcpu", "priv", ("s",)),
    ("vcpu", "sbi", ("time", "set_timer", (0,))),
    ("task", "ioctl", ("KVM_SET_MP_STATE", "vcpu", (0,))),
)
