"""What a search needs of arm64: groups of events, and what a state has beyond CPUs and names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.model.anatomy import Anatomy
from harness.model.arm64.cpu.made import cpu_of, made_for
from harness.model.arm64.machine import Machine
from harness.model.arm64.stimuli import VERBS
from harness.model.exploring import Explorable
from harness.model.marks import Mark
from harness.model.saving import Who


class Arm64Anatomy(Anatomy):
    """Addresses, affinities, and the values that the kernel makes."""

    m: Machine

    def target(self, mark: Mark, value: Any) -> Who | None:
        if mark is Mark.MPIDR:
            return super().target(Mark.CPU, cpu_of(value))
        if mark is Mark.ADDRESS:
            # Below 0 it is the kernel_fpsimd_state of the task there.
            return self.names.get(self.m.memory[abs(value)])
        return super().target(mark, value)

    def value(self, bits: int) -> Who | None:
        made = made_for(bits)
        return self.target(*made) if made else None

    def led_to(self, cpu: int) -> Iterator[str]:
        m = self.m
        for st in (
            m.fpsimd_last_state[cpu].st,
            m.kvm_host_data[cpu].fpsimd_state,
            m.kvm_nvhe_host_data[cpu].fpsimd_state,
        ):
            if st:
                yield m.memory[abs(st)]

    def rest(self) -> tuple[Any, tuple[Who, ...]]:
        """The memory of the dead, in the order in which it is handed out again."""
        m = self.m
        return bool(m.oops), tuple(self.names[m.memory[st]] for st in m.freed)

    def ground(self) -> tuple[str, ...]:
        return self.m.memory


EXPLORABLE = Explorable(
    VERBS,
    Arm64Anatomy,
    groups={
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
        "vmm": "a VMM that writes a vcpu's V and Z registers (with SME also SVCR, ZA and ZT0), "
        "saves and restores it",
        "onereg": "a VMM that sets every kind of register: to zero, all ones, each limit, one more",
        "efi": "EFI runtime services, and calls of the firmware",
        "signal": "signals and their return",
        "life": "fork, exec and exit",
        "power": "CPU_PM and hotplug",
    },
    usual=("run", "switch", "sve", "sme", "trap", "neon", "softirq"),
    waste=("reloads", "neon_reloads"),
)
