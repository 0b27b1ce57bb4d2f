"""What can happen to an arm64 machine: one declaration for each verb of the trace language."""

from __future__ import annotations

from harness.model import shared
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

VERBS.arrange(
    (
        shared,
        syscalls,
        program,
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
)

__all__ = ["VERBS"]
