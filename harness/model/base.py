"""What the models of all architectures share with the engine.

A model reacts to stimuli. What it did is in its `log` (function calls,
register writes, traps) when it is a recording model; what went wrong is in
its `violations`; what it cost is in its `counts`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

from harness.model.operands import Language
from harness.model.values import Origin, Val
from harness.model.world import World

if TYPE_CHECKING:  # who judges a trace needs none of it, and need not wait for it
    from harness.model.catalogue import Catalogue, Kernel
    from harness.model.evidence import Evidence
    from harness.model.exploring import Explorable
    from harness.model.probing import Probing
    from harness.model.verbs import Verb

F = TypeVar("F", bound=Callable[..., Any])


class Refused(Exception):
    """A stimulus that cannot happen in this state: a mistake in the trace.

    It says why, and leaves the machine as it was. Which events would have to come first the
    engine finds out (`engine/way_out.py`): what a model proposed itself could be refused as well.
    """


class Errno(Exception):
    """What a system call fails with: a function of the kernel returns -EINVAL and the like."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Violation(NamedTuple):
    """An invariant that does not hold.

    `kind` is the invariant's id; `who` the context whose right is broken, or
    the CPU; `what` the register, pointer or setting. `want` and `got` are what
    the context is entitled to and what it would find, where they are values.
    """

    kind: str
    who: str
    what: str
    text: str
    want: Val | None = None
    got: Val | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.who, self.what


class Reaction(NamedTuple):
    """One thing the model did: a call (with its depth), a register write, a trap."""

    kind: str
    depth: int
    text: str


Tree = dict[str, Any]
"""A snapshot: nested, sparse (what differs from reset), JSON-like."""

Shape: TypeAlias = "str | tuple[str, ...] | re.Pattern[str] | Mapping[str, Shape]"
"""What a snapshot can have in a place: a value, a register with fields of these names, registers
whose names match, or more places by name. A value is what it is where a snapshot leaves it out:
`0` if that is zero, another text, or empty if it says nothing."""

State = tuple[Any, ...]


class Model(Protocol):
    """What the engine needs of a model; it knows no architecture beyond this."""

    violations: list[Violation]
    log: list[Reaction]
    step: int
    fatal: bool  # somebody can do nothing more

    def apply(self, actor: str, verb: str, args: tuple[Any, ...]) -> None:
        """Let one stimulus happen. Raises Refused where it cannot."""

    def dead(self, actor: str) -> str | None:
        """Why `actor` can do nothing more (killed, oops), or None."""

    def fate(self, task: str) -> str | None:
        """How a task has ended (`died of SIGILL`, `exited`), or None."""

    def check(self) -> list[Violation]:
        """The violations that the present state shows, by looking at it alone."""

    def observe(self, what: str, args: tuple[Any, ...]) -> str | None:
        """None if the last step showed what an `expect` line asks for, else why not.

        A `trap` gets its marks, pairs of a name and a number.
        """

    def snapshot(self) -> Tree:
        """The state in the field's words."""

    def owners(self) -> list[str]:
        """Who owns the registers of each CPU, a line each."""

    def counts(self) -> dict[str, int]:
        """What it has cost so far, by counter name."""

    def reg_list(self, vcpu: str) -> list[tuple[int, str]]:
        """What KVM_GET_REG_LIST gives: each id, and the name that `one_reg` has for it, or ''.

        Raises Refused where it gives an error.
        """

    def capture(self) -> State:
        """The whole state as a flat tuple of immutable parts."""

    def restore(self, state: State, now: State | None = None) -> None:
        """Go back to a captured state; from `now`, if that is known, by what differs alone."""

    def canonical(self) -> State:
        """The state without names and provenance: equal means equivalent."""

    def settle(self, context: str) -> None:
        """Let `context` run again by the shortest way there is."""

    def places(self, what: str, val: Val) -> list[str]:
        """Where this very value (bits and origin) is held as `what`, a register."""


class Setting(NamedTuple):
    """A number, or a range of numbers, that a machine line can give.

    `default` is what a machine has without it, 0 if it lacks the thing; `power` allows
    powers of two alone.
    """

    lowest: int
    highest: int
    default: int = 0
    power: bool = False


class RegTest(NamedTuple):
    """What one configuration of the selftest get-reg-list came to, registers by name.

    It fails for what is missing and for what cannot be read and written back (with the
    errno); what is new is only told.
    """

    name: str
    skipped: str = ""
    missing: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        if self.skipped:
            return "SKIP"
        return "FAIL" if self.missing or self.failed else "PASS"


