"""Where arm64's values are, and walks on which each of them matters."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable
from functools import partial
from typing import Any

from harness.model import architecture
from harness.model.arm64 import language
from harness.model.arm64.cpu.state import FFR, ZA, ZT0
from harness.model.arm64.host.state import TIF_SME_VL_INHERIT, TIF_SVE_VL_INHERIT
from harness.model.world import World
from tests.model.arm64.walk import CHILDREN, KNOWN, Event, alphabet, fill, switches
from tests.model.losses import (
    BANK,
    NUMBER,
    SCALAR,
    VECTORS,
    Scenario,
    Slot,
    aimed_walk,
    field,
    legal,
    without,
)

ARM64 = architecture("arm64")

_PREDICATES = BANK | {"P zeroed": without(range(FFR)), "FFR zeroed": without([FFR])}
_ZA = BANK | {"ZA zeroed": without([ZA]), "ZT0 zeroed": without([ZT0])}


def _cpus(m: Any) -> Iterable[Any]:
    return list(m.cpus)


def _tasks(m: Any) -> Iterable[Any]:
    return [task for task in m.tasks.values() if not task.name.startswith("idle")]


def _vcpus(m: Any) -> Iterable[Any]:
    return [*m.vcpus.values(), *m.hyp_vcpus.values()]


def _data(m: Any) -> Iterable[Any]:
    return [*m.kvm_host_data, *m.kvm_nvhe_host_data]


def _frame(name: str, ways: dict[str, Any]) -> Slot:
    """A record in a task's newest signal frame."""
    *outer, member = name.split(".")

    def get(task: Any) -> Any:
        if not task.frames:
            return None
        return getattr(functools.reduce(getattr, outer, task.frames[-1]), member, None)

    def put(task: Any, value: Any) -> None:
        frame = task.frames[-1]
        changed = {member: value}
        if outer:
            changed = {outer[0]: getattr(frame, outer[0])._replace(**changed)}
        task.frames = (*task.frames[:-1], frame._replace(**changed))

    return Slot(f"frame.{name}", _tasks, get, put, ways)


def _inherit(name: str, mask: int) -> Slot:
    def put(task: Any, value: Any) -> None:
        task.flags = task.flags & ~mask | value

    return Slot(name, _tasks, lambda task: task.flags & mask, put, NUMBER)


