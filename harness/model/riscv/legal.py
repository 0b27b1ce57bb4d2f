"""What a stimulus may count on: who is where, and what cannot happen there."""

from __future__ import annotations

from harness.model.base import Refused
from harness.model.riscv import due
from harness.model.riscv.cpu.state import Mode
from harness.model.riscv.due import TaskDue, VcpuDue
from harness.model.riscv.host.state import Task
from harness.model.riscv.kvm.state import HALTED, Vcpu
from harness.model.riscv.kvm.vcpu_exit import VcpuExit
from harness.model.tasks import GONE, WHERE, At


class Legal(VcpuExit):
    """Where everybody is. The tests return whom they are about, or raise Refused.

    `task_due` and `vcpu_due` are what everybody is entitled to: nothing below this layer knows
    of them.
    """

    __slots__ = ("task_due", "vcpu_due")

    task_due: dict[str, TaskDue]
    vcpu_due: dict[str, VcpuDue]

    def svc(self, task: Task) -> None:
        """A system call begins."""
        owed = self.task_due.get(task.name)
        if owed is not None:
            due.svc(owed, self.host.vlenb, self.has("v") and "v-syscall-discard" in self.fixes)
        self.do_trap_ecall_u(task)

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
        task = self.tasks.get(actor if vcpu is None else vcpu.thread)
        return f"{task.name} has been killed" if task is not None and task.killed else ""

    def fate(self, task: str) -> str:
        who = self.tasks[task]
        if who.killed:
            return f"died of {who.killed}"
        return "exited" if who.at is At.DEAD else ""

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
        if self.cpu.mode is not Mode.USER:
            where = WHERE[task.at] if task.at is not At.USER else "is in the kernel"
            raise Refused(f"{name} {where}")
        return task

    def in_kernel(self, name: str, *at: At) -> Task:
        task = self.running(name)
        if self.cpu.mode is not Mode.KERNEL or (at and task.at not in at):
            raise Refused(f"{name} {WHERE[task.at]}")
        return task

    def asleep(self, vcpu: Vcpu) -> str:
        """Why the thread of a vcpu sleeps in KVM_RUN, '' if it does not."""
        if vcpu.stopped:
            return self.is_stopped(vcpu)
        if vcpu.waiting == HALTED:
            return f"{vcpu.name} waits for an interrupt, such as another vcpu's `sbi ipi send_ipi`"
        return ""

    def waits(self, task: Task) -> Vcpu | None:
        """The vcpu for which a task sleeps, or slept, in KVM_RUN."""
        found = (v for v in self.vcpus.values() if v.waiting and v.thread == task.name)
        return next(found, None)

    def in_guest(self, name: str) -> Vcpu:
        vcpu = self.vcpus[name]
        if vcpu.waiting and self.asleep(vcpu):
            raise Refused(self.asleep(vcpu))
        if self.cpu.mode is not Mode.GUEST or self.current.vcpu != name:
            state = "is loaded, but not in the guest" if vcpu.cpu >= 0 else "is not loaded"
            raise Refused(f"{name} {state}")
        return vcpu

    def loaded(self, name: str) -> Vcpu:
        vcpu = self.vcpus[name]
        if vcpu.cpu < 0 or self.current.vcpu != name:
            raise Refused(f"{name} is not loaded")
        if self.cpu.mode is not Mode.KERNEL:
            raise Refused(f"{name} is in the guest")
        return vcpu

    def idle_vcpu(self, actor: str, name: str) -> Vcpu:
        """The vcpu, which nobody runs: a task in user space can call an ioctl on it."""
        vcpu = self.caller(actor, name)
        if vcpu.cpu >= 0 or vcpu.waiting or any(t.vcpu == name for t in self.tasks.values()):
            raise Refused(f"{name} is in KVM_RUN already, by {vcpu.thread}; an ioctl would wait")
        return vcpu

    def caller(self, actor: str, name: str) -> Vcpu:
        """The vcpu that a task in user space makes a call about, whoever runs it."""
        self.in_user(actor)
        vcpu = self.vcpus[name]
        if vcpu.created and vcpu.host != self.cpu.host:
            raise Refused(f"{name} is on the other host, {actor} is not")
        return vcpu
