"""The states that a search has been to, as fingerprints of 8 bytes.

Open addressing in one array: no object a state, so 12 to 24 bytes each (36 for the moment in
which the table doubles). Two states with one fingerprint would be taken for one: among N
states that happens with a probability of about N^2 / 2^62 (a fingerprint is Python's hash of
numbers, of which 61 bits count), 2 in ten million for a million states.
"""

from __future__ import annotations

from array import array

FIRST = 1 << 10  # slots of an empty table; always a power of two


class Visited:
    """A set of numbers from 1 to 2^64 - 1 that only grows."""

    __slots__ = ("_count", "_mask", "_room", "_slots")

    def __init__(self) -> None:
        self._make(FIRST)
        self._count = 0

    def _make(self, slots: int) -> None:
        self._slots = array("Q", bytes(8 * slots))
        self._mask = slots - 1
        self._room = slots * 2 // 3

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: int) -> bool:
        slots, mask = self._slots, self._mask
        at = key & mask
        while found := slots[at]:
            if found == key:
                return True
            at = (at + 1) & mask
        return False

    def add(self, key: int) -> bool:
        """Add `key`; False if it was there."""
        slots, mask = self._slots, self._mask
        at = key & mask
        while found := slots[at]:
            if found == key:
                return False
            at = (at + 1) & mask
        slots[at] = key
        self._count += 1
        if self._count > self._room:
            self._grow()
        return True

    def _grow(self) -> None:
        old = self._slots
        self._make(2 * len(old))
        slots, mask = self._slots, self._mask
        for key in old:
            if key:
                at = key & mask
                while slots[at]:
                    at = (at + 1) & mask
                slots[at] = key

    @property
    def table(self) -> array[int]:
        """The fingerprints as they stand in the table, with 0 where there is none."""
        return self._slots

    @classmethod
    def of(cls, table: array[int]) -> Visited:
        """The set whose table this is."""
        found = cls()
        found._make(len(table))
        found._slots = table
        found._count = len(table) - table.count(0)
        return found

    @property
    def size(self) -> int:
        """Bytes that the table takes."""
        return len(self._slots) * self._slots.itemsize
