"""What an architecture tells a search: which events there are, and what states are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from harness.model.anatomy import Anatomy
from harness.model.catalogue import Kernel
from harness.model.world import Event, World


class Alphabet(Protocol):
    """The events that a search tries."""

    @property
    def events(self) -> tuple[Event, ...]:
        """A value that is None is one that the search makes up, another one each time."""

    def enabled(self, model: Any) -> list[int]:
        """The numbers of the events that could be legal now; the model refuses some of them."""


def narrow(explorable: Explorable, verbs: Collection[str]) -> tuple[str, ...]:
    """The groups to make another trace of one that has these verbs."""
    wide = explorable.wide
    return tuple(g for g in explorable.groups if g not in wide or wide[g] in verbs)


class Explorable(Protocol):
    """What `kvm-replay explore` needs of an architecture; None where it has none."""

    @property
    def groups(self) -> dict[str, str]:
        """Groups of events, and what they are."""

    @property
    def usual(self) -> tuple[str, ...]:
        """The groups that are tried if none are named."""

    @property
    def waste(self) -> tuple[str, ...]:
        """Counters of what no kernel needs to do, though nothing goes wrong by it."""

    @property
    def wide(self) -> dict[str, str]:
        """Groups of very many events, each with its verb: for traces that have it alone."""

    def alphabet(self, world: World, kernel: Kernel, groups: tuple[str, ...]) -> Alphabet:
        """The events of these groups in a world."""

    def anatomy(self, model: Any) -> Anatomy:
        """What the states of a model are made of."""

    def reach(self, model: Any) -> Callable[[Event], int]:
        """What an event would have to do with in the model's present state.

        A bit for each object; 0 for one of which that is not known. Events whose reaches
        have nothing in common lead to the same state in either order, and neither of them
        makes the other possible or impossible.
        """