_CONTEXT = (
    ("fpsimd_state", BANK),
    ("sve_state.z", VECTORS),
    ("sve_state.p", _PREDICATES),
    ("sme_state", _ZA),
    ("fpsr", SCALAR),
    ("fpcr", SCALAR),
    ("fpmr", SCALAR),
    ("svcr", NUMBER),
)
_SYS = ("pmuserenr_el0", "pmscr_el1", "pmblimitr_el1", "trfcr_el1", "trblimitr_el1")
SLOTS: tuple[Slot, ...] = (
    field("cpu.z", _cpus, VECTORS),
    field("cpu.p", _cpus, _PREDICATES),
    field("cpu.za", _cpus, _ZA),
    *(field(f"cpu.{name}", _cpus, SCALAR) for name in ("fpsr", "fpcr", "fpmr", "tpidr2_el0")),
    *(field(f"cpu.{name}", _cpus, NUMBER) for name in ("svcr", "cpacr_el1", "zcr_el1")),
    *(field(f"cpu.sys.{name}", _cpus, NUMBER) for name in _SYS),
    *(field(f"cpu.sys.dbgbvr{n}_el1", _cpus, SCALAR) for n in (0, 1)),
    *(field(f"task.{name}", _tasks, ways) for name, ways in _CONTEXT),
    field("task.tpidr2_el0", _tasks, SCALAR),
    field("task.kernel_fpsimd_state", _tasks, BANK),
    *(
        field(f"task.{name}", _tasks, NUMBER)
        for name in ("sve_vl", "sme_vl", "sve_vl_onexec", "sme_vl_onexec")
    ),
    _inherit("TIF_SVE_VL_INHERIT", TIF_SVE_VL_INHERIT),
    _inherit("TIF_SME_VL_INHERIT", TIF_SME_VL_INHERIT),
    _frame("v", BANK),
    _frame("sve.z", VECTORS),
    _frame("sve.p", _PREDICATES),
    _frame("za", _ZA),
    *(_frame(name, SCALAR) for name in ("fpsr", "fpcr", "fpmr", "tpidr2_el0")),
    *(field(f"vcpu.{name}", _vcpus, ways) for name, ways in _CONTEXT),
    *(field(f"vcpu.{name}", _vcpus, NUMBER) for name in ("zcr_el1", "cpacr_el1", "sve_max_vl")),
    *(field(f"vcpu.{name}", _vcpus, NUMBER) for name in ("smcr_el1", "sme_max_vl")),
    *(field(f"vcpu.debug.dbgbvr{n}_el1", _vcpus, SCALAR) for n in (0, 1)),
    field("data.host_ctxt_fp", _data, BANK),
    *(field(f"data.host_ctxt_{name}", _data, SCALAR) for name in ("fpsr", "fpcr", "fpmr")),
    *(field(f"data.host_ctxt_{name}", _data, NUMBER) for name in ("cpacr", "zcr", "pmuserenr")),
    field("data.sve_state.z", _data, VECTORS),
    field("data.sve_state.p", _data, _PREDICATES),
    *(field(f"data.host_debug_state.{name}", _data, SCALAR) for name in ("regs", "regs1")),
    *(
        field(f"data.host_debug_state.{name}", _data, NUMBER)
        for name in ("pmscr_el1", "pmblimitr_el1", "trfcr_el1", "trblimitr_el1")
    ),
)

# A kernel, a mode, and whether the machine has SVE and SME: no more than the kernel has no bugs
# with, or walks would be too short.
Config = tuple[str, str, bool, bool]
CONFIGS: tuple[Config, ...] = (
    ("v7.2+suspend-tpidr2", "vhe", True, True),
    ("v7.2+suspend-tpidr2", "nvhe", True, True),
    ("v7.3+suspend-tpidr2", "protected", True, True),
    ("v7.2+suspend-tpidr2", "nvhe", False, False),
    ("v7.2+suspend-tpidr2+sme-guest", "vhe", True, True),
    ("v6.13", "vhe", False, False),
    ("v6.13", "protected", True, False),
    ("v5.10", "vhe", False, False),
    ("v4.17", "vhe", False, False),
    ("v4.17", "nvhe", False, False),
)
_DEADLY = ("hyp_panic", "exit", "release")

