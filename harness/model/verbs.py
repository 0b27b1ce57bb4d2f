"""A verb of the trace language is one declaration, at the function that it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from harness.model.operands import Operand
from harness.model.world import World

Do = TypeVar("Do", bound=Callable[..., None])


class Try(NamedTuple):
    """An event that a search tries: in which groups, with which operands, and where.

    It is tried if all `groups` are searched. `where` is what the actor's CPU runs: `user`, `kernel`
    or `guest`. A value that is None is the search's to make up.
    """

    groups: tuple[str, ...]
    args: tuple[Any, ...] = ()
    where: str = "user"


Tries = Callable[[World, str, str], Iterable[Try]]
"""What a search tries in a world: of an actor, and who is current where that is a CPU."""


def tried(groups: str = "", *args: object, where: str = "user") -> Tries:
    """It is tried with these operands alone, wherever it can be. Fields as in Try."""
    only = Try(tuple(groups.split()), args, where)
    return lambda w, who, current: (only,)


def tried_each(groups: str, *choices: object) -> Tries:
    """It is tried with each of these operands."""
    every = tuple(Try(tuple(groups.split()), (choice,)) for choice in choices)
    return lambda w, who, current: every


class Verb(NamedTuple):
    """What a verb of the trace language asks for, and what it does.

    `actors` are the kinds that can do it (task, vcpu, cpu); the last operands may be missing from
    an event; `reads` says that an `expect read` can follow.

    `touches` says with whom an event has to do: with its own `cpu` (who is current there, the vcpu
    that is loaded, whom a pointer of this CPU leads to), the `next` task of a switch, the `vcpu`
    that is its second operand. Where nothing is said, a search takes it for everybody.

    `when` looks whether it can happen, and raises Refused where it cannot; `do` lets it happen.
    Both are given the machine, the actor's name and the operands. `tries` says what a search tries,
    and `leads` with which operands it can make another event possible: `None` stands for each that
    there is.
    """

    actors: tuple[str, ...]
    operands: tuple[Operand, ...]
    says: str
    reads: bool = False
    touches: frozenset[str] = frozenset()
    when: Callable[..., object] | None = None
    do: Callable[..., None] | None = None
    tries: Tries | None = None
    leads: tuple[tuple[Any, ...], ...] = ()

    def happen(self, m: Any, actor: str, args: tuple[Any, ...]) -> None:
        """Raises Refused, and then nothing has happened."""
        if self.when is not None:
            self.when(m, actor, *args)
        assert self.do is not None
        self.do(m, actor, *args)


TOUCHES = frozenset(("cpu", "next", "vcpu"))


class Verbs(dict[str, Verb]):
    """The verbs of an architecture, by name."""

    def verb(
        self,
        says: str,
        *operands: Operand,
        when: Callable[..., object] | None = None,
        actors: str = "task",
        reads: bool = False,
        touches: str = "",
        tries: Tries | None = None,
        leads: Iterable[tuple[Any, ...]] = (),
    ) -> Callable[[Do], Do]:
        """Declare a function as the verb of its name (`exec_` is `exec`). Fields as in Verb.

        Raises TypeError for a name that is taken, and for functions that take other operands.
        """

        def declare(do: Do) -> Do:
            name = do.__name__.rstrip("_")
            if name in self:
                raise TypeError(f"{name}: there is a verb of this name")
            taken = list(inspect.signature(do).parameters)[2:]
            if len(taken) != len(operands):
                raise TypeError(f"{name}: {len(operands)} operands, and it takes {taken}")
            if when is not None:
                _fits(name, when, len(operands))
            parts = frozenset(touches.split())
            if not parts <= TOUCHES:
                raise TypeError(f"{name}: touches {touches!r}, expected some of {sorted(TOUCHES)}")
            kinds = tuple(actors.split())
            self[name] = Verb(kinds, operands, says, reads, parts, when, do, tries, tuple(leads))
            return do

        return declare

    def arrange(self, modules: Iterable[ModuleType]) -> None:
        """Put them in the order of the modules that declare them, for lists that people read."""
        place = {module.__name__: n for n, module in enumerate(modules)}
        every = sorted(self.items(), key=lambda item: place[getattr(item[1].do, "__module__", "")])
        self.clear()
        self.update(every)


def _fits(name: str, when: Callable[..., object], operands: int) -> None:
    try:
        inspect.signature(when).bind(None, "", *(None,) * operands)
    except TypeError as error:
        raise TypeError(f"{name}: {getattr(when, '__name__', when)}: {error}") from None
