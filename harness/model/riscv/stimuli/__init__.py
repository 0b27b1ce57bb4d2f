"""What can happen to a RISC-V machine: one declaration for each verb of the trace language.

The order of the modules is that of the lists which people read.
"""

from __future__ import annotations

from harness.model.riscv.stimuli import (
    guest,
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

# Each declares its verbs.
MODULES = (
    program,
    guest,
    sbi,
    syscalls,
    signals,
    life,
    kvm_run,
    ioctls,
    one_reg,
    migration,
    scheduler,
    power,
)

__all__ = ["MODULES", "VERBS"]
