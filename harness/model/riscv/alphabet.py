"""The events that a search tries on RISC-V."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from harness.model.alphabet import EventTable, Reach
from harness.model.anatomy import Anatomy
from harness.model.catalogue import Kernel
from harness.model.riscv.anatomy import RiscvAnatomy
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


class RiscvExplorable:
    """What `kvm-replay explore` needs of RISC-V."""

    groups: ClassVar[dict[str, str]] = GROUPS
    usual: ClassVar[tuple[str, ...]] = USUAL
    wide: ClassVar[dict[str, str]] = {"onereg": "one_reg_set"}
    waste: ClassVar[tuple[str, ...]] = ()  # a switch always loads

    def alphabet(self, world: World, kernel: Kernel, groups: tuple[str, ...]) -> EventTable:
        return EventTable(world, groups, VERBS)

    def anatomy(self, model: Any) -> Anatomy:
        return RiscvAnatomy(model)

    def reach(self, model: Any) -> Callable[[Event], int]:
        return Reach(model, VERBS, lambda cpu: ()).of


EXPLORABLE = RiscvExplorable()
