"""What a search sets of a vcpu by ONE_REG: zero, all ones, each limit and the number after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from harness.model.arm64.registers import KINDS

# Kinds of registers, one of each of which is set, and the numbers at which it changes its meaning.
_Limits = dict[str, tuple[int, ...]]
_REGISTERS: _Limits = {"v": (), "fpsr": (), "fpcr": (), "cpacr_el1": (0b11 << 20,)}  # FPEN
_DEBUG: _Limits = {"dbgbvr0_el1": ()}
_FPMR: _Limits = {"fpmr": ()}
_SVE: _Limits = {"z": (), "p": (), "ffr": (), "zcr_el1": (0xF,)}  # LEN
_SME: _Limits = {"svcr": (0b01, 0b10, 0b11), "smcr_el1": (0xF,), "za": ()}  # SM, ZA; LEN
_SME2: _Limits = {"zt0": ()}


class Setting(NamedTuple):
    """A register, and what it is set to."""

    reg: tuple[str, int]
    bits: int


def settings(machine: Mapping[str, object], features: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Every kind of register of this machine, for a vcpu with these features, with every number."""
    registers = dict(_REGISTERS)
    for name, more in (("brps", _DEBUG), ("fpmr", _FPMR), ("sve", _SVE)):
        registers |= more if name in machine else {}
    if "sme" in features:
        registers |= dict.fromkeys(("z", "p", "ffr"), ()) | _SME
        registers |= _SME2 if machine.get("sme2") == (1, 1) else {}
    for kind, limits in registers.items():
        width = KINDS[kind].bits
        for number in sorted({0, (1 << width) - 1, *limits, *(n + 1 for n in limits)}):
            yield Setting((kind, 0), number)
