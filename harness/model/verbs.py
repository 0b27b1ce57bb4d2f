"""A verb of the trace language is one declaration, which stands at the verb's function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypeVar

from harness.model.operands import TASK, VCPU, Operand
from harness.model.world import World

Do = TypeVar("Do", bound=Callable[..., None])


Where = Literal["user", "kernel", "guest"]


class Try(NamedTuple):
    """An event that a search tries: in which groups, with which operands, and where.

    It is tried if all `groups` are searched. `where` is what the CPU of a task or a vcpu runs then.
    A search makes a value up that is None.
    """

    groups: tuple[str, ...]
    args: tuple[Any, ...] = ()
    where: Where = "user"


Tries = Callable[[World, str, str], Iterable[Try]]
"""What a search tries in a world: of an actor, and who is current where that is a CPU."""


def tried(groups: str = "", *args: object, where: Where = "user") -> Tries:
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


KINDS = ("task", "vcpu", "cpu")
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
            if not all(isinstance(each, Operand) for each in operands):
                raise TypeError(f"{name}: operands are those of harness/model/operands.py")
            taken = list(inspect.signature(do).parameters)[2:]
            if len(taken) != len(operands):
                message = f"{len(operands)} declared, and the function takes {taken or 'none'}"
                raise TypeError(f"{name}: operands: {message}")
            if when is not None:
                _fits(name, when, len(operands))
            parts = frozenset(touches.split())
            if not parts <= TOUCHES:
                raise TypeError(f"{name}: touches {touches!r}, expected some of {sorted(TOUCHES)}")
            led_by = {"next": TASK, "vcpu": VCPU}
            for part in parts & led_by.keys():
                if operands[1:2] != (led_by[part],):
                    raise TypeError(f"{name}: touches {part!r}, which its second operand is to be")
            kinds = tuple(actors.split())
            if not kinds or not set(kinds) <= set(KINDS):
                raise TypeError(f"{name}: actors {actors!r}, expected some of {KINDS}")
            ways = tuple(leads)
            if any(len(args) > len(operands) for args in ways):
                raise TypeError(f"{name}: leads with more operands than it has")
            self[name] = Verb(kinds, operands, says, reads, parts, when, do, tries, ways)
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
        called = getattr(when, "__name__", when)
        raise TypeError(f"{name}: when={called} does not take its operands: {error}") from None
