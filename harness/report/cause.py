"""Why a violation happened: the event that led to it, and what became of the values.

A kernel where the trace goes wrong is compared with one where it does not (`graft`). The cause is
the event after which the state that the second is in no longer leads to the violation, where the
state before it still did.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from harness.dsl.nodes import Trace
from harness.engine.replay import Replay, Step
from harness.model.base import Refused, State, Violation
from harness.model.catalogue import Kernel
from harness.model.values import Val
from harness.report.graft import Rows, Run, ancestors, first_cured, graft, hidden
from harness.report.story import reaction_line
from harness.search.play import way_of

NOTHING = "nothing"
_V = re.compile(r"\.v([0-9]+)$")
_LONG = 10  # events at either end of a long chain that are looked at


@dataclass(slots=True)
class Sighting:
    """Where a value was: after which step, in which registers and images."""

    line: int
    places: list[str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A place of the state, as `show` prints it, and what it is on each of the two kernels."""

    place: str
    bad: str
    good: str


@dataclass(slots=True)
class Link:
    """An event that carries the difference on, and what differs after it.

    `step` is None before the first event. `exact` tells that these differences, and no fewer, lead
    to the violation; else they are all that there are.
    """

    step: Step | None
    differences: list[Difference] = field(default_factory=list)
    exact: bool = True


@dataclass(slots=True)
class Cause:
    """What is known about one violation.

    `number` counts from 1. `links` begins with the cause; it is empty where there is no kernel to
    compare with, or where the other one violates the same (`shared`). `did` is what the two
    kernels did differently in that first event.
    `inevitable` is the first step after which its context would meet the violation if it were
    run at once, and at every later point too; None where the violation is an act (a pointer
    followed, a warning) and not a state.
    """

    number: int
    violation: Violation
    step: Step
    line: int
    links: list[Link] = field(default_factory=list)
    proven: bool = True
    shared: bool = False
    did: list[str] = field(default_factory=list)
    inevitable: Step | None = None
    got_from: str = ""
    want_from: str = ""
    last_seen: Sighting | None = None
    gone_after: Step | None = None


def explain(
    trace: Trace,
    kernel: Kernel,
    mode: str,
    against: Kernel | None = None,
    numbers: Iterable[int] | None = None,
) -> list[Cause]:
    """The causes of the violations of these numbers (without any: of all), in order."""
    bad = Run(trace, kernel, mode)
    good = Run(trace, against, mode) if against is not None else None
    lines = [line for line, _ in bad.replay.outcome.violations]
    wanted = None if numbers is None else set(numbers)
    causes = []
    for number, (at, violation) in enumerate(bad.found(), 1):
        if wanted is not None and number not in wanted:
            continue
        cause = Cause(number, violation, bad.steps[at], lines[number - 1])
        if good is not None:
            _compare(bad, good, at, cause)
        cause.inevitable = _inevitable(bad.replay, bad.states, bad.steps, at, violation)
        if violation.got is not None:
            cause.got_from = _origin(bad, violation.got)
        if violation.want is not None:
            cause.want_from = _origin(bad, violation.want)
            if violation.want.origin:
                _follow(bad.replay, bad.states, bad.steps, at, violation, cause)
        causes.append(cause)
    return causes


# What differs ------------------------------------------------------------------------------


def _compare(bad: Run, good: Run, at: int, cause: Cause) -> None:
    """Fill in the links from the event that led to a violation to where it shows."""
    violation = cause.violation
    if any(_alike(v, violation) for step in good.steps[: at + 1] for v in step.violations):
        cause.shared = True
        return

    def cured(after: int) -> bool:
        return not bad.goes_wrong(good.states[after], after, at, violation)

    first = first_cured(at + 1, cured)
    cause.proven = first is not None
    if first is None:
        first = _first_difference(bad, good, at)
    for after in _stations(first, at + 1):
        link = _link(bad, good, after, at, violation, cause.proven)
        places = [d.place for d in link.differences]
        if after == first or (places and places != [d.place for d in cause.links[-1].differences]):
            cause.links.append(link)
        if not cause.proven:
            break
    if first > 0:
        cause.did = _did(bad.steps[first - 1], good.steps[first - 1])


def _alike(one: Violation, other: Violation) -> bool:
    """Whether one kernel violates what the other does; an expectation may get another value."""
    if one.kind == "expect":
        return (one.kind, one.what) == (other.kind, other.what)
    return (way_of(one), one.who) == (way_of(other), other.who)


