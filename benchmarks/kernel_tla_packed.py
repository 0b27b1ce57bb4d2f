"""The search of kernel_tla_search.py with a state as one number, a whole level at a time.

Parts are numbered as they come, and 21 bits of a state's number say which part stands where. What
a step makes of the parts that it has to do with is worked out by the functions of kernel_tla.py,
once for each such pair, and put in a table; all else is done by NumPy for all states of a level
at once. A state is its number and not a fingerprint, so no two are ever taken for one.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from kernel_tla import Broken, System
from kernel_tla_search import Part, Search
from numpy.typing import NDArray

BITS = 21
MASK = (1 << BITS) - 1
Numbers: TypeAlias = NDArray[np.int64]


class Runs:
    """The states that there have been, in sorted runs of which each is over twice the next."""

    def __init__(self) -> None:
        self.runs: list[Numbers] = []

    def __len__(self) -> int:
        return sum(map(len, self.runs))

    def fresh(self, keys: Numbers) -> NDArray[np.bool_]:
        """Which of these there have not been."""
        known = np.zeros(len(keys), dtype=np.bool_)
        for run in self.runs:
            at = np.searchsorted(run, keys)
            at[at == len(run)] = 0
            known |= run[at] == keys
        return ~known

    def add(self, keys: Numbers) -> None:
        """Sorted, and all of them fresh."""
        self.runs.append(keys)
        while len(self.runs) > 1 and len(self.runs[-2]) < 2 * len(self.runs[-1]):
            last = self.runs.pop()
            # Two sorted runs: what a stable sort merges.
            self.runs[-1] = np.sort(np.concatenate((self.runs[-1], last)), kind="stable")


class Steps:
    """What each pair (of the machine and a thread, or of all) leads to, by the pair's number."""

    def __init__(self, places: int) -> None:
        self.rows: dict[int, int] = {}
        self.first, self.many = array("q"), array("q")  # of a row
        self.parts = [array("q") for _ in range(places)]  # of a step: what there is then, or -1
        self.ways = array("q")


@dataclass(slots=True)
class Outcome:
    """What a search has come to."""

    transitions: int = 0
    depth: int = 0
    states: int = 0
    seconds: float = 0.0
    size: int = 0  # bytes of the states, and of the way to each
    broken: str = ""
    parents: list[NDArray[np.int32]] = field(default_factory=list)  # level by level
    ways: list[NDArray[np.uint16]] = field(default_factory=list)


class PackedSearch:
    """The search over one system."""

    def __init__(self, system: System) -> None:
        self.search = Search(system)
        self.parts: list[Part] = []
        self.numbers: dict[Part, int] = {}
        self.far = array("b")  # of each part: whether its step looks at one more thread
        self.places = 1 + len(system.threads)
        if self.places * BITS > 63:
            raise ValueError(f"{self.places - 1} threads: expected 2 at most")
        self.shifts = [BITS * at for at in range(self.places)]
        # For each thread, what it can do by itself, and what takes one more.
        self.tables = {
            (place, far): Steps(self.places)
            for place in range(1, self.places)
            for far in (False, True)
        }

    def number(self, part: Part) -> int:
        number = self.numbers.get(part)
        if number is None:
            number = self.numbers[part] = len(self.parts)
            if number > MASK:
                raise ValueError(f"{number} parts: expected {MASK} at most")
            self.parts.append(part)
            self.far.append(part.fields[1] in self.search.system.far)
        return number

    def run(self, depth: int = -1) -> Outcome:
        """To the end, to what does not hold, or to this many levels."""
        began = time.perf_counter()
        out = Outcome()
        visited = Runs()
        starts = []
        for machine, threads in self.search.system.starts():
            parts = (self.search.part(machine), *map(self.search.part, threads))
            starts.append(sum(self.number(p) << s for p, s in zip(parts, self.shifts, strict=True)))
        level = np.unique(np.array(starts, dtype=np.int64))
        visited.add(level)
        out.transitions, base = len(starts), 0
        out.parents.append(np.zeros(len(level), dtype=np.int32))
        out.ways.append(np.zeros(len(level), dtype=np.uint16))
        try:
            while len(level) and out.depth != depth:
                out.depth += 1
                keys, parents, ways = self.next(level)
                out.transitions += len(keys)
                keys, first = np.unique(keys, return_index=True)
                fresh = visited.fresh(keys)
                first = first[fresh]
                out.parents.append((parents[first] + base).astype(np.int32))
                out.ways.append(ways[first].astype(np.uint16))
                base += len(level)
                level = keys[fresh]
                if len(level):
                    visited.add(level)
        except Broken as error:
            out.broken = str(error)
        out.seconds = time.perf_counter() - began
        out.states = len(visited)
        out.size = sum(run.nbytes for run in visited.runs)
        out.size += sum(each.nbytes for each in out.parents) + sum(each.nbytes for each in out.ways)
        return out

    def next(self, level: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """What these states lead to: the states, the one before each (by its place), the step."""
        columns = [level >> shift & MASK for shift in self.shifts]
        far = np.array(self.far, dtype=np.bool_)
        alive = np.zeros(len(level), dtype=np.int64)
        found: list[tuple[Numbers, Numbers, Numbers]] = []
        for place in range(1, self.places):
            looks_far = far[columns[place]]
            for more in (False, True):
                which = np.flatnonzero(looks_far == more)
                if not len(which):
                    continue
                table = self.tables[place, more]
                rows = self.rows(table, level[which], place, more)
                many = np.frombuffer(table.many, dtype=np.int64)[rows]
                alive[which] += many
                # The steps of each state stand in the table one after the other.
                end = np.cumsum(many)
                at = np.arange(end[-1]) - np.repeat(end - many, many)
                at += np.repeat(np.frombuffer(table.first, dtype=np.int64)[rows], many)
                parents = np.repeat(which, many)
                keys = np.zeros(len(at), dtype=np.int64)
                for column, shift, parts in zip(columns, self.shifts, table.parts, strict=True):
                    after = np.frombuffer(parts, dtype=np.int64)[at]
                    keys |= np.where(after < 0, column[parents], after) << shift
                found.append((keys, parents, np.frombuffer(table.ways, dtype=np.int64)[at]))
        if not alive.all():
            raise Broken("deadlock")
        keys, parents, ways = (np.concatenate(each) for each in zip(*found, strict=True))
        return keys, parents, ways

    def rows(self, table: Steps, states: Numbers, place: int, more: bool) -> Numbers:
        """The row of the table for each state; those that are not there yet are worked out."""
        pairs = states if more else states & (MASK | MASK << self.shifts[place])
        pairs, one, which = np.unique(pairs, return_index=True, return_inverse=True)
        known = table.rows
        rows = []
        for pair, at in zip(pairs.tolist(), one.tolist(), strict=True):
            row = known.get(pair)
            if row is None:
                row = known[pair] = len(table.first)
                self.work_out(table, int(states[at]), place)
            rows.append(row)
        return np.array(rows, dtype=np.int64)[which]

    def work_out(self, table: Steps, state: int, place: int) -> None:
        parts: Any = tuple([self.parts[state >> shift & MASK] for shift in self.shifts])
        steps = self.search.steps(parts, place)
        table.first.append(len(table.ways))
        table.many.append(len(steps))
        for step in steps:
            changed = dict(step.parts)
            for at, column in enumerate(table.parts):
                column.append(self.number(changed[at]) if at in changed else -1)
            table.ways.append(step.way)
