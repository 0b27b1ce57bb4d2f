"""Random traces on a real machine, held against the model; what differs is reduced there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import NamedTuple

from harness.drive import of
from harness.drive.held import Played, hold_log
from harness.drive.script import Driven, Log
from harness.drive.undriven import Undriven
from harness.dsl.nodes import Event, Trace
from harness.dsl.reader import parse
from harness.errors import SourceError
from harness.model.catalogue import Kernel

BATCH = 1000  # traces of one boot
_PLAIN = 10  # of so many traces that tell nothing of any fix, one is driven all the same
_SHARES = (1.0, 1.0, 0.6, 0.6, 0.3, 0.3, 0.15)  # of what could be left out, all together
_ROUNDS = 40  # boots that it takes at most to reduce what differs

Run = Callable[[Sequence[Driven]], Log]
"""Carries tests out on a machine."""


class Plan(NamedTuple):
    """What is driven, and on what kernel the model says what is right."""

    arch: str
    kernel: Kernel
    mode: str
    settings: dict[str, tuple[int, int]]
    seed: int


@dataclass(slots=True)
class Tally:
    """What came of it so far; `lost` are not carried out to their end, `differ` are reduced."""

    traces: int = 0
    compared: int = 0
    reads: int = 0
    lost: list[Played] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)  # in which the log ends
    unentitled: list[Played] = field(default_factory=list)
    differ: list[Played] = field(default_factory=list)


def random_tests(plan: Plan) -> Iterator[Driven]:
    """Traces that tell something of some fix, and a few others; without an end."""
    drive = of(plan.arch)
    plain = 0
    for number in count():
        lines = drive.make(plan.kernel, plan.mode, plan.settings, plan.seed, number)
        test = driven(plan, f"r{plan.seed}-{number}", tuple(lines))
        if test is None:
            continue
        if not drive.tells(_read(test.id, test.source), plan.kernel, plan.mode):
            plain += 1
            if plain % _PLAIN:
                continue
        yield test


def driven(plan: Plan, name: str, lines: tuple[str, ...]) -> Driven | None:
    """These lines as a test, None if they cannot be driven or are no trace."""
    try:
        test: Driven = of(plan.arch).plan(_read(name, lines), plan.kernel, plan.mode)
    except (Undriven, SourceError):
        return None
    return test


def _read(name: str, lines: tuple[str, ...]) -> Trace:
    return parse(Path(name), lines, scratch=True)


def hold(plan: Plan, log: Log, tally: Tally) -> list[Played]:
    """Take in what came of a batch; those that differ."""
    odd = []
    tally.cut += [ran.id for ran in log.tests if not ran.result]
    for test in hold_log("the log", log, plan.kernel, plan.mode):
        tally.traces += 1
        tally.compared += test.held.compared
        tally.reads += test.held.reads
        if test.ran.lost:
            tally.lost.append(test)
        elif test.held.differs:
            odd.append(test)
        elif test.ran.unentitled:
            tally.unentitled.append(test)
    return odd


def alike(odd: Sequence[Played]) -> list[list[Played]]:
    """Traces whose first differences are of one kind: of the same verb, and the same register."""
    kinds: dict[tuple[str, str], list[Played]] = {}
    for test in sorted(odd, key=lambda test: len(_events(test))):
        first = test.held.differs[0]
        verb = next(event.verb for event in _events(test) if event.line == first.line)
        kinds.setdefault((verb, first.what), []).append(test)
    return [*kinds.values()]


def reduced(plan: Plan, odd: Sequence[Played], run: Run) -> list[Played]:
    """One of each kind that differs, as short as leaving events out makes it while it differs.

    The candidates of all traces are carried out in one boot. In turn they lack some events that
    follow one another, and all or a part of those that could be left out each by itself.
    """
    now = {group[0].ran.id.split("_")[0]: group[0] for group in alike(odd)}
    size = {name: max(len(_events(test)) // 8, 1) for name, test in now.items()}
    left_out: dict[str, list[frozenset[int]]] = {name: [] for name in now}
    for _ in range(_ROUNDS):
        wanted = {}
        for name in now:
            parts = _unions(plan, now[name], left_out[name]) or _pieces(now[name], size[name])
            wanted[name] = [(gone, _without(plan, now[name], gone)) for gone in parts]
        lines = {test.id: gone for some in wanted.values() for gone, test in some if test}
        tests = [test for some in wanted.values() for _, test in some if test]
        if not tests:
            break
        better: dict[str, list[Played]] = {name: [] for name in now}
        for test in hold_log("the log", run(tests), plan.kernel, plan.mode):
            if test.held.differs and not test.ran.lost:
                better[test.ran.id.split("_")[0]].append(test)
        for name, found in better.items():
            tried_pieces = not left_out[name]
            left_out[name] = [lines[test.ran.id] for test in found] if tried_pieces else []
            if tried_pieces and len(found) > 1:
                continue  # all of them together, next
            left_out[name] = []
            if found:
                now[name] = min(found, key=lambda test: len(_events(test)))
            size[name] = _smaller(size[name], now[name], bool(found))
    return [*now.values()]


def _smaller(size: int, test: Played, found: bool) -> int:
    return min(size, max(len(_events(test)) // 4, 1)) if found else size // 2


def _events(test: Played) -> list[Event]:
    return [statement for statement in test.trace.body if isinstance(statement, Event)]


def _pieces(test: Played, size: int) -> list[frozenset[int]]:
    """The lines of so many events that follow one another, each time others."""
    if not size:
        return []
    lines = [event.line for event in _events(test)]
    return [frozenset(lines[n : n + size]) for n in range(0, len(lines), size)]


def _unions(plan: Plan, test: Played, parts: list[frozenset[int]]) -> list[frozenset[int]]:
    """Each part by itself, and many of them together, in some orders: as many as can be missing."""
    random = Random(test.ran.id)
    found = [*parts]
    for share in _SHARES if len(parts) > 1 else ():
        together: frozenset[int] = frozenset()
        for part in random.sample(parts, math.ceil(share * len(parts))):
            if _without(plan, test, together | part) is not None:
                together |= part
        if together:
            found.append(together)
    return found


def _without(plan: Plan, test: Played, gone: frozenset[int]) -> Driven | None:
    """The trace without these lines, and without what comes after the first difference."""
    last = test.held.differs[0].line
    later = {event.line for event in _events(test) if event.line > last}
    source = test.trace.source
    lines = tuple(text for n, text in enumerate(source, 1) if n not in gone and n not in later)
    name = test.ran.id.split("_")[0]
    return driven(plan, f"{name}_{min(gone)}-{len(gone)}-{max(gone)}", lines)
