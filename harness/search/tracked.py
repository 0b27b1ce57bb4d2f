"""Objects that tell which of their fields are read and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Fields = dict[int, list[int]]
"""Numbers of fields, by the number of the object, in the order in which they came."""


class Tracked:
    """Some objects of slots, whose fields are watched between `begin()` and `end()`.

    A field that is read after it has been written tells nothing of what stood there.
    """

    def __init__(self, objects: Sequence[Any], fields: Sequence[Sequence[str]]) -> None:
        self._reads: dict[tuple[int, int], None] = {}
        self._wrote: dict[tuple[int, int], None] = {}
        self._every = [
            (each, type(each), self._watched(type(each), slot, names))
            for slot, (each, names) in enumerate(zip(objects, fields, strict=True))
            if names
        ]

    def _watched(self, cls: type, slot: int, names: Sequence[str]) -> type:
        members: dict[str, Any] = {"__slots__": ()}
        for n, name in enumerate(names):
            field = getattr(cls, name)
            members[name] = self._property((slot, n), field.__get__, field.__set__)
        return type(cls.__name__, (cls,), members)

    def _property(
        self, key: tuple[int, int], get: Callable[[Any], Any], put: Callable[[Any, Any], None]
    ) -> property:
        reads, wrote = self._reads, self._wrote

        def read(each: Any) -> Any:
            if key not in wrote:
                reads[key] = None
            return get(each)

        def write(each: Any, value: Any) -> None:
            wrote[key] = None
            put(each, value)

        return property(read, write)

    def begin(self) -> None:
        self._reads.clear()
        self._wrote.clear()
        for each, _, watched in self._every:
            each.__class__ = watched

    def end(self) -> tuple[Fields, Fields]:
        """What was read, and what was written."""
        for each, plain, _ in self._every:
            each.__class__ = plain
        return _by_object(self._reads), _by_object(self._wrote)


def _by_object(keys: dict[tuple[int, int], None]) -> Fields:
    found: Fields = {}
    for slot, n in keys:
        found.setdefault(slot, []).append(n)
    return found
