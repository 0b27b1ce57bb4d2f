"""What a stimulus may count on: who is where, and what cannot happen there.

A stimulus that cannot happen is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.model.arm64 import due
from harness.model.arm64.cpu.state import GUEST, KERNEL, USER
from harness.model.arm64.host.state import Task
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.program import Program
from harness.model.base import Refused
from harness.model.tasks import GONE, WHERE, At


class Legal(Program):
    """Where everybody is. The tests return whom they are about, or raise Refused."""

    __slots__ = ()

    def place(self, actor: str) -> int:
        """The CPU that a task is current on, or that a vcpu is loaded on; -1 for none."""
        if actor in self.tasks:
            return self.tasks[actor].on_cpu
        vcpu = self.vcpus[actor]
        if vcpu.cpu >= 0:
            return vcpu.cpu
        return self.tasks[vcpu.thread].on_cpu if vcpu.thread else -1

    def dead(self, actor: str) -> str:
        if self.oops:
            return f"the kernel has stopped: {self.oops}"
        vcpu = self.vcpus.get(actor)
        name = actor if vcpu is None else vcpu.thread
        task = self.tasks.get(name)
        if task is not None and task.killed:
            return f"{name} has been killed"
        return ""

    def fate(self, task: str) -> str:
        who = self.tasks[task]
        if who.killed:
            return f"died of {who.killed}"
        return "exited" if who.at is At.DEAD else ""

    def exists(self, what: str) -> None:
        """An SVE or SME instruction is UNDEFINED where there is no such thing: no trap."""
        there = {"sve": self.system_supports_sve, "sme": self.system_supports_sme}
        if not there.get(what, True):
            raise Refused(f"this machine has no {what.upper()}")

    def running(self, name: str) -> Task:
        """The task, which must be current on a CPU."""
        task = self.tasks[name]
        if task.on_cpu < 0:
            if task.at in GONE:
                raise Refused(f"{name} {WHERE[task.at]}")
            raise Refused(f"{name} is not current on any CPU")
        return task

    def in_user(self, name: str) -> Task:
        task = self.running(name)
        if self.cpu.mode is not USER:
            where = WHERE[task.at] if task.at is not At.USER else "is in the kernel"
            raise Refused(f"{name} {where}")
        return task

    def in_kernel(self, name: str, *at: At) -> Task:
        task = self.running(name)
        if self.cpu.mode is not KERNEL:
            raise Refused(f"{name} {WHERE[task.at]}, not in the kernel")
        if at and task.at not in at:
            raise Refused(f"{name} {WHERE[task.at]}")
        return task

    def in_guest(self, name: str) -> Vcpu:
        vcpu = self.vcpus[name]
        if self.cpu.mode is not GUEST or self.current.vcpu != name:
            state = "is loaded, but not in the guest" if vcpu.cpu >= 0 else "is not loaded"
            raise Refused(f"{name} {state}")
        return vcpu

    def loaded(self, name: str) -> Vcpu:
        vcpu = self.vcpus[name]
        if vcpu.cpu < 0 or self.current.vcpu != name:
            raise Refused(f"{name} is not loaded")
        if self.cpu.mode is not KERNEL:
            raise Refused(f"{name} is in the guest")
        return vcpu

    def in_neon(self, task: Task) -> bool:
        owed = self.task_due.get(task.name)
        return owed is not None and bool(owed.neon.regs)

    def not_in_neon(self, task: Task) -> None:
        if self.in_neon(task):
            raise Refused(f"{task.name} is in kernel-mode NEON")

    def _in_user_or_syscall(self, actor: str) -> Task:
        """The task, at EL0 or in a system call that `syscall_enter` has begun."""
        if self.cpu.mode is USER:
            return self.in_user(actor)
        task = self.in_kernel(actor, At.SYSCALL)
        self.not_in_neon(task)
        return task

    def svc(self) -> None:
        """current makes a system call."""
        owed = self.task_due[self.current.name]
        owed.regs = due.svc(owed.regs)
        self.el0_svc()

    def _by_syscall(self, step: Callable[[], None]) -> None:
        """The whole system call from user space; in one, the step alone."""
        from_user = self.cpu.mode is USER
        if from_user:
            self.svc()
        step()
        if from_user:
            self.exit_to_user_mode()
