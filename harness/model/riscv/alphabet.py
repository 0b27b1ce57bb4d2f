"""The events that a search tries on RISC-V, and what the states are made of that it compares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from harness.model.alphabet import EventTable, Reach
from harness.model.catalogue import Kernel
from harness.model.exploring import Anatomy, Who
from harness.model.riscv.machine import Machine
from harness.model.riscv.stimuli import VERBS
from harness.model.world import Event, World

GROUPS: dict[str, str] = {
    "run": "KVM_RUN, guest exits and entries",
    "switch": "the scheduler, and tasks that make system calls",
    "fp": "FP registers, where the machine has some",
    "vector": "vector registers, where the machine has some",
    "csr": "CSRs of a guest that the host has too: senvcfg, sstateen0",
    "kernel": "vectors in the kernel, in a system call",
    "softirq": "vectors in the kernel, in a softirq",
    "vmm": "a VMM that switches a vcpu's extensions off before it runs",
    "onereg": "a VMM that sets every kind of register: to zero, all ones, each limit, one more",
    "migrate": "a VMM that saves and restores a vcpu",
    "signal": "signals and their return",
    "life": "fork, exec and exit",
    "power": "CPU_PM and hotplug",
}
USUAL = ("run", "switch", "fp", "vector", "csr", "kernel", "softirq", "signal", "power")

# Fields of a captured object that point at somebody. A task's mm bears a task's name.
REFS = {
    "id": "cpu",
    "on_cpu": "cpu",
    "cpu": "cpu",
    "last_exit_cpu": "cpu",
    "name": "name",
    "mm": "name",
    "vcpu": "name",
    "thread": "name",
    "current": "name",
    "kvm_former_vcpu": "name",
}


def anatomy(m: Machine) -> Anatomy:
    """What this machine's states are made of."""
    names: dict[str, Who] = {f"idle{hart.id}": ("cpu", hart.id) for hart in m.harts}
    ordinary = [name for name in m.tasks if name not in names]
    names |= {name: ("task", n) for n, name in enumerate(ordinary)}
    names |= {name: ("vcpu", n) for n, name in enumerate(m.vcpus)}
    cpus = len(m.harts)

    def target(kind: str, value: Any) -> Who | None:
        if kind == "cpu":
            return ("cpu", value) if 0 <= value < cpus else None
        return names.get(value)

    def rest() -> tuple[Any, tuple[Who, ...]]:
        """The mms that are not as at first, and whose they are."""
        some = sorted((tuple(mm), name) for name, mm in m.mms.items() if any(mm))
        return (bool(m.oops), tuple(mm for mm, _ in some)), tuple(names[name] for _, name in some)

    parts: list[Who | None] = [("cpu", n) for _ in (m.harts, m.rqs) for n in range(cpus)]
    parts += [names[name] for name in (*m.tasks, *m.vcpus, *m.task_due, *m.vcpu_due)]
    return Anatomy(
        parts=(*parts, None),  # what it has cost
        fields=m.saved.fields,
        refs=REFS,
        names=names,
        everybody=tuple(dict.fromkeys(names.values())),
        target=target,
        value=lambda bits: None,
        rest=rest,
        ground=lambda: None,
    )


class RiscvExplorable:
    """What `kvm-replay explore` needs of RISC-V."""

    groups: ClassVar[dict[str, str]] = GROUPS
    usual: ClassVar[tuple[str, ...]] = USUAL
    wide: ClassVar[dict[str, str]] = {"onereg": "one_reg_set"}
    waste: ClassVar[tuple[str, ...]] = ()  # a switch always loads

    def alphabet(self, world: World, kernel: Kernel, groups: tuple[str, ...]) -> EventTable:
        return EventTable(world, groups, VERBS)

    def anatomy(self, model: Any) -> Anatomy:
        return anatomy(model)

    def reach(self, model: Any) -> Callable[[Event], int]:
        return Reach(model, VERBS, lambda cpu: ()).of


EXPLORABLE = RiscvExplorable()
