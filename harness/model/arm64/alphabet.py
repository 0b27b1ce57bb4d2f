"""The events that a search tries on arm64.

One register of each kind, and no event whose effect another has too: all registers of a kind
are handled alike by every kernel there was.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from harness.model.alphabet import MODES, EventTable, Reach
from harness.model.anatomy import Anatomy
from harness.model.arm64.anatomy import Arm64Anatomy
from harness.model.arm64.machine import Machine
from harness.model.arm64.settings import settings
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


class Arm64Alphabet(EventTable):
    """The events of some groups, by who can do them where."""

    def __init__(self, world: World, groups: tuple[str, ...]) -> None:
        super().__init__(world, groups)
        self.settings = world.settings
        self.features = {name: features for name, _, features in world.vcpus}
        for name in self.tasks:
            self._task(name, [v for v, thread, _ in world.vcpus if thread == name])
        for name, _, features in world.vcpus:
            self._vcpu(name, features)
        for n in range(self.cpus):
            self._cpu(n)

    def has(self, group: str, setting: str = "") -> bool:
        return group in self.groups and (not setting or setting in self.settings)

    def _task(self, name: str, vcpus: list[str]) -> None:
        self.add(name, "user", "write", ("v", 0), None)
        self.add(name, "user", "syscall_enter")
        self.add(name, "kernel", "ret_to_user")
        if self.has("run"):
            for vcpu in vcpus:
                if "sme" not in self.features[vcpu]:  # which does not run here
                    self.add(name, "user", "ioctl", "KVM_RUN", vcpu)
        if self.has("sve", "sve") or self.has("sme", "sme"):
            self.add(name, "user", "write", ("z", 0), None)
        if self.has("sve", "sve") and self.has("trap"):
            self.add(name, "user", "trap", "sve")
            self.add(name, "kernel", "handle_trap")
        if self.has("sme", "sme"):
            self.add(name, "user", "smstart", "sm")
            self.add(name, "user", "smstop", "sm")
        if self.has("za", "sme"):
            self.add(name, "user", "smstart", "za")
            self.add(name, "user", "smstop", "za")
            self.add(name, "user", "write", ("za", 0), None)
        if "fpmr" in self.settings:
            self.add(name, "user", "write", ("fpmr", 0), None)
        if self.has("neon"):
            self.add(name, "kernel", "neon_begin")
            self.add(name, "kernel", "neon_end")
        for what in ("sve", "sme"):
            if self.has("vl", what):
                for length in dict.fromkeys(self.settings[what]):
                    self.add(name, "user", "prctl", f"PR_{what.upper()}_SET_VL", length)
        vectors = (("v", 0), ("z", 0)) if self.settings.keys() & {"sve", "sme"} else (("v", 0),)
        if self.has("ptrace"):
            for other in self.tasks:
                for reg in vectors if other != name else ():
                    self.add(name, "user", "ptrace_get", other, reg)
                    self.add(name, "user", "ptrace_set", other, reg, None)
        if self.has("vmm"):
            for vcpu in vcpus:
                for reg in self._vmm_sets(vcpu, vectors[-1]):
                    self.add(name, "user", "one_reg_set", vcpu, reg, None)
                if "sme" in self.features[vcpu]:
                    for svcr in range(4):
                        self.add(name, "user", "one_reg_set", vcpu, ("svcr", 0), (svcr,))
                self.add(name, "user", "save", vcpu)
                self.add(name, "user", "restore", vcpu, vcpu)
        if self.has("onereg"):
            for vcpu in vcpus:
                for reg, bits in settings(self.settings, self.features[vcpu]):
                    self.add(name, "user", "one_reg_set", vcpu, reg, (bits,))
        if self.has("signal"):
            self.add(name, "user", "signal")
            self.add(name, "user", "sigreturn", "whole")
        if self.has("life"):
            self.add(name, "user", "exec")
            self.add(name, "user", "exit")
            for child in self.world.unborn:
                self.add(name, "user", "fork", child)

    def _vmm_sets(self, vcpu: str, vector: tuple[str, int]) -> list[tuple[str, int]]:
        """The vector register that a VMM writes, and what there is besides with SME."""
        if "sme" not in self.features[vcpu]:
            return [vector]
        zt0 = [("zt0", 0)] if self.settings.get("sme2") == (1, 1) else []
        return [("v", 0), vector, ("za", 0), *zt0]

    def _vcpu(self, name: str, features: tuple[str, ...]) -> None:
        if not self.has("run") or "sme" in features:
            return
        self.add(name, "guest", "write", ("v", 0), None)
        self.add(name, "guest", "guest_exit", "irq")
        self.add(name, "kernel", "guest_enter")
        if "sve" in features:
            self.add(name, "guest", "write", ("z", 0), None)
            for length in (0, 15):
                self.add(name, "guest", "write", ("zcr_el1", 0), (length,))
        if "fpmr" in features:
            self.add(name, "guest", "write", ("fpmr", 0), None)

    def _cpu(self, n: int) -> None:
        self.switches(n)
        for who in (*self.tasks, f"idle{n}"):
            if self.has("softirq"):
                self.add_of_cpu(n, who, "softirq", "neon")
            if self.has("efi"):
                self.add_of_cpu(n, who, "efi", "task")
                self.add_of_cpu(n, who, "efi", "irqs_off")
                self.add_of_cpu(n, who, "smccc")
            if self.has("power"):
                self.add_of_cpu(n, who, "cpu_pm")
                self.add_of_cpu(n, who, "hotplug", "off")
                self.add_of_cpu(n, who, "hotplug", "on")

    def enabled(self, model: Machine) -> list[int]:
        found: list[int] = []
        if model.oops:
            return found
        for cpu, rq in zip(model.cpus, model.rqs, strict=True):
            task = model.tasks[rq.current]
            if task.killed:
                found += self.at(task.name, cpu.id)
                continue
            found += self.at(task.name, MODES[cpu.mode], cpu.id)
            if task.vcpu:
                found += self.at(task.vcpu, MODES[cpu.mode])
        return found


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

    def alphabet(self, world: World, kernel: Kernel, groups: tuple[str, ...]) -> Arm64Alphabet:
        return Arm64Alphabet(world, groups)

    def anatomy(self, model: Any) -> Anatomy:
        return Arm64Anatomy(model)

    def reach(self, model: Any) -> Callable[[Event], int]:
        return Reach(model, VERBS, functools.partial(led_to, model)).of


EXPLORABLE = Arm64Explorable()
