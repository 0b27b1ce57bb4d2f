"""Which states are the same but for names: of tasks, vcpus, CPUs, and values.

A captured state is one tuple of fields for each object. An object's fields are put into a
canonical form once (`Part`), however many states share it: whom it points to and which written
values it holds are taken out, and what is left is a digest. A state's fingerprint puts the
digests together again, with everybody numbered by a permutation and the values by the
order in which they come. The least fingerprint of all permutations is that of the state.

Written values are data: the models copy and compare them, and never compute with them, so
a search writes a new one each time and only tells which are equal, and who wrote them.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from enum import Enum
from typing import Any

from harness.model.anatomy import Anatomy
from harness.model.saving import Who
from harness.model.values import Bank, Val

FRESHEST = 0xFFF
_PLAIN, _MORE, _FEW = 0xC000, 0xA000, 0x200
GROUPS = ("cpu", "task", "vcpu")

NOBODY: Who = ("cpu", -1)
_ALL = (1 << 64) - 1
_KEPT = 1 << 17  # parts, and banks of registers, that are known at one time


def fresh(number: int) -> int:
    """A value that a search writes, by its number up to FRESHEST.

    It has 16 bits, as a predicate register takes no more. Of the first ones FPMR keeps all.
    """
    return _PLAIN | number if number < _FEW else _MORE | number


def fresh_number(bits: int) -> int | None:
    """The number of a value that a search has written, None if it is no such value."""
    if _PLAIN <= bits < _PLAIN + _FEW:
        return bits - _PLAIN
    return bits - _MORE if _MORE + _FEW <= bits <= _MORE + FRESHEST else None


class Part:
    """The fields of one object in canonical form.

    `keys`, `after` and `taken` are for `memo`: a number for each field's value, the parts that have
    come of this one by what was written, and a bit for each written value in it.
    """

    __slots__ = ("after", "digest", "keys", "numbered", "refs", "taken", "vals", "values")

    keys: tuple[int, ...]
    after: dict[Any, Part]
    taken: int

    def __init__(
        self,
        values: tuple[Any, ...],
        digest: int,
        refs: tuple[Who, ...],
        vals: tuple[tuple[int, Who], ...],
    ) -> None:
        self.values = values
        self.digest = digest  # of everything but refs and vals
        self.refs = refs
        self.vals = vals  # the written values in it, by first occurrence, and who wrote them
        # By permutation: the digest with refs, and who wrote each value.
        self.numbered: dict[int, tuple[int, list[tuple[int, int]]]] = {}


def _known_by(value: Val) -> tuple[int, str]:
    origin = value.origin
    return value.bits, origin.context if origin else ""


def digest(data: bytes) -> int:
    """64 bits, the same in every process, never 0."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") or 1


class _Numbering:
    """One way to number everybody: the order of the parts, and everyone's number."""

    def __init__(
        self, n: int, about: Sequence[Who | None], rests: int, orders: Sequence[Sequence[int]]
    ) -> None:
        self.n = n
        new = {
            (group, old): at
            for group, order in zip(GROUPS, orders, strict=True)
            for at, old in enumerate(order)
        }
        self.number = {who: (GROUPS.index(who[0]) + 1) << 8 | at for who, at in new.items()}
        order = [(self.number[who], slot) for slot, who in enumerate(about) if who is not None]
        self.slots = [slot for _, slot in sorted(order)]
        self.slots += range(len(about), len(about) + rests)


