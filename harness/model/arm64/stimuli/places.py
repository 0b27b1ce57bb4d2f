"""Where everybody is on arm64, beside what `harness/model/places.py` asks."""

from __future__ import annotations

from collections.abc import Callable

from harness.model.arm64.host.state import Task
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.kvm.uapi import KVM_ARM_VCPU_EL1_32BIT
from harness.model.arm64.program import Program
from harness.model.base import Refused
from harness.model.places import in_kernel, in_user, not_running
from harness.model.tasks import KERNEL, USER, WHERE, At, titled


def exists(m: Program, what: str) -> None:
    """An SVE or SME instruction is UNDEFINED where there is no such thing: no trap.

    Of anything else there is always some.
    """
    there = {"sve": m.system_supports_sve, "sme": m.system_supports_sme}
    if not there.get(what, True):
        raise Refused(f"this machine has no {what.upper()}")


def in_neon(m: Program, task: Task) -> bool:
    owed = m.task_due.get(task.name)
    return owed is not None and bool(owed.neon.regs)


def not_in_neon(m: Program, task: Task) -> None:
    if in_neon(m, task):
        raise Refused(f"{task.name} is in kernel-mode NEON")


def in_user_or_syscall(m: Program, actor: str, *_: object) -> Task:
    """The task, at EL0 or in a system call that `syscall_enter` has begun."""
    if m.cpu.mode is USER:
        return in_user(m, actor)
    task = in_kernel(m, actor, At.SYSCALL)
    not_in_neon(m, task)
    return task


def by_syscall(m: Program, step: Callable[[], None]) -> None:
    """The whole system call from user space; in one, the step alone."""
    from_user = m.cpu.mode is USER
    if from_user:
        m.svc()
    step()
    if from_user:
        m.exit_to_user_mode()


def quiet(m: Program, actor: str, *_: object) -> None:
    """Where a CPU can be suspended: in the idle task, or in a system call that does it."""
    task = m.current
    if m.cpu.mode is not KERNEL or task.at is not At.SYSCALL:
        raise Refused(f"{actor} runs {titled(task.name)}, which {WHERE[task.at]}")
    not_in_neon(m, task)


def idle_vcpu(m: Program, actor: str, name: str, *_: object) -> Vcpu:
    """The vcpu, which nobody runs: a task in user space can call an ioctl on it."""
    in_user(m, actor)
    return not_running(m, m.vcpus[name])


def aarch64(m: Program, actor: str, name: str, *_: object) -> Vcpu:
    """The same; beyond KVM_ARM_VCPU_INIT there is nothing here for an AArch32 guest."""
    vcpu = idle_vcpu(m, actor, name)
    if vcpu.initialized and vcpu.features >> KVM_ARM_VCPU_EL1_32BIT & 1:
        raise Refused(f"{vcpu.name} is an AArch32 guest, which is not modelled")
    return vcpu
