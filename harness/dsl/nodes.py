"""What a trace file says, as typed values with positions.

Operands are plain values, so that a model needs to know nothing of this
package: a name is a str, a register is (kind, number), a value is a tuple of
quadwords.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Name:
    """A word of the file and the column it starts in."""

    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Event:
    """A stimulus. `operands` are as written, `args` what the model is given."""

    actor: Name
    verb: str
    operands: tuple[Any, ...]
    line: int = 0
    args: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Expect:
    """What the event before must have led to."""

    what: str
    operands: tuple[Any, ...]
    column: int
    line: int = 0
    args: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A point at which the golden file holds the state."""

    name: str
    line: int = 0


Statement = Event | Expect | Snapshot


@dataclass(frozen=True, slots=True)
class Header:
    """One line of the header, by its keyword."""

    key: str
    operands: tuple[Any, ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the author of a trace says of one kernel, in one mode or in all."""

    kernel: str
    mode: str | None
    violates: tuple[str, ...]
    line: int
    column: int

    @property
    def holds(self) -> bool:
        return not self.violates

    def __str__(self) -> str:
        return "holds" if self.holds else "violates " + ", ".join(self.violates)


CLASSES = {
    "bug": "a kernel does something wrong, or did until a fix",
    "feature": "kernels differ in what they offer, and none of them is wrong",
    "vmm": "the VMM does something wrong, so every kernel shows it",
    "cost": "kernels differ in what they do for the same result",
    "rule": "no kernel does anything wrong here",
}
"""What a trace can show, by the word of its `class` line."""

_ALLOWED = {
    "rule": frozenset[str](),
    "cost": frozenset({"cost"}),
    "feature": frozenset({"cost", "expect"}),
}


def fits(shows: str, violates: Iterable[str]) -> bool:
    """Whether a trace of this class can violate these invariants on a kernel."""
    kinds = frozenset(violates)
    return bool(kinds) if shows == "vmm" else kinds <= _ALLOWED.get(shows, kinds)


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole trace file, checked: every name in it is known."""

    path: str
    id: str
    arch: str
    title: str
    shows: str | None = None  # one of CLASSES
    about: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    recordings: tuple[str, ...] = ()
    mails: tuple[tuple[str, str, str], ...] = ()
    commits: tuple[tuple[str, str], ...] = ()
    modes: tuple[str, ...] = ()
    settings: dict[str, tuple[int, int]] = field(default_factory=dict)
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tasks: tuple[tuple[str, int], ...] = ()
    unborn: tuple[str, ...] = ()
    vcpus: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    vms: tuple[int, ...] = ()
    needs: tuple[str, ...] = ()
    budget: dict[str, int] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    body: tuple[Statement, ...] = ()
    source: tuple[str, ...] = ()


Kind = Literal["task", "vcpu", "cpu"]
