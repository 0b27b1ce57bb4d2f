"""What a search sets of a vcpu by ONE_REG: zero, all ones, each limit and the number after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

# One register of each kind, how many bits it has, and the numbers at which it changes its meaning.
_REGISTERS: tuple[tuple[str, int, tuple[int, ...]], ...] = (
    ("v", 128, ()),
    ("fpsr", 32, ()),
    ("fpcr", 32, ()),
    ("cpacr_el1", 64, (0b11 << 20,)),  # FPEN
)
_DEBUG = (("dbgbvr0_el1", 64, ()),)
_FPMR = (("fpmr", 64, ()),)
_SVE: tuple[tuple[str, int, tuple[int, ...]], ...] = (
    *(("z", 128, ()), ("p", 16, ()), ("ffr", 16, ())),
    ("zcr_el1", 64, (0xF,)),  # LEN
)
_SME: tuple[tuple[str, int, tuple[int, ...]], ...] = (
    ("svcr", 64, (0b01, 0b10, 0b11)),  # SM, ZA
    ("smcr_el1", 64, (0xF,)),  # LEN
    ("za", 128, ()),
)
_SME2 = (("zt0", 128, ()),)


class Setting(NamedTuple):
    """A register, and what it is set to."""

    reg: tuple[str, int]
    bits: int


def settings(machine: Mapping[str, object], features: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Every kind of register of this machine, for a vcpu with these features, with every number."""
    registers = [*_REGISTERS]
    for name, more in (("brps", _DEBUG), ("fpmr", _FPMR), ("sve", _SVE)):
        registers += more if name in machine else ()
    if "sme" in features:
        registers += [*(_SVE[:3] if "sve" not in machine else ()), *_SME]
        registers += _SME2 if machine.get("sme2") == (1, 1) else ()
    for kind, width, limits in registers:
        for number in sorted({0, (1 << width) - 1, *limits, *(n + 1 for n in limits)}):
            yield Setting((kind, 0), number)
