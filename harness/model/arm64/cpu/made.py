"""Values that are not written by a program, but made for a CPU or for whoever lives somewhere.

The bits say for whom, so that a search can tell states that are the same but for names.
"""

from __future__ import annotations

from harness.model.marks import Mark

_RES1 = 1 << 31  # of MPIDR_EL1
# The upper half of what a section of kernel-mode NEON has, and what firmware leaves, in V.
_NEON, _EFI = (int.from_bytes(tag, "big") for tag in (b"neon", b"efi"))
_SOFTIRQ = 0x100


def mpidr(cpu: int) -> int:
    """MPIDR_EL1 of a CPU."""
    return _RES1 | cpu


def cpu_of(mpidr: int) -> int:
    """The CPU that has this MPIDR_EL1."""
    return mpidr - _RES1


def softirq(cpu: int) -> int:
    """A softirq, where a system call would be known by the address of its task."""
    return _SOFTIRQ | cpu


def neon(who: int) -> int:
    """What a section has in a system call, by the address of its task, or in a softirq."""
    return _NEON << 32 | who


def firmware(cpu: int) -> int:
    """What a call of firmware leaves."""
    return _EFI << 32 | cpu


def made_for(bits: int) -> tuple[Mark, int] | None:
    """For whom a value in V has been made; None: it is a program's."""
    tag, who = bits >> 32, bits & 0xFFFFFFFF
    if tag == _NEON:
        return (Mark.CPU, who ^ _SOFTIRQ) if who & _SOFTIRQ else (Mark.ADDRESS, who)
    return (Mark.CPU, who) if tag == _EFI else None
