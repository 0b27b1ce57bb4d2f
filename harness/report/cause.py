"""Why a violation happened: when it could no longer be avoided, and what became of the values."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.dsl.nodes import Trace
from harness.engine.replay import Replay, Step
from harness.model.base import Refused, State, Violation
from harness.model.catalogue import Kernel
from harness.model.values import Val


@dataclass(slots=True)
class Sighting:
    """Where a value was: after which step, in which registers and images."""

    line: int
    places: list[str]


@dataclass(slots=True)
class Cause:
    """What is known about one violation.

    `inevitable` is the first step after which its context would meet the
    violation if it were run at once, and at every later point too; None where
    the violation is an act (a pointer followed, a warning) and not a state.
    """

    violation: Violation
    step: Step
    inevitable: Step | None = None
    got_from: str = ""
    want_from: str = ""
    last_seen: Sighting | None = None
    gone_after: Step | None = None
    steps: list[Step] = field(default_factory=list)


def explain(trace: Trace, kernel: Kernel, mode: str, number: int = 1) -> Cause | None:
    """The cause of the violation of this number (from 1) in this replay, None without one."""
    replay = Replay(trace, kernel, mode, record=True)
    states: list[State] = [replay.model.capture()]
    steps: list[Step] = []
    for step in replay.steps():
        steps.append(step)
        states.append(replay.model.capture())
    found = [(step, v) for step in steps for v in step.violations]
    if not found:
        return None
    step, violation = found[number - 1]
    cause = Cause(violation, step, steps=steps)
    at = steps.index(step)
    cause.inevitable = _inevitable(replay, states, steps, at, violation)
    if violation.got is not None:
        cause.got_from = _origin(violation.got)
    if violation.want is not None:
        cause.want_from = _origin(violation.want)
        if violation.want.origin:
            _follow(replay, states, steps, at, violation, cause)
    return cause


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


def _origin(val: Val) -> str:
    if val.origin is None:
        return "a register or an image that was zero or reset"
    return f"written by {val.origin.context} in line {val.origin.step}"


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
