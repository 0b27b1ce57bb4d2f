"""Register values: exact bits, and who produced them.

A register bank is an immutable, sparse map from register number to its
quadwords (lowest first). Saving a bank to memory and loading it back share
one object, so a save costs what a pointer costs, and states that have the
same contents mostly are the same objects.

Provenance (`Val.origin`) rides along with the bits and never takes part in a
comparison: two machines that differ only in who wrote an equal value behave
the same from then on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Origin(NamedTuple):
    """Which context produced a value, and at which step of the trace."""

    context: str
    step: int


class Val:
    """One quadword (or one predicate chunk, or a scalar) with its origin."""

    __slots__ = ("bits", "origin")

    def __init__(self, bits: int, origin: Origin | None = None) -> None:
        self.bits = bits
        self.origin = origin

    def __repr__(self) -> str:
        return f"Val({self.bits:#x}, {self.origin})"


ZERO = Val(0)

Quads = tuple[Val, ...]
Key = tuple[tuple[int, tuple[int, ...]], ...]


def spread(vals: Quads, width: int) -> Quads:
    """One value fills a vector of `width` quadwords, as DUP does; several are its quadwords."""
    return vals * width if len(vals) == 1 else vals[:width]


def trim(quads: Quads) -> Quads:
    """`quads` without the zero quadwords at its top."""
    n = len(quads)
    while n and not quads[n - 1].bits:
        n -= 1
    return quads if n == len(quads) else quads[:n]


class Bank:
    """An immutable bank of registers; a register that is not there is zero."""

    __slots__ = ("_key", "_limits", "_width", "regs")

    def __init__(self, regs: dict[int, Quads]) -> None:
        self.regs = regs
        self._key: Key | None = None
        self._width = 0  # the longest register's, once it is known
        self._limits: dict[int, Bank] | None = None

    @property
    def key(self) -> Key:
        """The bits alone, in canonical order: equal keys are equal banks."""
        if self._key is None:
            self._key = tuple((n, tuple(v.bits for v in self.regs[n])) for n in sorted(self.regs))
        return self._key

    def same(self, other: Bank) -> bool:
        """Whether both banks hold the same bits (origins do not count)."""
        if self is other:
            return True
        mine, theirs = self.regs, other.regs
        if mine.keys() != theirs.keys():
            return False
        for n, quads in mine.items():
            others = theirs[n]
            if quads is not others:
                if len(quads) != len(others):
                    return False
                for a, b in zip(quads, others, strict=True):
                    if a is not b and a.bits != b.bits:
                        return False
        return True

    def get(self, reg: int, quad: int = 0) -> Val:
        quads = self.regs.get(reg, ())
        return quads[quad] if quad < len(quads) else ZERO

    def set(self, reg: int, quads: Quads) -> Bank:
        """This bank with the whole of register `reg` replaced."""
        regs = dict(self.regs)
        quads = trim(quads)
        if quads:
            regs[reg] = quads
        else:
            regs.pop(reg, None)
        return Bank(regs) if regs else EMPTY

    def only(self, regs: Iterable[int]) -> Bank:
        """The registers of this bank that are named."""
        return Bank({n: self.regs[n] for n in regs if n in self.regs})

    def limit(self, quads: int) -> Bank:
        """This bank cut to `quads` quadwords a register."""
        width = self._width
        if not width:
            if not self.regs:
                return self
            width = self._width = max(map(len, self.regs.values()))
        if width <= quads:
            return self
        if self._limits is None:
            self._limits = {}
        cut = self._limits.get(quads)
        if cut is None:
            regs = {n: trim(q[:quads]) for n, q in self.regs.items()}
            regs = {n: q for n, q in regs.items() if q}
            cut = self._limits[quads] = Bank(regs) if regs else EMPTY
        return cut

    def over(self, low: Bank) -> Bank:
        """This bank with the lowest quadword of every register taken from `low`."""
        low = low.limit(1)
        if self.limit(1) is low:
            return self
        regs: dict[int, Quads] = {}
        for n in self.regs.keys() | low.regs.keys():
            quads = trim((low.get(n), *self.regs.get(n, ())[1:]))
            if quads:
                regs[n] = quads
        return Bank(regs) if regs else EMPTY

    def __repr__(self) -> str:
        return f"Bank({self.regs})"


EMPTY = Bank({})


def set_both(want: Bank, got: Bank, reg: int, quads: Quads) -> tuple[Bank, Bank]:
    """What is due and what is there, after a write. While they are one object they stay one.

    To compare an object with itself costs nothing, and they are compared after every step.
    """
    now = want.set(reg, quads)
    return now, now if got is want else got.set(reg, quads)


def first_difference(want: Bank, got: Bank) -> tuple[int, int, Val, Val] | None:
    """The lowest (register, quadword, wanted, found) where two banks differ."""
    if want.same(got):
        return None
    for n in sorted(want.regs.keys() | got.regs.keys()):
        width = max(len(want.regs.get(n, ())), len(got.regs.get(n, ())))
        for quad in range(width):
            a, b = want.get(n, quad), got.get(n, quad)
            if a.bits != b.bits:
                return n, quad, a, b
    return None


def number(text: str) -> int:
    """A number as traces write it: decimal, whatever zeros it begins with, or 0x and hex digits.

    Raises ValueError for what is none.
    """
    return int(text, 16) if text.startswith("0x") else int(text)
