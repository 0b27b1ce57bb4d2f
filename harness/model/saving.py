"""The objects that a model's state is made of: whom each is about, its fields taken and put back.

A machine lists them once. What is captured, and what a search compares, follow from the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

Who = tuple[str, int]
"""One of the CPUs (`cpu`), tasks (`task`) or vcpus (`vcpu`) of a world, by number."""

Values = tuple[tuple[Any, ...], ...]  # of each object, its fields in their order


def everybody(cpus: int, tasks: Iterable[str], vcpus: Iterable[str]) -> dict[str, Who]:
    """Who has which name. An idle task is its CPU."""
    names: dict[str, Who] = {f"idle{n}": ("cpu", n) for n in range(cpus)}
    ordinary = [name for name in tasks if name not in names]
    names |= {name: ("task", n) for n, name in enumerate(ordinary)}
    return names | {name: ("vcpu", n) for n, name in enumerate(vcpus)}


class Saved:
    """Objects whose fields are immutable, and shared by all that was taken down of them.

    `kept` are sequences, of an object for each CPU, and mappings, of one for each name; what is
    `nobodys` decides nothing. `about` tells whom each object is about.
    """

    __slots__ = ("about", "fields", "getters", "names", "objects")

    def __init__(
        self,
        names: dict[str, Who],
        kept: Iterable[Sequence[object] | Mapping[str, object]],
        nobodys: Iterable[object],
    ) -> None:
        self.names = names
        parts: list[tuple[Who | None, Any]] = []
        for objects in kept:
            if isinstance(objects, Mapping):
                parts += [(names[name], each) for name, each in objects.items()]
            else:
                parts += [(("cpu", n), each) for n, each in enumerate(objects)]
        parts += [(None, each) for each in nobodys]
        self.about = tuple(who for who, _ in parts)
        self.objects = tuple(each for _, each in parts)
        self.fields = tuple(tuple(f.name for f in fields(each)) for each in self.objects)
        getters = (attrgetter(*own) for own in self.fields)
        self.getters = list(zip(getters, self.objects, strict=True))

    def take(self) -> Values:
        """What stands in them."""
        return tuple([get(each) for get, each in self.getters])

    def put(self, values: Values, now: Values | None = None) -> None:
        """What stood in them; if it is known what stands there `now`, what differs alone."""
        if now is None:
            now = self.take()
        every = zip(self.objects, self.fields, values, now, strict=True)
        for each, own, those, there in every:
            if those is not there:
                for name, value, old in zip(own, those, there, strict=True):
                    if value is not old:
                        setattr(each, name, value)
