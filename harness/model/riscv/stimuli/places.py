"""Where everybody is on RISC-V, beside what `harness/model/places.py` asks."""

from __future__ import annotations

from harness.model.base import Refused
from harness.model.places import in_user, not_running
from harness.model.riscv.host.state import Task
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.program import Program


def waits(m: Program, task: Task) -> Vcpu | None:
    """The vcpu for which a task sleeps, or slept, in KVM_RUN."""
    found = (v for v in m.vcpus.values() if v.waiting and v.thread == task.name)
    return next(found, None)


def idle_vcpu(m: Program, actor: str, name: str, *_: object) -> Vcpu:
    """The vcpu, which nobody runs: a task in user space can call an ioctl on it."""
    vcpu = caller(m, actor, name)
    return not_running(m, vcpu, vcpu.waiting)


def created(m: Program, actor: str, name: str, *_: object) -> Vcpu:
    """The same, once there is such a vcpu."""
    vcpu = idle_vcpu(m, actor, name)
    if not vcpu.created:
        raise Refused(f"{name} has not been created")
    return vcpu


def caller(m: Program, actor: str, name: str) -> Vcpu:
    """The vcpu that a task in user space makes a call about, whoever runs it."""
    in_user(m, actor)
    vcpu = m.vcpus[name]
    if vcpu.created and vcpu.host != m.cpu.host:
        raise Refused(f"{name} is on the other host, {actor} is not")
    return vcpu
