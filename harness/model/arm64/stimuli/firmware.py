"""Calls of EFI and of the firmware, and a panic of hyp."""

from __future__ import annotations

from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import quiet
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import words
from harness.model.shared import interrupted
from harness.model.tasks import GUEST, KERNEL
from harness.model.verbs import tried, tried_each


def _can_call(m: Program, actor: str, where: str) -> None:
    if where != "hardirq":
        quiet(m, actor)


@VERBS.verb(
    "calls an EFI runtime service: in a system call or the idle task, there with interrupts "
    "off, or in an interrupt, as pstore does at a panic",
    words("task irqs_off hardirq", optional=True),
    when=_can_call,
    actors="cpu",
    touches="cpu",
    tries=tried_each("efi", "task", "irqs_off"),
)
def efi(m: Program, actor: str, where: str) -> None:
    """A call of an EFI runtime service: of the kernel's choice, or in an interrupt."""
    if where == "hardirq":
        interrupted(m, lambda: m.efi_call_virt(hardirq=True))
        return
    was = m.local_irq_save() if where == "irqs_off" else m.irqs_off
    m.efi_call_virt(hardirq=False)
    m.local_irq_restore(was)


@VERBS.verb(
    "is interrupted, and the kernel calls the firmware (SMCCC v1.3), which discards what it may",
    actors="cpu",
    touches="cpu",
    tries=tried("efi"),
)
def smccc(m: Program, actor: str) -> None:
    interrupted(m, m.arm_smccc_smc)


def _runs_hyp(m: Program, actor: str) -> None:
    if m.cpu.mode is not GUEST and m.has_vhe:
        raise Refused(f"{actor} runs no guest, so there is no hyp that could panic")


@VERBS.verb(
    "hyp panics; `expect cpu0.panic = v0` is the vcpu that its last words name",
    when=_runs_hyp,
    actors="cpu",
)
def hyp_panic(m: Program, actor: str) -> None:
    """A bug of hyp's own, while it runs a guest or (not at VHE) a hypercall of the host."""
    m.cpu.mode = KERNEL
    m.hyp_panic()
