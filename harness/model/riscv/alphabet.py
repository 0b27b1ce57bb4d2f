"""The events that a search tries on RISC-V."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from harness.model.alphabet import MODES, EventTable, Reach
from harness.model.anatomy import Anatomy
from harness.model.catalogue import Kernel
from harness.model.riscv.anatomy import RiscvAnatomy
from harness.model.riscv.kvm.uapi import reg_id
from harness.model.riscv.machine import Machine
from harness.model.riscv.settings import settings
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

CBCFE, CBZE = 0x40, 0x80  # senvcfg: what VU-mode may do to cache blocks


class RiscvAlphabet(EventTable):
    """The events of some groups, by who can do them where."""

    def __init__(self, world: World, groups: tuple[str, ...]) -> None:
        super().__init__(world, groups)
        self.isa = set(world.words.get("isa", ()))
        self.vlenb = world.settings.get("vlen", (128, 128))[1] // 8
        for name in self.tasks:
            self._task(name, [v for v, thread, _ in world.vcpus if thread == name])
        for name, *_ in world.vcpus:
            self._vcpu(name)
        for n in range(self.cpus):
            self._cpu(n)

    def has(self, group: str, *extensions: str) -> bool:
        return group in self.groups and (not extensions or bool(self.isa & set(extensions)))

    def _task(self, name: str, vcpus: list[str]) -> None:
        self.add(name, "user", "syscall_enter")
        self.add(name, "kernel", "ret_to_user")
        if self.has("fp", "f", "d"):
            self.add(name, "user", "write", ("f", 0), None)
        if self.has("vector", "v"):
            self.add(name, "user", "write", ("v", 0), None)
        for vcpu in vcpus:
            if self.has("run"):
                self.add(name, "user", "ioctl", "KVM_RUN", vcpu)
            if self.has("vmm"):
                for extension in sorted(self.isa):
                    reg = reg_id(f"isa_ext.{extension}", 16)
                    if reg is not None:
                        off = (vcpu, ("id", reg), (0,))
                        self.add(name, "user", "one_reg_set", *off)
            if self.has("onereg"):
                for reg, bits in settings(self.isa, self.vlenb):
                    self.add(name, "user", "one_reg_set", vcpu, ("id", reg), bits)
            if self.has("migrate"):
                self.add(name, "user", "save", vcpu)
                for source, *_ in self.world.vcpus:
                    self.add(name, "user", "restore", vcpu, source)
        if self.has("kernel", "v"):
            self.add(name, "kernel", "kernel_vector_begin")
            self.add(name, "kernel", "kernel_vector_end")
        if self.has("signal"):
            self.add(name, "user", "signal")
            self.add(name, "user", "sigreturn")
        if self.has("life"):
            self.add(name, "user", "exec")
            self.add(name, "user", "exit")
            for child in self.world.unborn:
                self.add(name, "user", "fork", child)

    def _vcpu(self, name: str) -> None:
        if not self.has("run"):
            return
        self.add(name, "guest", "guest_exit", "irq")
        self.add(name, "kernel", "guest_enter")
        if self.has("fp", "f", "d"):
            self.add(name, "guest", "write", ("f", 0), None)
        if self.has("vector", "v"):
            self.add(name, "guest", "write", ("v", 0), None)
        if self.has("csr", "zicbom", "zicboz"):
            value = CBCFE if "zicbom" in self.isa else CBZE
            self.add(name, "guest", "write", ("senvcfg", 0), (value,))
        if self.has("csr", "smstateen"):
            self.add(name, "guest", "write", ("sstateen0", 0), (1,))

    def _cpu(self, n: int) -> None:
        self.switches(n)
        for who in (*self.tasks, f"idle{n}"):
            if self.has("softirq", "v"):
                self.add_of_cpu(n, who, "softirq", "vector")
            if self.has("power"):
                self.add_of_cpu(n, who, "cpu_pm")
                for state in ("off", "on") if self.cpus > 1 else ():
                    self.add_of_cpu(n, who, "hotplug", state)

    def enabled(self, model: Machine) -> list[int]:
        found: list[int] = []
        if model.oops:
            return found
        for hart, rq in zip(model.harts, model.rqs, strict=True):
            task = model.tasks[rq.current]
            if task.killed:
                found += self.at(task.name, hart.id)
                continue
            found += self.at(task.name, MODES[hart.mode], hart.id)
            if task.vcpu:
                found += self.at(task.vcpu, MODES[hart.mode])
        return found


class RiscvExplorable:
    """What `kvm-replay explore` needs of RISC-V."""

    groups: ClassVar[dict[str, str]] = GROUPS
    usual: ClassVar[tuple[str, ...]] = USUAL
    wide: ClassVar[dict[str, str]] = {"onereg": "one_reg_set"}
    waste: ClassVar[tuple[str, ...]] = ()  # a switch always loads

    def alphabet(self, world: World, kernel: Kernel, groups: tuple[str, ...]) -> RiscvAlphabet:
        return RiscvAlphabet(world, groups)

    def anatomy(self, model: Any) -> Anatomy:
        return RiscvAnatomy(model)

    def reach(self, model: Any) -> Callable[[Event], int]:
        return Reach(model, VERBS, lambda cpu: ()).of


EXPLORABLE = RiscvExplorable()
