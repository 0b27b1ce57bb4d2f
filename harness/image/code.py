"""A64 instructions, as far as they are evidence: calls, and accesses to system registers.

Encodings are those of the Arm Architecture Reference Manual (DDI 0487), C4 and C6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

# op0, op1, CRn, CRm, op2
REGISTERS = {
    "ZCR_EL1": (3, 0, 1, 2, 0),
    "ZCR_EL2": (3, 4, 1, 2, 0),
    "ZCR_EL12": (3, 5, 1, 2, 0),
    "SMCR_EL1": (3, 0, 1, 2, 6),
    "SMCR_EL2": (3, 4, 1, 2, 6),
    "SMPRI_EL1": (3, 0, 1, 2, 4),
    "SVCR": (3, 3, 4, 2, 2),
    "FPMR": (3, 3, 4, 4, 2),
    "FPCR": (3, 3, 4, 4, 0),
    "FPSR": (3, 3, 4, 4, 1),
    "TPIDR2_EL0": (3, 3, 13, 0, 5),
    "CPACR_EL1": (3, 0, 1, 0, 2),
    "CPACR_EL12": (3, 5, 1, 0, 2),
    "CPTR_EL2": (3, 4, 1, 1, 2),
    "HFGRTR_EL2": (3, 4, 1, 1, 4),
    "HFGWTR_EL2": (3, 4, 1, 1, 5),
    "PMUSERENR_EL0": (3, 3, 9, 14, 0),
    "MDCR_EL2": (3, 4, 1, 1, 1),
    "PMBLIMITR_EL1": (3, 0, 9, 10, 0),
    "TRBLIMITR_EL1": (3, 0, 9, 11, 0),
    "DAIF": (3, 3, 4, 2, 1),
}
_NAMES = {value: name for name, value in REGISTERS.items()}

ISB = 0xD5033FDF
SMSTOP = {0xD503427F: "SM", 0xD503447F: "ZA", 0xD503467F: "SMZA"}


def words(code: bytes) -> tuple[int, ...]:
    """The instructions of a function."""
    return struct.unpack(f"<{len(code) // 4}I", code[: len(code) & ~3])


def branches(code: tuple[int, ...], start: int) -> Iterator[tuple[int, int, bool]]:
    """Each `bl` and each `b` that leaves the function: its place, its target, whether `bl`."""
    end = start + 4 * len(code)
    for n, word in enumerate(code):
        if word >> 26 in (0b100101, 0b000101):
            link = word >> 31 == 1
            offset = word & 0x3FFFFFF
            at = start + 4 * n
            target = at + 4 * (offset - (1 << 26) if offset >> 25 else offset)
            if link or not start <= target < end:
                yield at, target, link


def indirect(code: tuple[int, ...]) -> int:
    """How many calls go through a register (`blr`)."""
    return sum(1 for word in code if word & 0xFFFFFC1F == 0xD63F0000)


def accesses(code: tuple[int, ...]) -> Iterator[tuple[int, bool, str]]:
    """Each `mrs` and `msr` of a register that is listed: its place, whether `msr`, the register."""
    for n, word in enumerate(code):
        if word >> 22 == 0b1101010100 and word >> 20 & 1:
            key = (
                (word >> 19 & 1) + 2,
                word >> 16 & 7,
                word >> 12 & 15,
                word >> 8 & 15,
                word >> 5 & 7,
            )
            name = _NAMES.get(key)
            if name:
                yield n, not word >> 21 & 1, name


def fields(code: tuple[int, ...]) -> Iterator[tuple[bool, int, int]]:
    """Each load and store at a register plus a number: whether a store, its size, the number.

    `ldr`, `str` and what is like them, with an unsigned or an unscaled offset, and
    pairs of general registers.
    """
    for word in code:
        if word >> 24 & 0x3F == 0x39:  # unsigned offset
            size = 1 << (word >> 30)
            yield word >> 22 & 3 == 0, size, size * (word >> 10 & 0xFFF)
        elif word >> 24 & 0x3F == 0x38 and not word >> 21 & 1 and not word >> 10 & 1:  # unscaled
            offset = word >> 12 & 0x1FF
            yield word >> 22 & 3 == 0, 1 << (word >> 30), offset - (offset >> 8 << 9)
        elif word >> 25 & 0x1F == 0b10100 and word >> 30 in (0, 2):  # a pair
            size = 4 << (word >> 31)
            offset = word >> 15 & 0x7F
            offset = size * (offset - (offset >> 6 << 7))
            store = not word >> 22 & 1
            yield store, size, offset
            yield store, size, offset + size


def addends(code: tuple[int, ...]) -> set[int]:
    """The numbers that are added to registers, which may be offsets of a struct in a struct."""
    found = {0}
    for word in code:
        if word >> 23 & 0xFF == 0b00100010:  # add (immediate), of either width, flags not set
            found.add((word >> 10 & 0xFFF) << (12 * (word >> 22 & 1)))
    return found | {a + b for a in found for b in found if b and not b & 0xFFF}
