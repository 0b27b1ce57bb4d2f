"""The events that a search tries on arm64, and what the states are made of that it compares.

One register of each kind, and no event whose effect another has too: all registers of a kind
are handled alike by every kernel there was.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from harness.model.alphabet import EventTable, Reach
from harness.model.arm64.machine import Machine
from harness.model.arm64.stimuli import VERBS
from harness.model.catalogue import Kernel
from harness.model.exploring import Anatomy, Who
from harness.model.world import Event, World

GROUPS: dict[str, str] = {
    "run": "KVM_RUN, guest exits and entries, and what a guest does with its registers",
    "switch": "the scheduler, and tasks that write registers and make system calls",
    "sve": "SVE registers, where the machine has some",
    "sme": "streaming mode, where the machine has SME",
    "za": "ZA, where the machine has SME",
    "trap": "a task's access traps, and the handler runs later",
    "neon": "kernel-mode NEON in a system call",
    "softirq": "kernel-mode NEON in a softirq",
    "vl": "vector lengths, by prctl()",
    "ptrace": "a task that reads and writes another's V and Z registers",
    "vmm": "a VMM that writes a vcpu's V and Z registers (with SME also SVCR, ZA and ZT0), saves "
    "and restores it",
    "onereg": "a VMM that sets every kind of register: to zero, all ones, each limit, one more",
    "efi": "EFI runtime services, and calls of the firmware",
    "signal": "signals and their return",
    "life": "fork, exec and exit",
    "power": "CPU_PM and hotplug",
}
USUAL = ("run", "switch", "sve", "sme", "trap", "neon", "softirq")

# Fields of a captured object that point at somebody.
REFS = {
    "id": "cpu",
    "on_cpu": "cpu",
    "cpu": "cpu",
    "fpsimd_cpu": "cpu",
    "loaded_on": "cpu",
    "kernel_fpsimd_cpu": "cpu",
    "mpidr_el1": "mpidr",
    "vmpidr_el2": "mpidr",
    "host_ctxt_mpidr": "mpidr",
    "addr": "address",
    "st": "address",
    "fpsimd_state": "address or bank",
    "name": "name",
    "current": "name",
    "panic": "name",
    "vcpu": "name",
    "thread": "name",
    "hyp_running_vcpu": "name",
}
# Values that the kernel makes: a tag in the upper half, and for whom in the lower.
_NEON, _EFI = 0x6E656F6E, 0x656669
_MPIDR = 0x80000000


def anatomy(m: Machine) -> Anatomy:
    """What this machine's states are made of."""
    names: dict[str, Who] = {f"idle{cpu.id}": ("cpu", cpu.id) for cpu in m.cpus}
    ordinary = [name for name in m.tasks if name not in names]
    names |= {name: ("task", n) for n, name in enumerate(ordinary)}
    names |= {name: ("vcpu", n) for n, name in enumerate(m.vcpus)}
    cpus = len(m.cpus)

    def address(st: int) -> Who | None:
        # Below 0 it is the kernel_fpsimd_state of the task there.
        name = m.memory[abs(st)] if abs(st) < len(m.memory) else ""
        return names.get(name)

    def target(kind: str, value: Any) -> Who | None:
        if kind == "cpu":
            return ("cpu", value) if 0 <= value < cpus else None
        if kind == "name":
            return names.get(value)
        if kind == "mpidr":
            return ("cpu", value - _MPIDR) if value else None
        return address(value) if isinstance(value, int) and value else None

    def value(bits: int) -> Who | None:
        tag, who = bits >> 32, bits & 0xFFFFFFFF
        if tag == _NEON:
            return ("cpu", who & 0xFF) if who & 0x100 else address(who)
        return ("cpu", who) if tag == _EFI else None

    def rest() -> tuple[Any, tuple[Who, ...]]:
        freed = tuple(names[m.memory[st]] for st in m.freed)
        return bool(m.oops), freed

    return Anatomy(
        parts=tuple(_about(m, names)),
        fields=m.saved.fields,
        refs=REFS,
        names=names,
        everybody=tuple(dict.fromkeys(names.values())),
        target=target,
        value=value,
        rest=rest,
        ground=lambda: m.memory,
    )


def _about(m: Machine, names: dict[str, Who]) -> list[Who | None]:
    """Whom each object of a captured state is about."""
    parts: list[Who | None] = []
    for objects in (m.cpus, m.rqs, m.fpsimd_last_state):
        parts += [("cpu", n) for n in range(len(objects))]
    parts += [names[name] for name in (*m.tasks, *m.vcpus)]
    for data in (m.kvm_host_data, m.kvm_nvhe_host_data):
        parts += [("cpu", n) for n in range(len(data))]
    parts += [names[name] for name in m.hyp_vcpus]
    parts += [None] * len(m.vms)
    parts += [names[name] for name in (*m.task_due, *m.vcpu_due)]
    if m.debug_side:
        parts += [("cpu", n) for n in range(len(m.host_due))]
    return [*parts, None]  # what it has cost


def led_to(m: Machine, cpu: int) -> Iterator[str]:
    """Whom the pointers of a CPU lead to."""
    for st in (
        m.fpsimd_last_state[cpu].st,
        m.kvm_host_data[cpu].fpsimd_state,
        m.kvm_nvhe_host_data[cpu].fpsimd_state,
    ):
        if st:
            yield m.memory[abs(st)]


class Arm64Explorable:
    """What `kvm-replay explore` needs of arm64."""

    groups: ClassVar[dict[str, str]] = GROUPS
    usual: ClassVar[tuple[str, ...]] = USUAL
    wide: ClassVar[dict[str, str]] = {"onereg": "one_reg_set"}
    waste: ClassVar[tuple[str, ...]] = ("reloads", "neon_reloads")

    def alphabet(self, world: World, kernel: Kernel, groups: tuple[str, ...]) -> EventTable:
        return EventTable(world, groups, VERBS)

    def anatomy(self, model: Any) -> Anatomy:
        return anatomy(model)

    def reach(self, model: Any) -> Callable[[Event], int]:
        return Reach(model, VERBS, functools.partial(led_to, model)).of


EXPLORABLE = Arm64Explorable()