class Canon:
    """Fingerprints of the states of a model, or of two that go side by side."""

    def __init__(self, anatomies: Sequence[Anatomy], symmetry: bool = True) -> None:
        self.anatomies = anatomies
        self._of = [n for n, anatomy in enumerate(anatomies) for _ in anatomy.about]
        self._marks = [marks for anatomy in anatomies for marks in anatomy.marks]
        self._class = [cls for anatomy in anatomies for cls in anatomy.classes]
        self._known: dict[tuple[Any, ...], Part] = {}
        self._rests: dict[Any, Part] = {}
        self._shared: dict[Any, Any] = {}
        self._banks: dict[tuple[int, Bank], tuple[int, tuple[tuple[int, Who], ...]]] = {}
        everybody = anatomies[0].everybody
        about = [who for anatomy in anatomies for who in anatomy.about]
        groups = [[who for who in everybody if who[0] == group] for group in GROUPS]
        # For each of a group, its objects.
        self._members = [
            [[slot for slot, each in enumerate(about) if each == who] for who in group]
            for group in groups
        ]
        orders = [
            list(itertools.permutations(range(len(group)))) if symmetry else [range(len(group))]
            for group in groups
        ]
        self._numberings = {
            tuple(map(tuple, chosen)): _Numbering(n, about, len(anatomies), chosen)
            for n, chosen in enumerate(itertools.product(*orders))
        }
        self._one = next(iter(self._numberings.values()))
        self._sorting: dict[tuple[tuple[int, ...], ...], list[_Numbering]] = {}

    # Parts -------------------------------------------------------------------------------

    def parts(self, objects: tuple[tuple[Any, ...], ...], near: Sequence[Part]) -> tuple[Part, ...]:
        """The parts of the model's state; most are those of `near`, a state close by.

        The last one is what there is beside the objects.
        """
        grounds = [anatomy.ground() for anatomy in self.anatomies]
        of = self._of
        if near and [part.values[0] for part in near[len(of) :]] == grounds:
            out = [
                part
                if part.values == values
                else self._part(slot, values, grounds[of[slot]], part.values)
                for slot, (values, part) in enumerate(zip(objects, near, strict=False))
            ]
        else:
            out = [
                self._part(slot, values, grounds[of[slot]], values)
                for slot, values in enumerate(objects)
            ]
        for anatomy, ground in zip(self.anatomies, grounds, strict=True):
            out.append(self._rest(anatomy, ground))
        return tuple(out)

    def _rest(self, anatomy: Anatomy, ground: Any) -> Part:
        plain, refs = anatomy.rest()
        key = ground, plain, refs
        part = self._rests.get(key)
        if part is None:
            part = self._rests[key] = Part(key, digest(repr((plain, len(refs))).encode()), refs, ())
        return part

    def _part(self, slot: int, values: tuple[Any, ...], ground: Any, near: tuple[Any, ...]) -> Part:
        if len(self._known) > _KEPT or len(self._shared) > _KEPT:
            self._known.clear()
            self._banks.clear()
            self._shared.clear()
        kind = self._class[slot], self._of[slot], ground
        # Most are what they were; what was written anew is often what another step has written.
        part = self._known.get((kind, values))
        if part is not None:
            return part
        values = tuple(
            [v if v is old else self._same(v) for v, old in zip(values, near, strict=True)]
        )
        part = self._known.get((kind, values))
        if part is None:
            part = self._known[kind, values] = self._made(slot, values)
        return part

    def _same(self, value: Any) -> Any:
        """The one that stands for all that differ in nothing but the step that made them."""
        kind = type(value)
        if kind is int or kind is str or kind is bool:
            return value
        if kind is Bank:
            if not value.regs:
                return value
            found = self._shared.get(value)
            if found is None:
                key = tuple([(n, tuple(map(_known_by, quads))) for n, quads in value.regs.items()])
                found = self._shared[value] = self._shared.setdefault(key, value)
            return found
        if kind is Val:
            return self._shared.setdefault(_known_by(value), value)
        if isinstance(value, tuple):
            same = [self._same(v) for v in value]
            return tuple(same) if kind is tuple else kind(*same)
        return value

    def _made(self, slot: int, values: tuple[Any, ...]) -> Part:
        refs: list[Who] = []
        vals: dict[int, Who] = {}
        anatomy = self.anatomies[self._of[slot]]
        out: list[object] = []
        for mark, value in zip(self._marks[slot], values, strict=True):
            who = None if mark is None else anatomy.target(mark, value)
            if who is None:
                out.append(self._plain(anatomy, value, vals))
            else:
                out.append("->")
                if isinstance(value, int) and value < 0:
                    out.append("-")  # at something else of the same owner's
                refs.append(who)
        return Part(values, digest(repr(out).encode()), tuple(refs), tuple(vals.items()))

    def _plain(self, anatomy: Anatomy, value: Any, vals: dict[int, Who]) -> object:
        """A value of a field, with the written values in it by their place in `vals`."""
        if isinstance(value, Bank):
            return self._bank(anatomy, value, vals)
        if isinstance(value, Val):
            return self._val(anatomy, value, vals)
        if isinstance(value, tuple):
            return [self._plain(anatomy, v, vals) for v in value]
        if isinstance(value, frozenset):
            return sorted(map(repr, value))
        return value.value if isinstance(value, Enum) else value

    def _val(self, anatomy: Anatomy, value: Val, vals: dict[int, Who]) -> object:
        bits = value.bits
        if fresh_number(bits) is not None:
            if bits not in vals:
                writer = value.origin.context if value.origin else ""
                vals[bits] = anatomy.names.get(writer, NOBODY)
            return -1 - list(vals).index(bits)
        who = anatomy.value(bits)
        if who is None:
            return bits
        vals.setdefault(bits, who)
        return "kernel", list(vals).index(bits)

    def _bank(self, anatomy: Anatomy, bank: Bank, vals: dict[int, Who]) -> object:
        """The same of a bank, most of which are shared by many objects."""
        if not bank.regs:
            return 0
        key = id(anatomy), bank
        known = self._banks.get(key)
        if known is None:
            own: dict[int, Who] = {}
            plain = [
                (n, [self._val(anatomy, v, own) for v in bank.regs[n]]) for n in sorted(bank.regs)
            ]
            known = self._banks[key] = digest(repr(plain).encode()), tuple(own.items())
        for bits, who in known[1]:
            vals.setdefault(bits, who)
        order = list(vals)
        return known[0], [order.index(bits) for bits, _ in known[1]]

    # States ------------------------------------------------------------------------------

    def fingerprint(self, parts: Sequence[Part]) -> int:
        """A number that two states share if they are the same but for names."""
        numberings = self._candidates(parts) if len(self._numberings) > 1 else (self._one,)
        if len(numberings) == 1:
            return self._numbered(parts, numberings[0])
        return min([self._numbered(parts, numbering) for numbering in numberings])

    def _candidates(self, parts: Sequence[Part]) -> Sequence[_Numbering]:
        """The permutations that sort everybody by what they are in themselves."""
        ranks = []
        for group in self._members:
            if len(group) > 1:
                signs = [tuple([parts[slot].digest for slot in slots]) for slots in group]
                order = sorted(signs)
                ranks.append(tuple([order.index(sign) for sign in signs]))
            else:
                ranks.append((0,) * len(group))
        key = tuple(ranks)
        found = self._sorting.get(key)
        if found is None:
            orders = itertools.product(*map(_sortings, key))
            found = self._sorting[key] = [self._numberings[chosen] for chosen in orders]
        return found

    def _numbered(self, parts: Sequence[Part], numbering: _Numbering) -> int:
        n, number = numbering.n, numbering.number
        out: list[int] = []
        order: dict[int, int] = {}
        for slot in numbering.slots:
            part = parts[slot]
            told = part.numbered.get(n)
            if told is None:
                whole = part.digest
                if part.refs:
                    whole = digest(repr((whole, [number[r] for r in part.refs])).encode())
                told = part.numbered[n] = whole, [(b, number.get(w, 0)) for b, w in part.vals]
            out.append(told[0])
            for bits, writer in told[1]:
                out.append(order.setdefault(bits, len(order)) << 16 | writer)
        return hash(tuple(out)) & _ALL or 1


def _sortings(ranks: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every order of members that sorts their ranks."""
    members = range(len(ranks))
    return [
        order
        for order in itertools.permutations(members)
        if all(ranks[a] <= ranks[b] for a, b in itertools.pairwise(order))
    ]
