"""Every state of the transition system in kernel_tla.py, breadth first, on the search's own tree.

`harness.search.explore` walks to a state again to go on from it, as the models of this project are
too large to be kept; here the states of one level are kept until it is done, as TLC keeps
its queue. What stays of a state is what stays there: a fingerprint, the state before, the step.

A state is made of parts that states share: the machine, and each thread. Each step of each state is
taken by the functions of kernel_tla.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from kernel_tla import AWAITING, CPU, FIELDS, Broken, Machine, System, Thread, claim

from harness.search.canon import digest
from harness.search.tree import Tree


class Part:
    """The fields of the machine or of a thread; two that are equal are one object."""

    __slots__ = ("digest", "fields", "still")

    def __init__(self, fields: tuple[Any, ...], still: bool) -> None:
        self.fields = fields
        self.digest = digest(repr(fields).encode())
        self.still = still  # at a label that waits for a CPU


State = tuple[Part, ...]  # the machine, then the threads


class Step(NamedTuple):
    """What one step comes to: in any state with the same machine and the same thread."""

    way: int  # who, and which action of those of the label
    turn: int  # what it does to the fingerprint
    parts: tuple[tuple[int, Part], ...]  # by place


@dataclass(slots=True)
class Outcome:
    """What a search has come to."""

    tree: Tree
    transitions: int = 0  # the first states count as one each, as TLC counts them
    depth: int = 0  # levels, with the first one
    widest: int = 0
    seconds: float = 0.0
    broken: str = ""  # the first thing that does not hold, at the last level

    @property
    def states(self) -> int:
        return len(self.tree)

    @property
    def size(self) -> int:
        return self.tree.size


class Search:
    """The search over one system."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.parts: dict[tuple[Any, ...], Part] = {}

    def part(self, thing: Machine | Thread) -> Part:
        """The part with these fields. Invariants are of one part each: a new one is checked."""
        key = FIELDS[type(thing)](thing)
        part = self.parts.get(key)
        if part is None:
            if isinstance(thing, Machine):
                self.system.sched_inv(thing)
            else:
                self.system.type_inv(thing)
            still = isinstance(thing, Thread) and thing.pc in AWAITING
            part = self.parts[key] = Part(key, still)
        return part

    def steps(self, state: State, place: int) -> list[Step]:
        """All that the thread at this place can do."""
        machine, me = state[0], state[place]
        label = me.fields[1]
        if machine.fields[0][place - 1] != CPU:
            claim(me.still, f"{label}: the thread has a CPU")
            return []
        found = []
        for number, action in enumerate(self.system.actions[label]):
            m, thread = Machine(*machine.fields), Thread(*me.fields)
            if action(m, thread) is not False:
                after = (0, self.part(m)), (place, self.part(thread))
                found.append(self.step(state, place << 8 | number, after))
        far = self.system.far.get(label)
        if far is not None:
            m, thread = Machine(*machine.fields), Thread(*me.fields)
            to = Thread(*state[1 + thread.next].fields)
            far(m, thread, to)
            parts = (0, self.part(m)), (place, self.part(thread)), (1 + to.number, self.part(to))
            found.append(self.step(state, place << 8 | 0xFF, parts))
        return found

    def step(self, state: State, way: int, after: tuple[tuple[int, Part], ...]) -> Step:
        changed = tuple([(at, part) for at, part in after if part is not state[at]])
        turn = 0
        for at, part in changed:
            turn ^= state[at].digest ^ part.digest
        return Step(way, turn, changed)

    def run(self, depth: int = -1) -> Outcome:
        """To the end, to what does not hold, or to this many levels."""
        began = time.perf_counter()
        level: list[tuple[int, int, State]] = []
        out: Outcome | None = None
        for machine, threads in self.system.starts():
            state = (self.part(machine), *map(self.part, threads))
            key = 0
            for part in state:
                key ^= part.digest
            if out is None:
                out = Outcome(Tree(key))
            else:
                out.tree.add(key, 0, 0)
            level.append((len(out.tree) - 1, key, state))
        assert out is not None
        out.transitions = len(level)
        try:
            while level and out.depth != depth:
                out.depth += 1
                out.widest = max(out.widest, len(level))
                level = self.next(out, level)
        except Broken as error:
            out.broken = str(error)
        out.seconds = time.perf_counter() - began
        return out

    def next(
        self, out: Outcome, level: list[tuple[int, int, State]]
    ) -> list[tuple[int, int, State]]:
        """The level that comes after one."""
        found = []
        tree = out.tree
        places = [1 + number for number in self.system.threads]
        for index, fingerprint, state in level:
            dead = True
            for place in places:
                for way, turn, parts in self.steps(state, place):
                    dead = False
                    out.transitions += 1
                    key = fingerprint ^ turn
                    if tree.add(key or 1, index, way):
                        after = list(state)
                        for at, part in parts:
                            after[at] = part
                        found.append((len(tree) - 1, key, tuple(after)))
            if dead:
                raise Broken("deadlock")
        return found
