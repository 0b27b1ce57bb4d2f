"""What in a kernel image tells that it has a fix: the words for it, as data.

A clue is a question that an image answers with yes, no, or not at all. A rule
says of one fix which clues, all answered with yes, show that it is there, and
which that it is not. It is for the rule to be sound: a static function may be
inlined, so that its name is missing proves nothing unless something else shows
that it would be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function or variable has a symbol of this name. Only a linked kernel can say no."""

    name: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A symbol lies in this section."""

    name: str
    section: str


@dataclass(frozen=True, slots=True)
class Member:
    """A struct has this member (a path, `uw.fpmr`, for one of a struct in it)."""

    struct: str
    name: str


@dataclass(frozen=True, slots=True)
class Value:
    """An enumeration has this value."""

    enum: str
    name: str


@dataclass(frozen=True, slots=True)
class Params:
    """A function has this many parameters."""

    function: str
    count: int


@dataclass(frozen=True, slots=True)
class Param:
    """A function has a parameter of this name, or of this type."""

    function: str
    what: str


@dataclass(frozen=True, slots=True)
class Calls:
    """One of `callers` calls one of `callees`, or has one inlined.

    All callers are asked that are there; names the kernel has had for one and
    the same thing, or the parts of one function that the compiler may have made.
    `separate` says that the callees are of another file (or assembly), so that they cannot be
    inlined; without it only DWARF can say no.
    """

    callers: tuple[str, ...]
    callees: tuple[str, ...]
    separate: bool = True


@dataclass(frozen=True, slots=True)
class InFile:
    """The file that defines `function` has this static function, and uses it. Only DWARF tells."""

    function: str
    name: str


@dataclass(frozen=True, slots=True)
class Reads:
    """One of these functions reads this system register (`mrs`)."""

    functions: tuple[str, ...]
    register: str


@dataclass(frozen=True, slots=True)
class Writes:
    """One of these functions writes this system register (`msr`)."""

    functions: tuple[str, ...]
    register: str


@dataclass(frozen=True, slots=True)
class Loads:
    """One of these functions loads this member, by its offset in the struct."""

    functions: tuple[str, ...]
    struct: str
    name: str


@dataclass(frozen=True, slots=True)
class Stores:
    """One of these functions stores to this member, by its offset in the struct."""

    functions: tuple[str, ...]
    struct: str
    name: str


@dataclass(frozen=True, slots=True)
class Has:
    """What other rules say of another fix: it is there."""

    fix: str


@dataclass(frozen=True, slots=True)
class Lacks:
    """What other rules say of another fix: it is not there."""

    fix: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    clue: Clue


Clue = (
    Symbol
    | Placed
    | Member
    | Value
    | Params
    | Param
    | Calls
    | InFile
    | Reads
    | Writes
    | Loads
    | Stores
    | Has
    | Lacks
    | Not
)
All = tuple[Clue, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What tells one fix. Each of `present` and `absent` is enough; each is a set of clues.

    `within` names fixes whose own diff rewrote or took away the code that this one
    changed, so that a kernel with one of them has no other behaviour left. `why`
    says when the rule is valid, where that is not plain.
    """

    present: tuple[All, ...] = ()
    absent: tuple[All, ...] = ()
    within: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """A part of the kernel that can be left out when it is built: what shows that it is there.

    `setting` is what a trace's machine has (or lists) if it needs this part; "" stands for
    a vcpu.
    """

    name: str
    setting: str
    present: tuple[All, ...]
    absent: tuple[All, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """Where a field of the model lies: its name there, and the kernel's, newest first."""

    model: str
    paths: tuple[str, ...]


class Evidence(NamedTuple):
    """All that an image can show of an architecture's kernels.

    `machine` is the number that ELF files of it have (e_machine). `structs`, `fields` and
    `symbols` are what a layout shows.
    """

    machine: int
    rules: Mapping[str, Rule]
    options: tuple[Option, ...] = ()
    structs: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    symbols: tuple[str, ...] = ()