class Architecture(Language, Protocol):
    """What the trace language and the commands need to know of an architecture."""

    name: str
    example: str  # a machine line
    modes: tuple[str, ...]
    settings: dict[str, Setting]
    words: dict[str, tuple[str, ...]]  # settings that are lists, and what each can list
    features: tuple[str, ...]  # of vcpus
    catalogue: Catalogue
    invariants: dict[str, str]
    verbs: dict[str, Verb]
    expectations: tuple[str, ...]  # what Model.observe() knows
    shown: Mapping[str, Mapping[str, Shape]]  # what a snapshot can have of cpu, task and vcpu
    answers: dict[str, tuple[str, ...]]  # the words that such an expectation can take, if few
    trap_marks: tuple[str, ...]  # what an `expect trap` can ask of it
    counters: tuple[str, ...]

    @property
    def probing(self) -> Probing | None:
        """What there is to record of a real kernel, None if that is not known."""

    @property
    def evidence(self) -> Evidence | None:
        """What shows in a kernel image which fixes it has, None if that is not known."""

    @property
    def explorable(self) -> Explorable | None:
        """What a search needs to go through every sequence of events, None if it cannot."""

    def impossible(
        self, settings: dict[str, tuple[int, int]], words: dict[str, tuple[str, ...]]
    ) -> str | None:
        """Why there is no machine with these settings, or None."""

    def lacks(self, feature: str, world: World) -> str | None:
        """Why no vcpu on this machine can have this feature, or None."""

    def reg_tests(
        self, kernel: Kernel, expected: Kernel, mode: str, world: World
    ) -> Iterator[RegTest]:
        """The selftest get-reg-list of `expected`'s time on `kernel`, one configuration each."""

    def unsupported(self, kernel: Kernel, mode: str, world: World) -> str | None:
        """Why `kernel` cannot run this world in this mode, or None."""

    def machine(self, kernel: Kernel, mode: str, world: World, record: bool) -> Model:
        """A fresh machine."""


def kernel_function(name: str | None = None) -> Callable[[F], F]:
    """Mark a model function that mirrors a kernel function.

    `name` is the kernel's name where it is not Python's: names that begin with
    two underscores would be mangled inside a class.
    """

    def mark(function: F) -> F:
        function.__kernel_name__ = name or function.__name__  # type: ignore[attr-defined]
        return function

    return mark


M = TypeVar("M")


def marked(cls: type) -> Iterator[tuple[str, Callable[..., Any], str]]:
    """The attribute, the function and the kernel's name of each that `cls` or a base marks."""
    for attribute in dir(cls):
        function = getattr(cls, attribute)
        name = getattr(function, "__kernel_name__", None)
        if name:
            yield attribute, function, name


def kernel_functions(*classes: type) -> frozenset[str]:
    """The kernel's names of what these classes, or their bases, mark with `kernel_function`."""
    return frozenset(name for cls in classes for *_, name in marked(cls))


def wrapped(
    cls: type[M], wrap: Callable[[Callable[..., Any], str], Any], members: dict[str, Any]
) -> type[M]:
    """`cls` with `wrap(function, name)` for each function that it marks, and more members."""
    found = {attribute: wrap(function, name) for attribute, function, name in marked(cls)}
    return type(cls.__name__, (cls,), members | found)


@functools.cache
def recording(cls: type[M]) -> type[M]:
    """`cls` with every marked function logging its calls.

    A search replays millions of steps and wants no log; only those who show a
    run pay for one.
    """

    def wrap(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            self.log.append(Reaction("call", self.depth, name))
            self.depth += 1
            try:
                return function(self, *args, **kwargs)
            finally:
                self.depth -= 1

        return call

    return wrapped(cls, wrap, {"recording": True})


def classify(context: str, want: Val, got: Val) -> str:
    """The kind of violation it is to find `got` where `want` should be.

    A value of another context (or of kernel-mode NEON) is a leak, an older
    value of its own is stale, and zero or a reset value means that the right
    one is lost.
    """
    if not got.bits or got.origin is None:
        return "lost"
    return "stale" if got.origin.context == context else "leak"


def shown(val: Val) -> str:
    """`0xa1 (A)`, or `0x0`."""
    origin: Origin | None = val.origin
    return f"{val.bits:#x} ({origin.context})" if origin and val.bits else f"{val.bits:#x}"
