"""What can happen to an arm64 machine: one declaration for each verb of the trace language.

The order of the modules is that of the lists which people read.
"""

from __future__ import annotations

from harness.model.arm64.stimuli import (
    debug,
    firmware,
    ioctls,
    kvm_run,
    life,
    migration,
    neon,
    one_reg,
    power,
    program,
    ptrace,
    scheduler,
    signals,
    syscalls,
)
from harness.model.arm64.stimuli.table import VERBS

# Each declares its verbs.
MODULES = (
    program,
    syscalls,
    signals,
    ptrace,
    ioctls,
    one_reg,
    migration,
    life,
    kvm_run,
    scheduler,
    neon,
    debug,
    firmware,
    power,
)

__all__ = ["MODULES", "VERBS"]
