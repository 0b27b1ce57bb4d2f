"""What a captured state is made of, for a search that asks whether two are the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from harness.model.marks import Mark, marks
from harness.model.saving import Saved, Who


class Captured(Protocol):
    """A machine: the objects of its state, and why it has stopped."""

    oops: str

    @property
    def saved(self) -> Saved: ...


class Anatomy:
    """Whom the objects of a state are about, and whom their fields and values point at.

    `names` are those who write values. An architecture adds what it alone has.
    """

    def __init__(self, m: Captured) -> None:
        self.m = m
        self.about = m.saved.about
        self.classes = tuple(map(type, m.saved.objects))
        self.marks = tuple(
            tuple(map(marks(cls).get, names))
            for cls, names in zip(self.classes, m.saved.fields, strict=True)
        )
        self.names = m.saved.names
        self.everybody = tuple(dict.fromkeys(self.names.values()))

    def target(self, mark: Mark, value: Any) -> Who | None:
        """At whom a field with this mark points; None: at nobody."""
        if mark is Mark.NAME:
            return self.names.get(value)
        who = "cpu", value
        return who if who in self.everybody else None

    def value(self, bits: int) -> Who | None:
        """For whom the model has made a value; None: it is no such value."""
        return None

    def led_to(self, cpu: int) -> Iterable[str]:
        """Whom the pointers of a CPU lead to, by name."""
        return ()

    def rest(self) -> tuple[Any, tuple[Who, ...]]:
        """What a state has beside its objects: something plain, and whom it points at."""
        return bool(self.m.oops), ()

    def ground(self) -> Any:
        """What `target()` depends on."""
        return None