# What walks seldom come to; an event that a machine refuses is left out.
_V, _Z = ("v", 0), ("z", 0)
SCRIPTS: tuple[tuple[Event, ...], ...] = (
    (  # a guest uses FP while the registers are a task's
        ("A", "write", (_V, None)),
        ("A", "write", (("fpsr", 0), None)),
        ("A", "write", (("fpcr", 0), (0x400000,))),
        ("A", "ioctl", ("KVM_RUN", "v0")),
        ("v0", "write", (_V, None)),
        ("v0", "write", (("fpsr", 0), None)),
        ("v0", "guest_exit", ("irq",)),
        ("A", "ret_to_user", ()),
        ("A", "write", (_V, None)),
        ("A", "ioctl", ("KVM_RUN", "v0")),
        ("v0", "write", (("fpcr", 0), (0x800000,))),
        ("v0", "guest_exit", ("irq",)),
        ("A", "ret_to_user", ()),
        ("A", "ioctl", ("KVM_RUN", "v0")),
        ("v0", "read", (_V,)),
        ("v0", "guest_exit", ("irq",)),
        ("A", "ret_to_user", ()),
    ),
    (  # lengths, by fork and exec
        ("A", "prctl", ("PR_SVE_SET_VL", 32, ("PR_SVE_VL_INHERIT",))),
        ("A", "prctl", ("PR_SME_SET_VL", 16, ("PR_SVE_VL_INHERIT",))),
        ("A", "write", (("fpcr", 0), (0x400000,))),
        ("A", "write", (_V, None)),
        ("A", "fork", ("D",)),
        ("cpu0", "switch", ("A", "D")),
        ("D", "ret_to_user", ()),
        ("D", "exec", ()),
        ("D", "exec", ()),
        ("D", "prctl", ("PR_SVE_SET_VL", 16, ("PR_SVE_SET_VL_ONEXEC",))),
        ("D", "prctl", ("PR_SME_SET_VL", 16, ("PR_SVE_SET_VL_ONEXEC",))),
        ("D", "exec", ()),
        ("D", "exec", ()),
    ),
    (  # the first use of SVE, and the handler runs when the registers are another's
        ("A", "write", (_Z, None)),
        ("A", "write", (("p", 0), None)),
        ("A", "write", (("ffr", 0), None)),
        ("cpu0", "switch", ("A", "C")),
        ("cpu0", "switch", ("C", "A")),
        ("A", "syscall_enter", ()),
        ("cpu0", "sched_switch", ("A", "C")),
        ("C", "ret_to_user", ()),
        ("cpu0", "sched_switch", ("C", "A")),
        ("A", "ret_to_user", ()),
        ("A", "trap", ("sve",)),
        ("cpu0", "sched_switch", ("A", "C")),
        ("C", "ret_to_user", ()),
        ("C", "write", (_V, None)),
        ("cpu0", "sched_switch", ("C", "A")),
        ("A", "handle_trap", ()),
        ("A", "ret_to_user", ()),
    ),
    (  # a tracer changes lengths and modes
        ("A", "smstart", ("both",)),
        ("A", "write", (_Z, None)),
        ("A", "write", (("za", 0), None)),
        ("A", "write", (("zt0", 0), None)),
        ("cpu0", "switch", ("A", "C")),
        ("C", "ptrace_setregset", ("A", "NT_ARM_ZA", ((("vl", 0), (16,)),))),
        ("cpu0", "switch", ("C", "A")),
        ("A", "smstart", ("both",)),
        ("A", "write", (("za", 0), None)),
        ("cpu0", "switch", ("A", "C")),
        ("C", "ptrace_setregset", ("A", "NT_ARM_SSVE", ((("vl", 0), (32,)), (_Z, None)))),
        ("cpu0", "switch", ("C", "A")),
        ("cpu0", "switch", ("A", "C")),
        ("C", "ptrace_setregset", ("A", "NT_ARM_SVE", ((("vl", 0), (32,)), (_Z, None)))),
        ("C", "ptrace_setregset", ("A", "NT_PRFPREG", ((("v", 1), None),))),
        ("cpu0", "switch", ("C", "A")),
        ("A", "write", (_Z, None)),
        ("A", "write", (("p", 0), None)),
        ("cpu0", "switch", ("A", "C")),
        ("C", "ptrace_setregset", ("A", "NT_ARM_SVE", ((("vl", 0), (16,)),))),
        ("cpu0", "switch", ("C", "A")),
        ("A", "smstop", ("both",)),
        ("A", "write", (_Z, None)),
        ("A", "write", (("p", 0), None)),
        ("cpu0", "switch", ("A", "C")),
        ("C", "ptrace_setregset", ("A", "NT_ARM_ZA", ((("vl", 0), (16,)), (("za", 0), None)))),
        ("cpu0", "switch", ("C", "A")),
    ),
    (  # a frame is written and read back, in and out of streaming mode
        ("A", "smstart", ("both",)),
        ("A", "write", (_Z, None)),
        ("A", "write", (("p", 0), None)),
        ("A", "write", (("za", 0), None)),
        ("A", "write", (("zt0", 0), None)),
        ("A", "write", (("tpidr2_el0", 0), None)),
        ("A", "write", (("fpmr", 0), None)),
        ("A", "signal", ()),
        ("A", "write", (_Z, None)),
        ("A", "write", (("p", 0), None)),
        ("A", "sigreturn", ("whole",)),
        ("A", "smstop", ("both",)),
        ("A", "write", (_Z, None)),
        ("A", "write", (("ffr", 0), None)),
        ("A", "write", (("fpcr", 0), (0x400000,))),
        ("A", "signal", ()),
        ("A", "write", (("fpcr", 0), (0,))),
        ("A", "sigreturn", ("whole",)),
        ("A", "signal", ()),
        ("A", "write", (_V, None)),
        ("A", "sigreturn", ("fpsimd",)),
    ),
    (  # a guest with SVE and FPMR, whose registers go to memory and back
        ("B", "write", (("fpmr", 0), None)),
        ("B", "ioctl", ("KVM_RUN", "v1")),
        ("v1", "write", (_Z, None)),
        ("v1", "write", (("p", 0), None)),
        ("v1", "write", (("ffr", 0), None)),
        ("v1", "write", (("fpmr", 0), None)),
        ("v1", "write", (("fpcr", 0), (0x400000,))),
        ("v1", "write", (("zcr_el1", 0), (1,))),
        ("v1", "write", (("dbgbvr0_el1", 0), None)),
        ("v1", "guest_exit", ("irq",)),
        ("B", "ret_to_user", ()),
        ("B", "save", ("v1",)),
        ("B", "restore", ("v1", "v1")),
        ("B", "ioctl", ("KVM_RUN", "v1")),
        ("v1", "read", (_Z,)),
        ("v1", "guest_exit", ("irq",)),
        ("B", "ret_to_user", ()),
        ("B", "ioctl", ("KVM_ARM_VCPU_INIT", "v1")),
        ("B", "save", ("v1",)),
    ),
)
SME_SCRIPTS: tuple[tuple[Event, ...], ...] = (
    (  # a vcpu with the longest vectors that the host has
        ("B", "ioctl", ("KVM_ARM_VCPU_INIT", "v2")),
        ("B", "ioctl", ("KVM_ARM_VCPU_FINALIZE", "v2", (4,))),
        ("B", "one_reg_set", ("v2", ("svcr", 0), (3,))),
        ("B", "one_reg_set", ("v2", _Z, None)),
        ("B", "save", ("v2",)),
    ),
    (  # a vcpu with SVE and SME, which only its VMM writes
        ("B", "ioctl", ("KVM_ARM_VCPU_INIT", "v2")),
        ("B", "one_reg_set", ("v2", ("sme_vls", 0), (1,))),
        ("B", "ioctl", ("KVM_ARM_VCPU_FINALIZE", "v2", (4,))),
        ("B", "one_reg_set", ("v2", _Z, None)),
        ("B", "one_reg_set", ("v2", ("p", 0), None)),
        ("B", "one_reg_set", ("v2", ("ffr", 0), None)),
        ("B", "one_reg_set", ("v2", ("fpmr", 0), None)),
        ("B", "one_reg_set", ("v2", ("svcr", 0), (3,))),
        ("B", "save", ("v2",)),
        ("B", "one_reg_set", ("v2", _Z, None)),
        ("B", "one_reg_set", ("v2", ("p", 0), None)),
        ("B", "one_reg_set", ("v2", ("za", 0), None)),
        ("B", "one_reg_set", ("v2", ("zt0", 0), None)),
        ("B", "one_reg_set", ("v2", ("smcr_el1", 0), (1,))),
        ("B", "one_reg_set", ("v2", ("svcr", 0), (1,))),
        ("B", "one_reg_set", ("v2", ("svcr", 0), (3,))),
        ("B", "save", ("v2",)),
        ("B", "one_reg_set", ("v2", ("za", 0), None)),
        ("B", "one_reg_set", ("v2", _Z, None)),
        ("B", "ioctl", ("KVM_ARM_VCPU_INIT", "v2")),
        ("B", "save", ("v2",)),
        ("B", "one_reg_set", ("v2", ("svcr", 0), (3,))),
        ("B", "save", ("v2",)),
    ),
)

