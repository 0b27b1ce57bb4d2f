"""From one state to all that can come next, without running the model for what it has shown.

What an event does depends on the fields that it reads, and on nothing else. When one happens for
the first time, the model's objects tell which of their fields are read and written, and a decision
tree learns it (`questions`): in every state that has the same in the fields that were read, the
same is written. States share their parts, so nearly every question has been answered before. The
same holds for which events are possible at all, and for what is wrong with a state by itself.

What a state has beside its objects (`beside` here: memory, mms, an oops) is a key as a whole. The
model stays the truth: what no tree knows is asked of it, `again()` lets events happen there, and
with `verify` every so-many-th answer of a tree is compared with the model's. Longer than other
modules: what stands in the model's objects is known only as long as all who change it are here.
"""

from __future__ import annotations

import functools
import itertools
from array import array
from collections.abc import Callable
from typing import Any, NamedTuple

from harness.errors import HarnessError
from harness.model.base import Refused, State, Violation
from harness.model.shared import go_on
from harness.model.world import Event
from harness.search.bounds import Bounds
from harness.search.canon import Part, fresh, fresh_number
from harness.search.explorer import Explorer, Node, Slice
from harness.search.questions import Leaf, Parts, Roots, Write, learn, look
from harness.search.tracked import Tracked
from harness.search.tree import Tree

_LEAVES = 1 << 19  # that are known at one time
_EXACT = 1 << 16  # states that are known at one time by the identity of their parts


class Place(NamedTuple):
    """A state that is to be gone on from; `beside` is the number of what it has beside objects."""

    parts: Parts
    beside: int
    last: int = -1  # the event that led to it
    touched: int = 0  # what that event had to do with, a bit for each object


