"""Register sets of ptrace as bytes: include/uapi/asm/ptrace.h of arm64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from harness.drive.arm64.values import encode, one_row, split
from harness.drive.undriven import Undriven
from harness.model.arm64.host.ptrace import SVE_PT_REGS_SVE
from harness.model.operands import Bits, Reg

NOTES = {
    "NT_PRFPREG": 0x2,
    "NT_ARM_SVE": 0x405,
    "NT_ARM_SSVE": 0x40B,
    "NT_ARM_ZA": 0x40C,
    "NT_ARM_ZT": 0x40D,
    "NT_ARM_FPMR": 0x40E,
}
WITH_HEADER = ("NT_ARM_SVE", "NT_ARM_SSVE", "NT_ARM_ZA")
_HEADER = 16  # struct user_sve_header, struct user_za_header
_FPSR, _FPCR = 512, 516  # of struct user_fpsimd_state


class Head(NamedTuple):
    """What counts in such a header: bytes in all, the vector length, flags."""

    size: int
    vl: int
    flags: int


def head(data: bytes) -> Head:
    return Head(*(int.from_bytes(data[a:b], "little") for a, b in ((0, 4), (8, 10), (12, 14))))


def place(regset: str, kind: str, n: int, vl: int, sve: bool) -> tuple[int, int] | None:
    """Where a register is in a set, and its bytes; None if the set has none there.

    `sve`: the data is in SVE's format (SVE_PT_REGS_SVE), for a vector length of `vl` bytes.
    """
    if regset == "NT_ARM_ZA":
        return _HEADER, vl * vl
    if regset == "NT_ARM_ZT":
        return 0, 64
    if regset == "NT_ARM_FPMR":
        return 0, 8
    begin = _HEADER if regset in WITH_HEADER else 0
    if not sve:
        if kind in ("v", "z"):
            return begin + 16 * n, 16
        return {"fpsr": (begin + _FPSR, 4), "fpcr": (begin + _FPCR, 4)}.get(kind)
    predicates = begin + 32 * vl
    if kind in ("v", "z"):
        return begin + vl * n, vl if kind == "z" else 16
    if kind in ("p", "ffr"):
        return predicates + (16 if kind == "ffr" else n) * (vl // 8), vl // 8
    status = (predicates + 17 * (vl // 8) + 15) & ~15
    return status + (4 if kind == "fpcr" else 0), 4


def read(regset: str, kind: str, n: int, data: bytes) -> tuple[int, ...] | None:
    """A register, or a field of the header, in a set as PTRACE_GETREGSET gave it.

    None if it has no such data: a header alone, or V where Z was asked for.
    """
    sve, vl = False, 0
    if regset in WITH_HEADER:
        told = head(data)
        if kind in Head._fields:
            return (getattr(told, kind),)
        data, vl, sve = data[: told.size], told.vl, bool(told.flags & SVE_PT_REGS_SVE)
    at = place(regset, kind, n, vl, sve)
    if at is None:
        return (0,) if data[_HEADER:] else None  # a debugger takes P and FFR for zero then
    begin, size = at
    part = data[begin : begin + size]
    if not part:
        return None
    if kind in ("p", "ffr"):
        return split(part, 2)
    if kind == "za":
        return one_row(split(part, 16))
    return split(part, 16 if kind in ("v", "z", "zt0") else size)


def write(regset: str, given: Mapping[Reg, Bits], vl: int, flags: int) -> bytes:
    """The bytes that PTRACE_SETREGSET is given: up to the last register that is named."""
    data = bytearray()

    def put(at: int, part: bytes) -> None:
        if len(data) < at + len(part):
            data.extend(bytes(at + len(part) - len(data)))
        data[at : at + len(part)] = part

    if regset in WITH_HEADER:
        for at, value, size in (
            (0, 0, 4),
            (4, 0, 4),
            (8, vl, 2),
            (10, 256, 2),
            (12, flags, 2),
            (14, 0, 2),
        ):
            put(at, value.to_bytes(size, "little"))
    for (kind, n), bits in given.items():
        if kind in Head._fields:
            continue
        where = place(regset, kind, n, max(vl, 16), bool(flags & SVE_PT_REGS_SVE))
        if where is None:
            raise Undriven(f"{regset} in that format has no {kind}")
        part = encode(kind, bits, max(vl, 16))
        begin, size = where
        put(begin, part * vl if kind == "za" else part[:size])
    if regset in ("NT_ARM_SVE", "NT_ARM_SSVE"):
        data.extend(bytes(-len(data) % 16))  # user_regset.size
    return bytes(data)
