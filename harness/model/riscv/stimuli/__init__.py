"""What can happen to a RISC-V machine: one declaration for each verb of the trace language."""

from __future__ import annotations

from harness.model import shared
from harness.model.riscv.stimuli import (
    ioctls,
    kvm_run,
    life,
    migration,
    one_reg,
    power,
    program,
    sbi,
    scheduler,
    signals,
    syscalls,
)
from harness.model.riscv.stimuli.table import VERBS

VERBS.arrange(
    (
        shared,
        syscalls,
        program,
        sbi,
        signals,
        life,
        kvm_run,
        ioctls,
        one_reg,
        migration,
        scheduler,
        power,
    )
)

__all__ = ["VERBS"]
