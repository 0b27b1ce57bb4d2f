"""Vcpus that are loaded, entered and left."""

from __future__ import annotations

from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.ioctls import can_run
from harness.model.arm64.stimuli.places import not_in_neon
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import words
from harness.model.places import in_guest, in_kernel, loaded
from harness.model.tasks import At


@VERBS.verb(
    "is loaded by its thread, which is in a system call",
    actors="vcpu",
)
def vcpu_load(m: Program, actor: str) -> None:
    vcpu = m.vcpus[actor]
    task = in_kernel(m, vcpu.thread, At.SYSCALL)
    if task.vcpu:
        raise Refused(f"{task.name} has loaded {task.vcpu} already")
    if not (vcpu.initialized and m.kvm_arm_vcpu_is_finalized(vcpu)):
        raise Refused(f"{actor} cannot run yet: KVM_RUN would fail before it is loaded")
    can_run(m, vcpu)
    m.boot(vcpu)
    m.vcpu_load(vcpu)


@VERBS.verb(
    "is put",
    actors="vcpu",
)
def vcpu_put(m: Program, actor: str) -> None:
    m.vcpu_put(loaded(m, actor))


@VERBS.verb("is entered", actors="vcpu", touches="cpu")
def guest_enter(m: Program, actor: str) -> None:
    vcpu = loaded(m, actor)
    not_in_neon(m, m.current)
    m.guest_enter(vcpu)


@VERBS.verb(
    "leaves the guest for the run loop",
    words("irq wfx hvc sysreg dabt", optional=True),
    actors="vcpu",
    touches="cpu",
)
def guest_exit(m: Program, actor: str, reason: str) -> None:
    m.guest_exit(in_guest(m, actor), "irq" if reason == "irq" else "trap")
    m.current.at = At.RUN