class Memo(Explorer):
    """One model, or two side by side, and what is known of its steps."""

    def __init__(self, bounds: Bounds) -> None:
        super().__init__(bounds)
        self.verify = self._until = bounds.verify
        models: list[Any] = self.models
        self._saved = [model.saved for model in models]
        self._objects = [each for saved in self._saved for each in saved.objects]
        self._takes = [functools.partial(*pair) for saved in self._saved for pair in saved.getters]
        fields = [own for saved in self._saved for own in saved.fields]
        ends = itertools.accumulate(len(saved.objects) for saved in self._saved)
        self._costs_at = [end - 1 for end in ends]
        # What it has cost is counted from zero each time, and decides nothing.
        watched = [() if n in self._costs_at else own for n, own in enumerate(fields)]
        self._tracked = Tracked(self._objects, watched)
        self._keys: dict[tuple[type, Any], int] = {}
        self._write_numbers: dict[Any, int] = {}
        self._besides: dict[Any, int] = {}
        self._beside_of: list[tuple[State, ...]] = []
        self._rests: list[Parts] = []
        self._grounds: list[Any] = []
        self._values: tuple[Any, ...] | None = None  # what stands in the objects now
        self._there = -1  # beside which the model is
        self._split = self._halves()
        self._valued = [bool(args) and args[-1] is None for _, _, args in self.events]
        self._ranks = [self.rank[verb] for _, verb, _ in self.events]
        first = self._stack[0]
        parts = list(first.parts[: len(self._objects)])
        for n in self._costs_at:
            parts[n] = Part(tuple(0 for _ in fields[n]), 1, (), ())
        self._forget()
        beside = self._beside(self._now_beside())
        self._first = Place(tuple(map(self._known, (*parts, *self._rests[beside]))), beside)
        self._places = [self._first]
        self._chain, self._depths = [0], {0: 0}  # the states in `_places`, and where they are

    def _halves(self) -> list[tuple[int, ...]]:
        """A switch is a sched_switch, and then the next task goes on; each is known by itself."""
        numbers = {event: n for n, event in enumerate(self.events)}
        found: list[tuple[int, ...]] = []
        for n, (actor, verb, args) in enumerate(self.events):
            half = numbers.get((actor, "sched_switch", args)) if verb == "switch" else None
            # Two models side by side are compared after each event, not in its middle.
            alone = half is None or len(self.models) > 1
            found.append((n,) if alone else (half or 0, -1 - int(actor[3:])))
        return found

    def _forget(self) -> None:
        """Know nothing any more."""
        self._trees: dict[tuple[int, int | None], Roots] = {}
        self._enabled_trees: Roots = {}
        self._checked: Roots = {}
        self._leaves = 0
        self._exact: set[Parts] = set()

    def only(self, wanted: Callable[[Any], bool]) -> None:
        super().only(wanted)
        self._enabled_trees = {}

    def forget(self) -> None:
        super().forget()
        self._chain, self._depths = [0], {0: 0}
        del self._places[1:]

    # States --------------------------------------------------------------------------------

    def _known(self, part: Part) -> Part:
        """A part that trees can ask."""
        if not hasattr(part, "keys"):
            keys = self._keys
            part.keys = tuple([keys.setdefault((v.__class__, v), len(keys)) for v in part.values])
            part.after = {}
            part.taken = 0
            for bits, _ in part.vals:
                number = fresh_number(bits)
                if number is not None:
                    part.taken |= 1 << number
        return part

    def _beside(self, there: tuple[State, ...]) -> int:
        """The number of what the model has beside its objects."""
        found = self._besides.get(there)
        if found is None:
            found = self._besides[there] = len(self._beside_of)
            self._beside_of.append(there)
            self._enter(found)
            anatomies = self.canon.anatomies
            grounds = [anatomy.ground() for anatomy in anatomies]
            rests = [self.canon._rest(a, g) for a, g in zip(anatomies, grounds, strict=True)]
            self._rests.append(tuple(map(self._known, rests)))
            self._grounds.append(grounds)
        return found

    def _now_beside(self) -> tuple[State, ...]:
        models: list[Any] = self.models
        return tuple([tuple([getattr(m, name) for name in m.captured[:-1]]) for m in models])

    def _enter(self, beside: int) -> None:
        """Let the model have this beside its objects."""
        if self._there != beside:
            self._now = None
            model: Any
            for model, those in zip(self.models, self._beside_of[beside], strict=True):
                for name, value in zip(model.captured, those, strict=False):
                    setattr(model, name, value)
            self._there = beside

    def _go(self, parts: Parts, beside: int) -> None:
        """Let the model be in a state."""
        values = tuple([part.values for part in parts[: len(self._objects)]])
        was = None if self._values is None else self._state(self._values, self._there)
        self.model.restore(self._state(values, beside), was)
        self._values, self._there, self._now = values, beside, None

    def _back(self, state: State) -> None:
        super()._back(state)
        self._values, self._there = None, -1  # it is the model's own now

    def _state(self, values: tuple[Any, ...], beside: int) -> State:
        """As the model, or the pair of models, captures it."""
        those = [(*each, 0) for each in self._beside_of[beside]]
        return (values, *those[0]) if len(those) == 1 else (values, *those)

    def _part(self, slot: int, values: tuple[Any, ...], near: Part, beside: int) -> Part:
        ground = self._grounds[beside][self.canon._of[slot]]
        self._enter(beside)
        return self._known(self.canon._part(slot, values, ground, near.values))

    def _moved(self, parts: Parts, beside: int) -> Parts:
        """Parts where the ground is another one: whom an address is of may have changed."""
        out = list(parts[: len(self._objects)])
        for slot, part in enumerate(out):
            moved = part.after.get(("ground", beside))
            if moved is None:
                moved = part
                if slot not in self._costs_at:
                    moved = self._part(slot, part.values, part, beside)
                part.after["ground", beside] = moved
            out[slot] = moved
        return (*out, *self._rests[beside])

    # Steps ---------------------------------------------------------------------------------

    def _step(self, parts: Parts, beside: int, half: int, value: int | None) -> Leaf:
        """What comes of an event, or of half a switch."""
        trees = self._trees.get((beside, value))
        if trees is None:
            trees = self._trees[beside, value] = {}
        leaf = look(trees.get(half), parts)
        return leaf if leaf is not None else self._ask(trees, parts, beside, half, value)

    def _ask(self, trees: Roots, parts: Parts, beside: int, half: int, value: int | None) -> Leaf:
        """Let it happen on the model, and learn what it reads and writes."""
        model, leaf = self.model, Leaf()
        self._go(parts, beside)
        model.step = 0
        self._tracked.begin()
        try:
            if half < 0:
                one: Any = self.models[0]
                one.run_on(-1 - half)
                go_on(one)
            else:
                event = self.events[half]
                if self.reach is not None:
                    leaf.reach = self.reach(event)
                self._turn(event[0])
                model.apply(*_with(event, value))
        except Refused:
            leaf.refused = True
        finally:
            reads, wrote = self._tracked.end()
        leaf.beside = beside
        leaf.happened = list(model.violations)
        now = list(self._values or ())
        for slot in (*wrote, *self._costs_at):
            now[slot] = self._takes[slot]()
        if not leaf.refused:
            if self.counted:
                leaf.happened += self._costs(dict.fromkeys(model.counts(), 0))
            leaf.beside = self._beside(self._now_beside())
            self._there = leaf.beside
            base = parts if leaf.beside == beside else self._moved_if(parts, beside, leaf.beside)
            leaf.writes = tuple(
                self._written(base[slot], slot, sorted(fields), now[slot], leaf.beside)
                for slot, fields in wrote.items()
            )
        self._values = tuple(now)
        learn(trees, half, reads, parts, leaf)
        self._leaves += 1
        return leaf

    def _turn(self, actor: str) -> None:
        """To the actor's CPU, so that the model is seen to look up who is current there."""
        model: Any
        for model in self.models:
            known = actor in model.tasks or actor in model.vcpus
            where = model.place(actor) if known else int(actor[3:])
            if where >= 0:
                model.run_on(where)

    def _moved_if(self, parts: Parts, before: int, after: int) -> Parts:
        """The same objects, beside something else."""
        if self._grounds[before] != self._grounds[after]:
            return self._moved(parts, after)
        return (*parts[: len(self._objects)], *self._rests[after])

    def _written(
        self, part: Part, slot: int, fields: list[int], values: tuple[Any, ...], beside: int
    ) -> Write:
        new = part if values == part.values else self._part(slot, values, part, beside)
        what = (slot, beside, tuple([(f, new.keys[f]) for f in fields]))
        number = self._write_numbers.setdefault(what, len(self._write_numbers))
        part.after[number] = new
        return Write(slot, number, tuple([(f, new.values[f]) for f in fields]))

    def _after(self, parts: Parts, before: int, leaf: Leaf) -> Parts:
        """The state that an event leads to."""
        beside = leaf.beside
        if beside != before:
            parts = self._moved_if(parts, before, beside)
        elif not leaf.writes:
            return parts
        new = list(parts)
        for slot, number, fields in leaf.writes:
            part = new[slot]
            found = part.after.get(number)
            if found is None:
                values = list(part.values)
                for f, v in fields:
                    values[f] = v
                found = part.after[number] = self._part(slot, tuple(values), part, beside)
            new[slot] = found
        return tuple(new)

    def _happens(self, place: Place, number: int) -> Place:
        """The state that an event leads to which is known to happen."""
        parts, beside, reach = place.parts, place.beside, 0
        value = _least(parts) if self._valued[number] else None
        for half in self._split[number]:
            leaf = self._step(parts, beside, half, value)
            assert not leaf.refused
            parts, beside, reach = (
                self._after(parts, beside, leaf),
                leaf.beside,
                reach or leaf.reach,
            )
        return Place(parts, beside, number, reach)

    def _can(self, parts: Parts, beside: int) -> list[int]:
        """The events that no model is sure to refuse."""
        leaf = look(self._enabled_trees.get(beside), parts)
        if leaf is None:
            leaf = self._answer(self._enabled_trees, parts, beside, self._enabled)
        found: list[int] = leaf.value
        return found

    def _wrong(self, parts: Parts, beside: int) -> tuple[Violation, ...]:
        """What a state shows by itself."""
        leaf = look(self._checked.get(beside), parts)
        if leaf is None:
            leaf = self._answer(
                self._checked, parts, beside, lambda: self.wrong(self.model.check())
            )
        found: tuple[Violation, ...] = leaf.value
        return found

    def _answer(self, trees: Roots, parts: Parts, beside: int, ask: Callable[[], object]) -> Leaf:
        self._go(parts, beside)
        self._tracked.begin()
        try:
            leaf = Leaf(ask())
        finally:
            reads, _ = self._tracked.end()
        learn(trees, beside, reads, parts, leaf)
        self._leaves += 1
        return leaf

    # What a search asks ----------------------------------------------------------------------

    def root(self) -> int:
        return self.canon.fingerprint(self._first.parts)

    def place(self, tree: Tree, index: int) -> Place:
        """The state of this number, by the events that led to it.

        States that are next to each other have most of their ways in common.
        """
        parents, places, way = tree.parents, self._places, []
        while index not in self._depths:
            way.append(index)
            index = parents[index]
        keep = self._depths[index] + 1
        for at in self._chain[keep:]:
            del self._depths[at]
        del self._chain[keep:], places[keep:]
        for at in reversed(way):
            places.append(self._happens(places[-1], tree.ways[at]))
            self._depths[at] = len(self._chain)
            self._chain.append(at)
        return places[-1]

    def node(self, tree: Tree, index: int) -> Node:
        place = self.place(tree, index)
        values = tuple([part.values for part in place.parts[: len(self._objects)]])
        return Node(place.parts, self._state(values, place.beside), place.last, place.touched)

    def slice(self, tree: Tree, start: int, end: int, depth: int) -> Slice:
        out = Slice(0, array("I"), array("H"), array("Q"), [], [])
        told: set[str] = set()
        transitions = 0
        fresh: set[int] = set()
        visited, fingerprint, ranks = tree.visited, self.canon.fingerprint, self._ranks
        commuting, exact = self.reach is not None, self._exact
        split, valued = self._split, self._valued
        for index in range(start, end):
            if self._leaves > _LEAVES:
                self._forget()
                exact = self._exact
            parts, beside, last, touched = self.place(tree, index)
            value = _least(parts)
            last_rank = ranks[last] if last >= 0 and commuting and touched else -1
            for number in self._can(parts, beside):
                half = split[number][0]
                first = self._step(parts, beside, half, value if valued[number] else None)
                reach = first.reach
                # It need not happen now, as it can as well before the last one (`_asleep`).
                if first.refused or (ranks[number] < last_rank and reach and not reach & touched):
                    continue
                happened = first.happened
                new, there = self._after(parts, beside, first), first.beside
                if len(split[number]) > 1:
                    second = self._step(new, there, split[number][1], None)
                    if second.refused:
                        continue
                    new, there = self._after(new, there, second), second.beside
                    if second.happened:
                        happened = [*happened, *second.happened]
                if self.verify:
                    self._verified(parts, beside, number, value, (new, there, happened))
                transitions += 1
                wrong: tuple[Violation, ...] = ()
                if happened:
                    wrong = self.wrong(happened)
                    for cost in self.costs(happened):
                        if cost.what not in told:
                            told.add(cost.what)
                            out.costs.append((index, number, cost))
                if not wrong:
                    if new in exact:
                        continue
                    if len(exact) > _EXACT:
                        exact.clear()
                    key = fingerprint(new)
                    if key in fresh or key in visited:
                        exact.add(new)
                        continue
                    wrong = self._wrong(new, there)
                if wrong:
                    out.wrong.append((index, number, wrong))
                    continue
                fresh.add(key)
                exact.add(new)
                out.parents.append(index)
                out.events.append(number)
                out.fingerprints.append(key)
        return out._replace(transitions=transitions)

    def _verified(
        self,
        parts: Parts,
        beside: int,
        number: int,
        value: int,
        step: tuple[Parts, int, list[Violation]],
    ) -> None:
        """Compare every so-many-th answer with the model's. Raises HarnessError."""
        self._until -= 1
        if self._until:
            return
        self._until = self.verify
        new, there, happened = step
        self._go(parts, beside)
        model = self.model
        model.step = 0
        event = _with(self.events[number], value if self._valued[number] else None)
        model.apply(*event)
        wrong = list(model.violations)
        self._values = values = model.capture()[0]
        self._there = self._beside(self._now_beside())
        same = self._there == there and [v.key for v in wrong] == [
            v.key for v in happened if v.kind != "cost"
        ]
        for slot, part in enumerate(new[: len(self._objects)]):
            if slot not in self._costs_at:
                same = same and _alike(self._part(slot, values[slot], part, there), part)
        if not same:
            raise HarnessError(
                f"explore: a tree and the model differ on {event}: please report this"
            )


def _alike(one: Part, other: Part) -> bool:
    """Whether two parts are the same, though not one object: parts are forgotten, and made anew."""
    return (one.digest, one.refs, one.vals) == (other.digest, other.refs, other.vals)


def _with(event: Event, value: int | None) -> Event:
    """An event of an alphabet with a value that the search has made up."""
    actor, verb, args = event
    return event if value is None else (actor, verb, (*args[:-1], (fresh(value),)))


def _least(parts: Parts) -> int:
    """The least value that no part holds."""
    taken = 0
    for part in parts:
        taken |= part.taken
    return (~taken & (taken + 1)).bit_length() - 1


def explorer_of(bounds: Bounds) -> Explorer:
    """What goes on from states within these bounds."""
    return Explorer(bounds) if bounds.plain else Memo(bounds)
