"""Random traces on a real machine, held against the model; what differs is reduced there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
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
_ROUNDS = 12  # boots that it takes at most to reduce what differs

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

    The candidates of all traces are carried out in one boot, and the shortest of each is kept.
    """
    now = {group[0].ran.id: group[0] for group in alike(odd)}
    size = {name: max(len(_events(test)) // 2, 1) for name, test in now.items()}
    for _ in range(_ROUNDS):
        wanted = {name: [*_shorter(plan, now[name], size[name])] for name in now if size[name]}
        tests = [test for some in wanted.values() for test in some]
        if not tests:
            break
        found: dict[str, Played] = {}
        for test in hold_log("the log", run(tests), plan.kernel, plan.mode):
            name = test.ran.id.rsplit(".", 1)[0]
            better = name not in found or len(_events(test)) < len(_events(found[name]))
            if test.held.differs and not test.ran.lost and better:
                found[name] = test
        for name in wanted:
            if name in found:
                now[name] = found[name]
                size[name] = min(size[name], max(len(_events(found[name])) // 2, 1))
            else:
                size[name] //= 2
    return [*now.values()]


def _events(test: Played) -> list[Event]:
    return [statement for statement in test.trace.body if isinstance(statement, Event)]


def _shorter(plan: Plan, test: Played, size: int) -> Iterator[Driven]:
    """The trace without some events that follow one another, or without what no one looks at."""
    events = _events(test)
    last = min((one.line for one in test.held.differs), default=0)
    name = test.ran.id.split(".", 1)[0]
    source = test.trace.source
    for first in range(0, len(events), size):
        gone = {event.line for event in events[first : first + size]}
        gone |= {event.line for event in events if event.line > last}
        lines = tuple(text for n, text in enumerate(source, 1) if n not in gone)
        shorter = driven(plan, f"{name}.{first}", lines)
        if shorter is not None:
            yield shorter
