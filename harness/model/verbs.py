"""A verb of the trace language is one declaration, at the function that it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import NamedTuple, TypeVar

from harness.model.operands import Operand

Do = TypeVar("Do", bound=Callable[..., None])


class Verb(NamedTuple):
    """What a verb of the trace language asks for, and what it does.

    `actors` are the kinds that can do it (task, vcpu, cpu); the last operands may be missing from
    an event; `reads` says that an `expect read` can follow.

    `touches` says with whom an event has to do: with its own `cpu` (who is current there, the vcpu
    that is loaded, whom a pointer of this CPU leads to), the `next` task of a switch, the `vcpu`
    that is its second operand. Where nothing is said, a search takes it for everybody. `do` lets
    it happen: it is given the machine, the actor's name and the operands, and raises Refused where
    it cannot happen.
    """

    actors: tuple[str, ...]
    operands: tuple[Operand, ...]
    says: str
    reads: bool = False
    touches: frozenset[str] = frozenset()
    do: Callable[..., None] | None = None


TOUCHES = frozenset(("cpu", "next", "vcpu"))


class Verbs(dict[str, Verb]):
    """The verbs of an architecture, by name."""

    def verb(
        self,
        says: str,
        *operands: Operand,
        actors: str = "task",
        reads: bool = False,
        touches: str = "",
    ) -> Callable[[Do], Do]:
        """Declare a function as the verb of its name (`exec_` is `exec`). Fields as in Verb.

        Raises TypeError for a name that is taken, and for a function that takes other operands.
        """

        def declare(do: Do) -> Do:
            name = do.__name__.rstrip("_")
            if name in self:
                raise TypeError(f"{name}: there is a verb of this name")
            taken = list(inspect.signature(do).parameters)[2:]
            if len(taken) != len(operands):
                raise TypeError(f"{name}: {len(operands)} operands, and it takes {taken}")
            parts = frozenset(touches.split())
            if not parts <= TOUCHES:
                raise TypeError(f"{name}: touches {touches!r}, expected some of {sorted(TOUCHES)}")
            kinds = tuple(actors.split())
            self[name] = Verb(kinds, operands, says, reads, parts, do)
            return do

        return declare

    def arrange(self, modules: Iterable[ModuleType]) -> None:
        """Put them in the order of the modules that declare them, for lists that people read."""
        place = {module.__name__: n for n, module in enumerate(modules)}
        every = sorted(self.items(), key=lambda item: place[getattr(item[1].do, "__module__", "")])
        self.clear()
        self.update(every)

    @property
    def does(self) -> dict[str, Callable[..., None]]:
        """The functions alone, for where every event passes."""
        return {name: verb.do for name, verb in self.items() if verb.do is not None}
