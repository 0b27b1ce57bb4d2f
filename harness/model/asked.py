"""Which of a kernel's fixes a model asks for, and what it does for each set of answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


class Asked(frozenset[str]):
    """Fixes of which each question is seen; a subclass says what becomes of it in `answer`.

    A model asks `"fp-type" in self.fixes`. What else a set can do would look at all of them and
    not be seen, so it raises TypeError. Where it matters who asks, nothing is remembered of others
    (`afresh`).
    """

    afresh = False

    def answer(self, fix: str) -> bool:
        """Whether the kernel has this fix."""
        return frozenset.__contains__(self, fix)

    def __contains__(self, fix: object) -> bool:
        return self.answer(str(fix))


def _unseen(self: Asked, *_: object) -> NoReturn:
    raise TypeError("ask for each fix by `in`: what a model looks at besides would not be seen")


_WHOLE = "iter hash eq ne and rand or ror sub rsub xor rxor le lt ge gt"
_NAMED = "isdisjoint issubset issuperset union intersection difference symmetric_difference copy"
for _name in (*(f"__{word}__" for word in _WHOLE.split()), *_NAMED.split()):
    setattr(Asked, _name, _unseen)


class _Listed(Asked):
    """Fixes that list what was asked, in order, with the answers."""

    fixes: frozenset[str]
    listed: dict[str, bool]

    def answer(self, fix: str) -> bool:
        there = self.listed[fix] = fix in self.fixes
        return there


class _Question:
    """A fix that was asked for, and what followed on each answer."""

    __slots__ = ("fix", "on")

    def __init__(self, fix: str) -> None:
        self.fix = fix
        self.on: dict[bool, object] = {}


class Answers(Generic[T]):
    """What something comes to on every kernel: the same on each that answers alike.

    A replay asks its kernel for a few dozen of the fixes that there are. What came of it is kept
    in a tree, by what was asked and what the answer was.
    """

    def __init__(self) -> None:
        self._first: dict[bool, object] = {}

    def of(self, fixes: frozenset[str], make: Callable[[frozenset[str]], T]) -> T:
        """What it comes to with these fixes; `make` is called where it is not known.

        `make` asks the fixes that it is given, and nothing else that can change.
        """
        if isinstance(fixes, Asked) and fixes.afresh:
            return make(fixes)
        on, answer = self._first, True
        while (found := on.get(answer)) is not None:
            if not isinstance(found, _Question):
                made: T = found[0]  # type: ignore[index]  # a tuple of one: it may be None
                return made
            on, answer = found.on, found.fix in fixes
        asked = _Listed()
        asked.fixes, asked.listed = fixes, {}
        made = make(asked)
        on, answer = self._first, True
        for fix, there in asked.listed.items():
            question = on.setdefault(answer, _Question(fix))
            assert isinstance(question, _Question), f"{fix} was not asked for the first time"
            assert question.fix == fix, f"{fix} is asked for where {question.fix} was"
            on, answer = question.on, there
        on[answer] = (made,)
        return made
