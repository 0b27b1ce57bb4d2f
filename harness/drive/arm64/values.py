"""Register values as they stand in memory: little-endian, the lowest quadword first."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.arm64.registers import KINDS

_ALONE = 8  # bytes of a register that is no vector: what MRS gives


def width(kind: str) -> int:
    """Bytes of a quadword, of its part in a predicate, or of a scalar."""
    return KINDS[kind].bits // 8 if vector(kind) else _ALONE


def vector(kind: str) -> bool:
    return bool(KINDS[kind].bank)


def encode(kind: str, bits: Sequence[int], vl: int) -> bytes:
    """A value as an instruction loads it, of a vector length of `vl` bytes: one number fills it."""
    size = width(kind)
    return b"".join(bits_.to_bytes(size, "little") for bits_ in quads(kind, bits, vl))


def quads(kind: str, bits: Sequence[int], vl: int) -> tuple[int, ...]:
    """The quadwords that a write of `bits` leaves in a register."""
    if not vector(kind) or kind == "v":
        return (bits[0],)
    count = KINDS[kind].quads or max(vl // 16, 1)
    if kind == "za":
        return (bits[0],) * (vl // 16)  # its first row; the runner writes all alike
    some = tuple(bits) * count if len(bits) == 1 else tuple(bits)
    return (*some, *[0] * count)[:count]


def decode(kind: str, data: bytes) -> tuple[int, ...]:
    """The quadwords of what was stored."""
    size = width(kind)
    return split(data, size)


def one_row(values: tuple[int, ...]) -> tuple[int, ...]:
    """ZA, which a program here writes with one value; as it is, where it holds several."""
    return values[:1] if len(set(values)) == 1 else values


def split(data: bytes, size: int) -> tuple[int, ...]:
    return tuple(int.from_bytes(data[n : n + size], "little") for n in range(0, len(data), size))
