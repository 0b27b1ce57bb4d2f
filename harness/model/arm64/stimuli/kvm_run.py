"""Vcpus that are loaded, entered and left."""

from __future__ import annotations

from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import not_in_neon
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import words
from harness.model.places import in_guest, in_kernel, loaded
from harness.model.tasks import At
from harness.model.verbs import tried

EXITS = ("irq", "wfx", "hvc", "sysreg", "dabt")


def can_run(vcpu: Vcpu) -> None:
    if vcpu.sme:
        raise Refused(
            f"{vcpu.name} has SME, and a vcpu with SME does not run yet; `one_reg`, `save` and "
            f"`restore` reach its registers, and without `sme` on its `vm` line it would run"
        )


def _can_load(m: Program, actor: str) -> None:
    vcpu = m.vcpus[actor]
    in_kernel(m, vcpu.thread, At.SYSCALL)
    if not (vcpu.initialized and m.kvm_arm_vcpu_is_finalized(vcpu)):
        raise Refused(f"{actor} cannot run yet: KVM_RUN would fail before it is loaded")
    can_run(vcpu)


@VERBS.verb(
    "is loaded by its thread, which is in a system call",
    when=_can_load,
    actors="vcpu",
    leads=[()],
)
def vcpu_load(m: Program, actor: str) -> None:
    vcpu = m.vcpus[actor]
    m.boot(vcpu)
    m.vcpu_load(vcpu)


def _can_enter(m: Program, actor: str) -> None:
    loaded(m, actor)
    not_in_neon(m, m.current)


@VERBS.verb(
    "is entered",
    when=_can_enter,
    actors="vcpu",
    touches="cpu",
    tries=tried("run", where="kernel"),
    leads=[()],
)
def guest_enter(m: Program, actor: str) -> None:
    m.guest_enter(m.vcpus[actor])


@VERBS.verb(
    "leaves the guest for the run loop",
    words(EXITS, optional=True),
    when=in_guest,
    actors="vcpu",
    touches="cpu",
    tries=tried("run", "irq", where="guest"),
    leads=[("irq",)],
)
def guest_exit(m: Program, actor: str, reason: str) -> None:
    m.guest_exit(m.vcpus[actor], "irq" if reason == "irq" else "trap")
    m.current.at = At.RUN