def _stations(first: int, last: int) -> Iterable[int]:
    if last - first <= 8 * _LONG:
        return range(first, last + 1)
    return (*range(first, first + _LONG), *range(last - _LONG + 1, last + 1))


def _first_difference(bad: Run, good: Run, at: int) -> int:
    """After how many events `show` prints something else for the first time."""
    for after, (one, other) in enumerate(zip(bad.rows, good.rows, strict=False)):
        if one != other or (after and _did(bad.steps[after - 1], good.steps[after - 1])):
            return min(after, at + 1)
    return at + 1


def _link(bad: Run, good: Run, after: int, at: int, violation: Violation, proven: bool) -> Link:
    step = bad.steps[after - 1] if after else None
    if proven and after <= at + 1:
        places = ancestors(bad, good, after, at, violation)
        if places:
            state, donor = bad.states[after], good.states[after]
            mended = bad.rows_of(graft(state, donor, places))
            differences = _differences(bad.rows[after], mended)
            if not differences:
                differences = _differences(hidden(bad, state, places), hidden(bad, donor, places))
            return Link(step, differences)
        return Link(step)
    return Link(step, _differences(bad.rows[after], good.rows[after]), exact=False)


def _differences(bad: Rows, good: Rows) -> list[Difference]:
    found = {
        place: Difference(place, bad.get(place, NOTHING), good.get(place, NOTHING))
        for place in dict.fromkeys([*bad, *good])
        if bad.get(place) != good.get(place)
    }
    for place in [*found]:  # V is shown as the low part of Z where there is any
        z = _V.sub(r".z\1", place)
        if z != place and z in found:
            one, two = found.pop(place), found.pop(z)
            worse = two.bad if one.bad == NOTHING else one.bad
            better = two.good if one.good == NOTHING else one.good
            if worse != better:
                found[z] = Difference(z, worse, better)
    return list(found.values())


def _did(bad: Step, good: Step) -> list[str]:
    """What only one of two kernels did in an event: `- ` the first, `+ ` the second."""
    one = [reaction_line(reaction) for reaction in bad.reactions]
    other = [reaction_line(reaction) for reaction in good.reactions]
    found = []
    for tag, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag != "equal":
            found += [f"- {line}" for line in one[a:b]] + [f"+ {line}" for line in other[c:d]]
    return found


# What is known without another kernel ------------------------------------------------------


def _inevitable(
    replay: Replay, states: list[State], steps: list[Step], at: int, violation: Violation
) -> Step | None:
    """Walk back from the violation while running its context at once still shows it."""
    model = replay.model
    first: Step | None = None
    for n in range(at, -1, -1):
        model.restore(states[n + 1])
        try:
            model.settle(violation.who)
        except (Refused, KeyError):
            break
        shown = [*model.violations, *model.check()]
        same = [v for v in shown if (v.kind, v.who) == (violation.kind, violation.who)]
        if not same or (n < at and not any(v.what == violation.what for v in same)):
            break
        first = steps[n]
    return first


def _origin(run: Run, val: Val) -> str:
    if val.origin is None:
        return "" if val.bits else "a register or an image that was zero or reset"
    who, line = val.origin
    event = next((s.event for s in run.steps if s.event.line == line), None)
    writer, owner = who, ""
    if event is not None and who in event.args:
        writer, owner = event.actor.text, f" for {who}"  # as a VMM does for its vcpu
    written = _numbers(event.args) if event is not None else set()
    if val.bits not in written and any(bits & val.bits == val.bits for bits in written):
        return f"what is left of the value that {writer} wrote{owner} in line {line}"
    return f"written by {writer}{owner} in line {line}"


def _numbers(args: object) -> set[int]:
    """The values that an event writes: tuples of numbers alone, whatever they are in."""
    if not isinstance(args, tuple):
        return set()
    if args and all(isinstance(arg, int) for arg in args):
        return set(args)
    return set().union(*map(_numbers, args)) if args else set()


def _follow(
    replay: Replay,
    states: list[State],
    steps: list[Step],
    at: int,
    violation: Violation,
    cause: Cause,
) -> None:
    """Find the last step up to the violation after which the value still was somewhere."""
    assert violation.want is not None
    for n in range(at, -1, -1):
        replay.model.restore(states[n + 1])
        places = replay.model.places(violation.what, violation.want)
        if places:
            cause.last_seen = Sighting(steps[n].event.line, places)
            cause.gone_after = steps[n + 1] if n < at else None
            return
