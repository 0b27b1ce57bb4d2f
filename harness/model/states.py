"""The states of a machine, on any architecture: captured, gone back to, and compared.

A machine class says what becomes of each of its attributes:

- what `saved` lists, and what `captured` names, is in a captured state;
- what `derived` names, restore() makes of that;
- what `passing` names is of the last event, and no later event depends on it;
- whatever else there is never changes once the machine is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from harness.model.base import Reaction, State, Violation
from harness.model.saving import Saved
from harness.model.values import Bank, Val


class SomeTask(Protocol):
    killed: str


class SomeCpu(Protocol):
    id: int


class Stateful(Protocol):
    """A machine whose state can be captured. The last object of `saved` is what it has cost."""

    fatal: bool
    log: list[Reaction]
    oops: str
    saved: Saved
    violations: list[Violation]

    @property
    def captured(self) -> tuple[str, ...]: ...

    @property
    def cpu(self) -> SomeCpu: ...

    @property
    def tasks(self) -> Mapping[str, SomeTask]: ...

    @property
    def vcpus(self) -> Mapping[str, object]: ...

    def run_on(self, cpu: int) -> None: ...


def capture(m: Stateful) -> State:
    """One tuple of fields an object; the values in it are immutable and shared."""
    return (m.saved.take(), *[getattr(m, name) for name in m.captured])


def restore(m: Stateful, state: State, now: State | None = None) -> None:
    """Go back to a captured state; from `now`, if that is known, by what differs alone."""
    m.saved.put(state[0], None if now is None else now[0])
    for name, value in zip(m.captured, state[1:], strict=True):
        setattr(m, name, value)
    m.run_on(m.cpu.id)
    m.fatal = bool(m.oops) or any([task.killed for task in m.tasks.values()])  # noqa: C419 - quicker
    m.violations.clear()
    m.log.clear()


def canonical(m: Stateful) -> State:
    """The state as bits: tasks and vcpus by number instead of name, values without origin.

    What it has cost, what the kernel's last words were, and the step are left out.
    """
    number = {name: n for n, name in enumerate((*m.tasks, *m.vcpus))}

    def plain(value: Any) -> Any:
        if isinstance(value, Bank):
            return value.key
        if isinstance(value, Val):
            return value.bits
        if isinstance(value, str):
            return number.get(value, value)
        if isinstance(value, frozenset):
            return tuple(sorted(value))
        if isinstance(value, tuple):
            return tuple(map(plain, value))
        return value

    objects, *more, _oops, _step = capture(m)
    return plain(objects[:-1]), plain(tuple(more)), bool(m.oops)
