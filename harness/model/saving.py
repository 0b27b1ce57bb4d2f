"""The fields of a model's objects, taken down and put back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter
from typing import Any

Values = tuple[tuple[Any, ...], ...]  # of each object, its fields in their order


class Saved:
    """Objects whose fields are immutable, and shared by all that was taken down of them."""

    __slots__ = ("_getters", "fields", "objects")

    def __init__(self, objects: Iterable[Any]) -> None:
        self.objects = tuple(objects)
        self.fields = tuple(tuple(f.name for f in fields(each)) for each in self.objects)
        self._getters = [attrgetter(*names) for names in self.fields]

    def take(self) -> Values:
        """What stands in them."""
        return tuple(get(each) for get, each in zip(self._getters, self.objects, strict=True))

    def put(self, values: Values, now: Values | None = None) -> None:
        """What stood in them; if it is known what stands there `now`, what differs alone."""
        if now is None:
            for each, names, those in zip(self.objects, self.fields, values, strict=True):
                for name, value in zip(names, those, strict=True):
                    setattr(each, name, value)
            return
        for n, (those, there) in enumerate(zip(values, now, strict=True)):
            if those is not there:
                for name, value, old in zip(self.fields[n], those, there, strict=True):
                    if value is not old:
                        setattr(self.objects[n], name, value)
