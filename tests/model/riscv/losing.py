"""Where RISC-V's values are, and walks on which each of them matters."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from harness.model.riscv import language
from harness.model.riscv.cpu.csr import ENVCFG_PMM, SR_FS, SR_VS
from harness.model.riscv.cpu.state import FCSR, V_CSRS, VsCsrs
from harness.model.riscv.due import INTERRUPTS
from harness.model.riscv.kvm.vcpu_sbi_fwft import MIS_DELEG
from harness.model.riscv.machine import Machine
from harness.model.world import World
from tests.model.losses import (
    BANK,
    NUMBER,
    SCALAR,
    Scenario,
    Slot,
    aimed_walk,
    field,
    kept,
    legal,
    without,
)
from tests.model.riscv.known import known
from tests.model.riscv.walk import ALL, RISCV, Event, alphabet, fill, register, switches, world

_F = BANK | {"F zeroed": without(range(32)), "fcsr zeroed": without([FCSR])}
_V = BANK | {"V zeroed": without(range(32)), "CSRs zeroed": without(V_CSRS.values())}


def _harts(m: Any) -> Iterable[Any]:
    return list(m.harts)


def _tasks(m: Any) -> Iterable[Any]:
    return [task for task in m.tasks.values() if not task.name.startswith("idle")]


def _vcpus(m: Any) -> Iterable[Any]:
    return list(m.vcpus.values())


def _bits(name: str, objects: Any, mask: int) -> Slot:
    """Some bits of a number: `kind.attribute bits`, or a path."""
    path = name.partition(" ")[0]
    whole = field(path, objects, NUMBER)

    def put(each: Any, value: int) -> None:
        whole.put(each, whole.get(each) & ~mask | value)

    return Slot(name, objects, lambda each: whole.get(each) & mask, put, NUMBER)


def _frame(name: str, ways: dict[str, Any]) -> Slot:
    """A record in a task's newest signal frame."""

    def get(task: Any) -> Any:
        return getattr(task.frames[-1], name) if task.frames else None

    def put(task: Any, value: Any) -> None:
        task.frames = (*task.frames[:-1], task.frames[-1]._replace(**{name: value}))

    return Slot(f"frame.{name}", _tasks, get, put, ways)


def _siselect(vcpu: Any) -> int:
    found: int = vcpu.aia[0]
    return found


def _put_siselect(vcpu: Any, value: int) -> None:
    vcpu.aia = (value, *vcpu.aia[1:])


_HYPERVISOR = ("henvcfg", "hedeleg", "hideleg", "hstateen0")
_CSRS = tuple(name for name in VsCsrs._fields if name != "hvip")
SLOTS: tuple[Slot, ...] = (
    field("hart.f", _harts, _F),
    field("hart.v", _harts, _V),
    field("hart.senvcfg", _harts, SCALAR),
    *(field(f"hart.vs.{name}", _harts, NUMBER) for name in VsCsrs._fields),
    field("hart.vstimecmp", _harts, NUMBER),
    _bits("hart.henvcfg PMM", _harts, ENVCFG_PMM),
    _bits("hart.hedeleg misaligned", _harts, MIS_DELEG),
    *(field(f"hart.{name}", _harts, NUMBER) for name in _HYPERVISOR),
    *(field(f"vcpu.cfg.{name}", _vcpus, NUMBER) for name in _HYPERVISOR),
    field("task.fstate", _tasks, _F),
    field("task.vstate", _tasks, _V),
    field("task.kernel_vstate", _tasks, BANK),
    field("task.envcfg", _tasks, NUMBER),
    field("task.vstate_ctrl", _tasks, NUMBER),
    _bits("task.status FS", _tasks, SR_FS),
    _bits("task.status VS", _tasks, SR_VS),
    _frame("f", _F),
    _frame("v", _V),
    field("vcpu.fp", _vcpus, _F),
    field("vcpu.vector", _vcpus, _V),
    field("vcpu.host_fp", _vcpus, _F),
    field("vcpu.host_vector", _vcpus, _V),
    field("vcpu.host_senvcfg", _vcpus, SCALAR),
    field("vcpu.senvcfg", _vcpus, SCALAR),
    *(field(f"vcpu.csr.{name}", _vcpus, NUMBER) for name in _CSRS),
    field("vcpu.scounteren", _vcpus, NUMBER),
    Slot("vcpu.siselect", _vcpus, _siselect, _put_siselect, NUMBER),
    field("vcpu.x", _vcpus, BANK),
    *(field(f"vcpu.{name}", _vcpus, {"kept": kept}) for name in ("next_cycles", "next_set")),
    field("vcpu.fwft", _vcpus, {"kept": kept}),
    *(field(f"vcpu.{name}", _vcpus, NUMBER) for name in ("shmem", "time_delta", "sepc")),
    _bits("vcpu.irqs_pending", _vcpus, INTERRUPTS),
    field("vcpu.sstateen0", _vcpus, SCALAR),
    field("vcpu.host_sstateen0", _vcpus, SCALAR),
    field("hart.sstateen0", _harts, SCALAR),
    *(field(f"vcpu.{name}", _vcpus, NUMBER) for name in ("mvendorid", "marchid", "mimpid")),
    _bits("vcpu.cfg.henvcfg PMM", _vcpus, ENVCFG_PMM),
    _bits("vcpu.cfg.hedeleg misaligned", _vcpus, MIS_DELEG),
    field("vcpu.isa", _vcpus, {"kept": kept}),
    field("vcpu.ext_status", _vcpus, {"kept": kept}),
    _bits("vcpu.sstatus FS", _vcpus, SR_FS),
    _bits("vcpu.sstatus VS", _vcpus, SR_VS),
)

