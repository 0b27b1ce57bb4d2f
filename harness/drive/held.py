"""A machine's log, held against a model: trace by trace, answer by answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.drive import of
from harness.drive.outcome import Held
from harness.drive.script import Log, Ran
from harness.dsl.nodes import Trace
from harness.dsl.reader import parse
from harness.errors import HarnessError, SourceError
from harness.model import architecture
from harness.model.catalogue import Kernel

_MOST = 8  # fixes that a single change takes along: with more it is another kernel


class Played(NamedTuple):
    """A trace of a log."""

    ran: Ran
    trace: Trace
    held: Held


class Change(NamedTuple):
    """A kernel that differs by one fix (and what that needs), and how many answers differ there."""

    change: str
    differs: int


def hold_log(path: str, log: Log, kernel: Kernel, mode: str) -> Iterator[Played]:
    """Each trace with a result. Raises HarnessError if one is damaged, or of another mode."""
    for ran in log.tests:
        if ran.skipped or not ran.result:  # the log ends within it
            continue
        try:
            trace = parse(Path(f"{path}: {ran.id}"), tuple(ran.source), scratch=True)
        except SourceError as error:
            raise HarnessError(
                f"{path}:{ran.number}: the trace of {ran.id} is damaged\n{error}"
            ) from None
        if mode not in trace.modes:
            raise HarnessError(
                f"{path}:{ran.number}: {ran.id} is not of {mode}: give another --mode"
            )
        yield Played(
            ran, trace, of(trace.arch).hold(trace, ran.answers, kernel, mode, not ran.lost)
        )


def agreeing(tests: Sequence[Played], kernel: Kernel, mode: str, seconds: float) -> list[Change]:
    """Single changes of `kernel` on which fewer answers differ, the best first."""
    odd = [test for test in tests if test.held.differs]
    if not odd:
        return []
    before = sum(len(test.held.differs) for test in odd)
    found = []
    until = time.monotonic() + seconds
    catalogue = architecture(odd[0].trace.arch).catalogue
    for fix in catalogue.fixes.values():
        if not fix.switch or time.monotonic() > until:
            continue
        other, change = catalogue.toggled(kernel, fix.id)
        if len(other.fixes ^ kernel.fixes) > _MOST:
            continue
        left = 0
        for test in odd:
            left += len(of(test.trace.arch).hold(test.trace, test.ran.answers, other, mode).differs)
            if left >= before:
                break
        if left < before:
            found.append(Change(change, left))
    return sorted(found, key=lambda one: (one.differs, len(one.change)))
