"""Stimuli that a later line tells more of: an operand, or whether they happened at all."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.capture.arm64.items import Operand, Stimulus
from harness.model.operands import Bits, Reg

# What stands for all that is written to a register set.
_WRITTEN = {"NT_ARM_SSVE": "z", "NT_ARM_ZA": "za", "NT_ARM_ZT": "zt0", "NT_ARM_FPMR": "fpmr"}


@dataclass(slots=True)
class Open:
    """They wait by the name of a thread, each for another sort of line."""

    written: dict[str, Stimulus] = field(default_factory=dict)  # to a tracee, by its tracer
    svcr: dict[str, Stimulus] = field(default_factory=dict)  # what it may have done with SVCR
    blocked: dict[str, Stimulus] = field(default_factory=dict)  # it may be in a system call
    stopped: dict[str, Stimulus] = field(default_factory=dict)  # a tracee, the same
    closed: dict[str, Stimulus] = field(default_factory=dict)  # who had SVE open without TIF_SVE
    trapped: dict[str, Stimulus] = field(default_factory=dict)  # preempted there, or in user space


def settle(stimulus: Stimulus, happened: bool, *args: Operand) -> None:
    """It happened, with these operands, or it did not; what hangs on it as well."""
    if not stimulus.open:
        return
    stimulus.args += args
    for each in (stimulus, *stimulus.along):
        each.open, each.dropped = False, not happened


def settle_written(stimulus: Stimulus, sve: bool) -> None:
    """What ptrace() writes: `sve` if the payload of NT_ARM_SVE is no FPSIMD one."""
    regset = str(stimulus.args[1])
    kind = "z" if regset == "NT_ARM_SVE" and sve else _WRITTEN.get(regset, "v")
    values: list[tuple[Reg, Bits]] = [((kind, 0), (0x5E7,))]
    if kind in ("v", "z"):
        values.append((("fpcr", 0), (0,)))  # the last: a whole set is written
    settle(stimulus, True, tuple(values))


def give_up(stimulus: Stimulus) -> None:
    """No line has told."""
    if stimulus.verb == "ptrace_setregset":
        settle_written(stimulus, sve=False)
    else:
        settle(stimulus, False)