# A kernel, and the extensions of its machine: no more than walks on it go wrong with at once.
Config = tuple[str, tuple[str, ...]]
CONFIGS: tuple[Config, ...] = (
    ("v7.2", ALL),
    ("v7.2", ("f", "d", "v", "ssnpm", "smstateen", "zicboz")),
    ("v7.0", ("f", "d", "ssnpm", "zicboz", "sstc")),
    ("v6.12", ("f", "d", "zicboz")),
    ("v6.1", ("f", "d")),
    ("v7.2", ("f", "zicbom")),
)
_DEADLY = ("exit",)
_F0, _V0 = ("f", 0), ("v", 0)


def _sets(name: str, value: int | None, w: World) -> Event:
    bits = None if value is None else (value,)
    return "A", "one_reg_set", ("p0", register(name, w), bits)


def scripts(w: World) -> tuple[tuple[Event, ...], ...]:
    """What walks seldom come to; an event that a machine refuses is left out."""
    run, leave = ("A", "ioctl", ("KVM_RUN", "p0")), ("p0", "guest_exit", ("irq",))
    back: tuple[Event, ...] = (leave, ("A", "ret_to_user", ()))
    guest: tuple[Event, ...] = (
        ("p0", "write", (("sstatus", 0), (0x2200,))),
        ("p0", "write", (_F0, None)),
        ("p0", "write", (("fcsr", 0), (5,))),
        ("p0", "write", (_V0, None)),
        ("p0", "vsetvli", (0,)),
        ("p0", "write", (("vcsr", 0), (3,))),
        *(
            ("p0", "write", ((csr, 0), None))
            for csr in ("stvec", "sscratch", "sepc", "scause", "stval", "stimecmp", "siselect")
        ),
        ("p0", "write", (("sie", 0), (0x222,))),
        ("p0", "write", (("satp", 0), (8 << 60,))),
        ("p0", "write", (("senvcfg", 0), (0x80,))),
        ("p0", "write", (("scounteren", 0), (2,))),
        ("p0", "write", (("x", 10), None)),
        ("p0", "sbi", ("fwft", "set", (5, 7, 0))),
        ("p0", "sbi", ("fwft", "set", (0, 1, 0))),
        ("p0", "sbi", ("fwft", "get", (5,))),
        ("p0", "sbi", ("sta", "steal_time_set_shmem", (0x80002000, 0, 0))),
        ("p0", "sbi", ("time", "set_timer", (77,))),
        ("p0", "sbi", ("ipi", "send_ipi", (1, 0))),
        ("p0", "write", (("sstateen0", 0), (1,))),
    )
    vmm: tuple[Event, ...] = tuple(
        _sets(name, value, w)
        for name, value in (
            *(("csr.stvec", 0x2000), ("csr.sscratch", 3), ("csr.sepc", 0x4000), ("csr.scause", 5)),
            *(("csr.stval", 7), ("csr.sie", 0x222), ("csr.satp", 8 << 60), ("csr.senvcfg", 0x80)),
            *(("csr.scounteren", 1), ("csr.sstatus", 0x2200), ("aia.siselect", 0x40)),
            *(("core.x10", 9), ("core.pc", 0x8000), ("timer.compare", 99), ("timer.time", 4)),
            *(("fp_d.f1", None), ("fp_f.f3", 17), ("fp_d.fcsr", 5), ("vector.v1", None)),
            *(("vector.vcsr", 3), ("fwft.pointer_masking.value", 7)),
            *(("fwft.misaligned_deleg.value", 1), ("sta.shmem_lo", 0x80001000)),
            *(("config.mvendorid", 3), ("config.marchid", 4), ("config.mimpid", 5)),
            *(("isa_ext.zbb", 0), ("isa_ext.zicboz", 0), ("sbi_ext.dbcn", 1)),
        )
    )
    task: tuple[Event, ...] = (
        ("A", "write", (_F0, None)),
        ("A", "write", (("fcsr", 0), (5,))),
        ("A", "write", (_V0, None)),
        ("A", "vsetvli", (0,)),
        ("A", "prctl", ("PR_SET_TAGGED_ADDR_CTRL", 7, ("PR_TAGGED_ADDR_ENABLE",))),
        ("A", "prctl", ("PR_RISCV_V_SET_CONTROL", 22)),
        ("A", "write", (_V0, None)),
    )
    switch: tuple[Event, ...] = (
        ("cpu0", "switch", ("A", "C")),
        ("C", "write", (_F0, None)),
        ("C", "write", (_V0, None)),
        ("cpu0", "switch", ("C", "A")),
    )
    cap = ("A", "ioctl", ("KVM_ENABLE_CAP", "p0", (240,)))
    debug, no_debug = (("A", "ioctl", ("KVM_SET_GUEST_DEBUG", "p0", (n,))) for n in (1, 0))
    stop = ("p0", "fault", ("breakpoint",))
    return (
        (debug, run, stop, *back, no_debug, run, stop, *back),
        (*task, run, *guest, *back, run, ("p0", "read", (_F0,)), *back),
        (*vmm, run, ("p0", "write", (("sstatus", 0), (0x2200,))), *back, run, *back),
        (*vmm, *switch, run, *guest, *back, *switch, run, *back),
        (*vmm, ("A", "ioctl", ("KVM_INTERRUPT", "p0", (0xFFFFFFFF,))), run, *guest, *back,
         ("B", "ioctl", ("KVM_RUN", "p1")), ("p1", "sbi", ("ipi", "send_ipi", (1, 0))),
         ("A", "ioctl", ("KVM_INTERRUPT", "p0", (0xFFFFFFFE,))), run, *back),
        (*task, *switch, ("cpu0", "cpu_pm", ()), ("A", "syscall", ()), *switch),
        (*task, ("A", "signal", ()), ("A", "write", (_F0, None)), ("A", "write", (_V0, None)),
         ("A", "write", (("fcsr", 0), (2,))), *switch, ("A", "sigreturn", ()), *switch),
        (*task, ("A", "fork", ("D",)), ("cpu0", "switch", ("A", "D")), ("D", "write", (_V0, None)),
         ("D", "exec", ()), ("D", "write", (_F0, None)), ("D", "write", (_V0, None))),
        (*vmm, run, *guest, *back, cap, ("A", "ioctl", ("KVM_SET_MP_STATE", "p0", (2,))), run,
         ("p0", "write", (("sstatus", 0), (0x2200,))), ("p0", "read", (_F0,)), *back),
        (run, *guest, *back, ("A", "save", ("p0",)), ("A", "restore", ("p0", "p0")), run, *back),
        (*task, ("A", "syscall_enter", ()), ("A", "kernel_vector_begin", ()),
         ("cpu0", "sched_switch", ("A", "C")), ("C", "ret_to_user", ()),
         ("C", "write", (_V0, None)), ("cpu0", "sched_switch", ("C", "A")),
         ("A", "kernel_vector_end", ()), ("A", "ret_to_user", ())),
    )  # fmt: skip


