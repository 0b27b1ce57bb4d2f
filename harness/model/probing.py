"""What an architecture tells of its kernel functions to whoever records them.

The list of functions is the model's own (whatever `kernel_function` marks). The
rest is what code cannot tell: other names, what is inlined, where a probe must not
be put, and which other event shows that such a function has run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Area(NamedTuple):
    """Per-CPU memory: a variable is at `offsets[cpu] + variable - start`."""

    offsets: str
    start: str = ""


class Place(NamedTuple):
    """Where a value lies: from a register or a per-CPU variable by way of `members`.

    A member is `struct.path`, or `struct.path|struct.path` where releases differ. The
    first of a per-CPU variable is in it, every other one behind a pointer; an empty
    one has offset 0. `area` is the kernel's own if it has no name. Some places are
    right in some modes of the architecture alone.
    """

    base: str
    members: tuple[str, ...] = ()
    area: str = ""
    modes: tuple[str, ...] = ()

    @property
    def is_register(self) -> bool:
        return self.base.startswith("%")


class Column(NamedTuple):
    """A field of a probe's line, recorded from the first place that the kernel has."""

    name: str
    type: str
    places: tuple[Place, ...]


class Known(NamedTuple):
    """What is known of a function beyond its name.

    `also` are its names in other releases, `since` and `until` the fixes with which
    it came and went, `config` what a kernel is built with to have it. `inlined`: the
    compiler may leave no function of it. `unreachable` says why no tracer sees it,
    `no_kprobe` why a breakpoint must not be put there, `no_return` that there is no
    return to probe. `instead` says what else of a recording shows that it has run.
    """

    also: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    config: str = ""
    inlined: bool = False
    unreachable: str = ""
    no_kprobe: str = ""
    no_return: bool = False
    instead: str = ""
    fields: tuple[Column, ...] = ()


class Section(NamedTuple):
    """Code between two symbols where there can be no probe, and why."""

    start: str
    end: str
    why: str


class Kept(NamedTuple):
    """A register that the compiler chose: where `caller` keeps something over its call."""

    register: str
    caller: str
    callee: str
    find: Callable[[tuple[int, ...], int], str]  # the caller's code, how far off the callee is


class Places(NamedTuple):
    """The symbols around the table of the tracer's places, and how far from its function each is.

    Code alone can deceive: what else is patched at boot leaves the same instructions.
    """

    start: str
    stop: str
    distances: tuple[int, ...]


class Probing(NamedTuple):
    """All that recording needs to know of an architecture."""

    functions: frozenset[str]
    own: str  # a function that each of its kernels has, and no other architecture's
    known: dict[str, Known]
    argument: Column  # of a function that has no fields of its own
    cpu: tuple[Column, ...]  # the state of each CPU; the name gets the CPU's number
    events: tuple[str, ...]  # tracepoints, `system:event`
    sections: tuple[Section, ...]
    homes: tuple[str, ...]  # one function of each source file that has any of these
    hyp_prefix: str  # of what runs where no tracer reaches
    hyp_why: str
    hyp_twins: str  # a line over what is there with that prefix too, and recorded without
    areas: dict[str, Area]
    anchor: str  # a symbol by which a relocated kernel is found, in every kallsyms
    traced: Callable[[tuple[int, ...]], bool]  # whether code has a place for the tracer's call
    places: Places  # where an image lists those places
    kept: tuple[Kept, ...]
    layout: tuple[str, ...]  # members whose offsets explain the recorded addresses
    facts: tuple[tuple[str, str], ...]  # what else a recording should say, and what prints it
