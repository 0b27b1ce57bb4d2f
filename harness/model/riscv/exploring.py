"""What a search needs of RISC-V: groups of events, and what a state has beyond its objects."""

from __future__ import annotations

from typing import Any

from harness.model.anatomy import Anatomy
from harness.model.exploring import Explorable
from harness.model.riscv.machine import Machine
from harness.model.riscv.stimuli import VERBS
from harness.model.saving import Who


class RiscvAnatomy(Anatomy):
    """The mms that are not as at first, and whose they are."""

    m: Machine

    def rest(self) -> tuple[Any, tuple[Who, ...]]:
        some = sorted((tuple(mm), name) for name, mm in self.m.mms.items() if any(mm))
        plain = bool(self.m.oops), tuple(mm for mm, _ in some)
        return plain, tuple(self.names[name] for _, name in some)


EXPLORABLE = Explorable(
    VERBS,
    RiscvAnatomy,
    groups={
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
    },
    usual=("run", "switch", "fp", "vector", "csr", "kernel", "softirq", "signal", "power"),
    # A switch always loads: nothing is wasted.
)