# What no invariant can see, and why it is right that none does.
UNSEEN: dict[str, str] = {
    "(riscv_v_)?(f|v)state_(set_)?(save|restore) task.status (FS|VS) kept": "Dirty costs a save",
    "kvm_riscv_vcpu_guest_(fp|vector)_(save|restore) vcpu.sstatus (FS|VS) kept": "likewise",
    "arch_dup_task_struct task.status VS .*": "copy_thread() turns the child's vectors off",
    "arch_dup_task_struct task.status FS kept": "the child's FS was Initial, which does not trap",
    "flush_thread task.status FS kept": "start_thread() sets it to Initial",
    "kvm_riscv_vcpu_sync_interrupts vcpu.csr.vsie .*": "kvm_arch_vcpu_put() reads it again",
    "kvm_riscv_vcpu_timer_save hart.vstimecmp .*": "kvm_riscv_vcpu_timer_restore() sets it",
    "kvm_arch_vcpu_load hart.vs.hvip .*": "kvm_riscv_update_hvip() writes it before each entry",
    "kvm_riscv_vcpu_record_steal_time vcpu.shmem .*": "there is no memory: it records nothing",
}


def scenarios(config: Config, length: int) -> list[Scenario]:
    """The scripts, as far as this machine takes them, and a walk."""
    spec, isa = config
    kernel, w = RISCV.catalogue.kernel(spec), world(isa)
    calm = [e for e in alphabet(w) if e[1] not in _DEADLY]

    def fresh(cls: type[Any]) -> Any:
        return language.RISCV.fresh(kernel, w, record=False, cls=cls)

    def made(name: str, events: list[Event]) -> Scenario:
        return Scenario(f"{spec} {len(isa)} {name}", Machine, fresh, events, walk)

    @functools.cache
    def walk(seed: int) -> Scenario:
        machine = fresh(Machine)
        rng, choices = random.Random(seed), partial(switches, machine)
        skip: Callable[[Event], str] = partial(known, machine)
        events = aimed_walk(machine, calm, choices, fill, rng, length, skip)
        return made(f"walk{seed}", events)

    ready = [
        legal(fresh(Machine), [fill(event, n) for n, event in enumerate(script, 1)])
        for script in scripts(w)
    ]
    return [*(made(f"script{n}", events) for n, events in enumerate(ready)), walk(-1)]