# What no invariant can see, and why it is right that none does.
UNSEEN: dict[str, str] = {
    "cpu_down .*": "the hardware's loss of power, not a kernel's step",
    "cpu_suspend cpu.(z|p|za|fp.r|zcr_el1) .*": "the hardware's loss of power",
    "efi_call_virt cpu.z .*": "what the firmware does to V is its own",
    "fpsimd_flush_cpu_state cpu.* .*": "the registers are nobody's from here on",
    "fpsimd_save_and_flush_cpu_state cpu.z .*": "a softirq, when they are nobody's",
    "kvm_arch_vcpu_put_fp cpu.z .*": "likewise",
    "context_switch cpu.z .*": "likewise",
    "setup_rt_frame frame.sve.z low zeroed": "the FPSIMD record counts for the low quadwords",
    "task_fpsimd_load cpu.cpacr_el1 .*": "fpsimd_bind_task_to_cpu() sets it again",
    "cpu_up cpu.cpacr_el1 .*": "likewise, before any task is at EL0",
    "task_smstop_sm task.svcr .*": "setup_return() clears it again, a fork() has cleared it before",
    ".* task.sme_state (kept|one kept)": "storage of ZA that is off: SMSTART zeroes the registers",
    "fpsimd_sve_sync cpu.(p|zcr_el1) .*": "KVM_RUN is a system call, which has let go of P and Z",
    "kvm_hyp_save_fpsimd_host data.(sve_state.p|host_ctxt_zcr) .*": "likewise",
    "(.*kernel_state|kernel_neon.*|do_softirq) cpu.z high zeroed": "kernel-mode NEON has V alone",
}


