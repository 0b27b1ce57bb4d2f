"""The events that a search tries on arm64.

One register of each kind, and no event whose effect another has too: all registers of a kind
are handled alike by every kernel there was.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from harness.model.alphabet import EventTable, Reach
from harness.model.anatomy import Anatomy
from harness.model.arm64.anatomy import Arm64Anatomy
from harness.model.arm64.machine import Machine
from harness.model.arm64.stimuli import VERBS
from harness.model.catalogue import Kernel
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
        return Arm64Anatomy(model)

    def reach(self, model: Any) -> Callable[[Event], int]:
        return Reach(model, VERBS, functools.partial(led_to, model)).of


EXPLORABLE = Arm64Explorable()
