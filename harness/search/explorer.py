"""From one state of a model to all that can come next."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from harness.errors import HarnessError
from harness.model import architecture
from harness.model.base import Model, Refused, State, Violation
from harness.model.world import Event
from harness.search.bounds import Bounds
from harness.search.canon import Canon, Part, fresh
from harness.search.pair import Pair
from harness.search.play import way_of
from harness.search.tree import Tree


class Node(NamedTuple):
    """A state that is to be gone on from."""

    parts: tuple[Part, ...]
    state: State
    last: int = -1  # the event that led to it
    touched: int = 0  # what that event had to do with, a bit for each object


class Slice(NamedTuple):
    """What going on from some states came to, in order."""

    transitions: int
    parents: array[int]
    events: array[int]
    fingerprints: array[int]
    wrong: list[tuple[int, int, tuple[Violation, ...]]]
    costs: list[tuple[int, int, Violation]]


def happening(event: Event, step: int) -> Event:
    """An event of an alphabet as this step, with a value that no other step writes."""
    actor, verb, args = event
    if args and args[-1] is None:
        args = (*args[:-1], (fresh(step),))
    return actor, verb, args


class Explorer:
    """One model, from one state to the next."""

    def __init__(self, bounds: Bounds) -> None:
        arch = architecture(bounds.arch)
        explorable = arch.explorable
        if explorable is None:
            raise HarnessError(f"explore: nobody has said yet which events {bounds.arch} has")
        self.bounds = bounds
        kernels = (bounds.kernel, bounds.other) if bounds.other else (bounds.kernel,)
        models = [arch.machine(k, bounds.mode, bounds.world, False) for k in kernels]
        self.models = models
        self.model: Model | Pair = models[0] if len(models) == 1 else Pair(*models)
        self.alphabet = explorable.alphabet(bounds.world, bounds.groups)
        self.events = self.alphabet.events
        self.counted = (*bounds.budget, *bounds.noted)
        self.left_out: set[int] = set()
        anatomies = [explorable.anatomy(model) for model in models]
        self.canon = Canon(anatomies, bounds.symmetry)
        self.reach = explorable.reach(models[0]) if bounds.commuting and len(models) == 1 else None
        self.rank = {verb: n for n, verb in enumerate(sorted({e[1] for e in self.events}))}
        parts, state = self._captured(())
        self._stack = [Node(parts, state)]
        self._chain: list[int] = []
        self._now: State | None = None

    def only(self, wanted: Callable[[Event], bool]) -> None:
        """Leave the other events out."""
        self.left_out = {n for n, event in enumerate(self.events) if not wanted(event)}

    def root(self) -> int:
        """The fingerprint of the state in which everything begins."""
        return self.canon.fingerprint(self._stack[0].parts)

    def _captured(self, near: tuple[Part, ...]) -> tuple[tuple[Part, ...], State]:
        """The state of the model, with all that it shares with one that is near."""
        state = self.model.capture()
        parts = self.canon.parts(state[0], near)
        return parts, (tuple([part.values for part in parts[: len(state[0])]]), *state[1:])

    def _enabled(self) -> list[int]:
        """The events that none of the models is sure to refuse."""
        found = self.alphabet.enabled(self.models[0])
        for model in self.models[1:]:
            also = set(self.alphabet.enabled(model))
            found = [number for number in found if number in also]
        if self.left_out:
            found = [number for number in found if number not in self.left_out]
        return found

    def _back(self, state: State) -> None:
        if self._now is not state:
            self.model.restore(state, self._now)
            self._now = state

    def event(self, number: int, depth: int) -> Event:
        """An event of the alphabet as it happens at a depth."""
        return happening(self.events[number], depth)

    def forget(self) -> None:
        """The next state is one of another tree."""
        del self._stack[1:]
        self._chain = []

    def node(self, tree: Tree, index: int) -> Node:
        """The state of this number, by the events that led to it."""
        chain = tree.chain(index)
        same = 0
        for a, b in zip(chain, self._chain, strict=False):
            if a != b:
                break
            same += 1
        del self._stack[same + 1 :]
        for depth in range(same, len(chain)):
            before = self._stack[-1]
            self._back(before.state)
            number = tree.ways[chain[depth]]
            self.model.step = depth + 1
            self.model.apply(*self.event(number, depth + 1))
            parts, self._now = self._captured(before.parts)
            touched = 0
            if self.reach is not None and depth + 1 == len(chain):
                touched = self._touched(before, number)
            self._stack.append(Node(parts, self._now, number, touched))
        self._chain = chain
        return self._stack[-1]

    def _touched(self, before: Node, number: int) -> int:
        """What an event has to do with, in the state before it."""
        assert self.reach is not None
        now = self._now
        self._back(before.state)
        touched = self.reach(self.events[number])
        assert now is not None
        self._back(now)
        return touched

    def steps(
        self, node: Node, depth: int
    ) -> Iterator[tuple[int, tuple[Part, ...], list[Violation]]]:
        """All that can happen next, in the order of the alphabet.

        Each is the event's number, the state it leads to (which the model is in), and
        what went wrong on the way.
        """
        model, counted = self.model, self.counted
        self._back(node.state)
        before = model.counts() if counted else {}
        asleep = self._asleep(node) if self.reach is not None and node.last >= 0 else ()
        for number in self._enabled():
            if number in asleep:
                continue
            self._back(node.state)
            actor, verb, args = self.event(number, depth)
            model.step = depth
            try:
                model.apply(actor, verb, args)
            except Refused:
                _, self._now = self._captured(node.parts)
                continue
            happened = list(model.violations)
            parts, self._now = self._captured(node.parts)
            if counted:
                happened += self._costs(before)
            yield number, parts, happened
        self._back(node.state)

    def again(
        self, tree: Tree, index: int, number: int
    ) -> tuple[tuple[Violation, ...], list[Violation]]:
        """What goes wrong, and what is told, when this event happens in this state."""
        node = self.node(tree, index)
        for found, _, happened in self.steps(node, len(self._stack)):
            if found == number:
                wrong = self.wrong(happened) or self.wrong(self.model.check())
                return wrong, self.costs(happened)
        return (), []

    def told(self, events: Sequence[Event], violation: Violation) -> Violation:
        """A violation as it shows where these events have led to it, with their values in its text.

        What is known of steps is known of other states than these, with other values.
        """
        model = self.model
        self._back(self._stack[0].state)
        before: dict[str, int] = {}
        for step, event in enumerate(events, 1):
            model.step = step
            model.violations.clear()
            before = model.counts()
            model.apply(*event)
        every = [*model.violations, *self._costs(before), *model.check()]
        self._now = None
        return next((v for v in every if way_of(v) == way_of(violation)), violation)

    def _asleep(self, node: Node) -> set[int]:
        """Events that need not happen now, as they can as well before the last one.

        Two events that have nothing to do with each other lead to the same state in either
        order, and to it the order is gone that has the lesser verb first.
        """
        assert self.reach is not None
        last = self.rank[self.events[node.last][1]]
        out = set()
        for number in self._enabled():
            event = self.events[number]
            if self.rank[event[1]] < last:
                reach = self.reach(event)
                if reach and node.touched and not reach & node.touched:
                    out.add(number)
        return out

    def _costs(self, before: dict[str, int]) -> list[Violation]:
        after = self.model.counts()
        return [
            Violation("cost", "trace", name, f"{after[name] - before[name]} {name}, none is due")
            for name in self.counted
            if after[name] != before[name]
        ]

    def wrong(self, violations: list[Violation]) -> tuple[Violation, ...]:
        """Those that are looked for: where another one shows, the search goes on."""
        excepted, budget, way = self.bounds.excepted, self.bounds.budget, self.bounds.way
        return tuple(
            v
            for v in violations
            if v.kind not in excepted
            and (v.kind != "cost" or v.what in budget)
            and way in (None, way_of(v))
        )

    def costs(self, violations: list[Violation]) -> list[Violation]:
        """Those that are only told."""
        noted = self.bounds.noted
        return [v for v in violations if v.kind == "cost" and v.what in noted]

    def slice(self, tree: Tree, start: int, end: int, depth: int) -> Slice:
        """Go on from the states of these numbers."""
        out = Slice(0, array("I"), array("H"), array("Q"), [], [])
        told: set[str] = set()
        transitions = 0
        fresh: set[int] = set()
        visited, fingerprint = tree.visited, self.canon.fingerprint
        for index in range(start, end):
            for number, parts, happened in self.steps(self.node(tree, index), depth):
                transitions += 1
                wrong = self.wrong(happened)
                for cost in self.costs(happened) if happened else ():
                    if cost.what not in told:
                        told.add(cost.what)
                        out.costs.append((index, number, cost))
                if not wrong:
                    key = fingerprint(parts)
                    if key in fresh or key in visited:
                        continue
                    wrong = self.wrong(self.model.check())
                if wrong:
                    out.wrong.append((index, number, wrong))
                    continue
                fresh.add(key)
                out.parents.append(index)
                out.events.append(number)
                out.fingerprints.append(key)
        return out._replace(transitions=transitions)