def _world(kernel: str, sve: bool, sme: bool) -> World:
    debug = ("pmu", "brps", "spe", "trbe", "fgt") if kernel != "v4.17" else ()
    settings: dict[str, tuple[int, int]] = {"cpus": (2, 2)} | dict.fromkeys(debug, (1, 1))
    features: tuple[str, ...] = ()
    if sve:
        settings |= {"sve": (16, 64), "fpmr": (1, 1)}
        features = ("sve", "fpmr")
    if sme:
        settings |= {"sme": (16, 32), "sme2": (1, 1)}
    tasks = (("A", 0), ("B", 1), ("C", -1))
    vcpus: tuple[tuple[str, str, tuple[str, ...]], ...] = (("v0", "A", ()), ("v1", "B", features))
    if kernel.endswith("+sme-guest"):
        vcpus += (("v2", "B", (*features, "sme", "created")),)
    return World(settings, tasks, CHILDREN, vcpus, vms=tuple(range(len(vcpus))))


def scenarios(config: Config, length: int) -> list[Scenario]:
    """The scripts, as far as this machine takes them, and a walk."""
    spec, mode, sve, sme = config
    kernel, world = ARM64.catalogue.kernel(spec), _world(spec, sve, sme)
    calm = [e for e in alphabet(world) if e[1] not in _DEADLY and e not in KNOWN]
    cls = language.MACHINES[mode]

    def fresh(cls: type[Any]) -> Any:
        return language.ARM64.fresh(kernel, mode, world, record=False, cls=cls)

    def made(name: str, events: list[Event]) -> Scenario:
        return Scenario(f"{spec} {mode} {name}", cls, fresh, events, walk)

    @functools.cache
    def walk(seed: int) -> Scenario:
        machine = fresh(cls)
        rng, choices = random.Random(seed), partial(switches, machine)
        return made(f"walk{seed}", aimed_walk(machine, calm, choices, fill, rng, length))

    guests = spec.endswith("+sme-guest")
    scripts = [
        legal(fresh(cls), [fill(event, n) for n, event in enumerate(script, 1)])
        for script in (SME_SCRIPTS if guests else SCRIPTS)
    ]
    return [*(made(f"script{n}", events) for n, events in enumerate(scripts)), walk(-1)]
