"""Two kernels in step: whose state, put into the other's run, ends a violation.

The same events run on a kernel where something goes wrong and on one where it does not. The
state that the second is in after some event is put into the first, as a whole or a few of its
fields, and the first goes on from there. If the violation is gone, what was put in had led to it
(Cleve and Zeller, "Locating causes of program failures", ICSE 2005).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.dsl.nodes import Expect, Trace
from harness.engine.replay import Replay, Step
from harness.model.base import Model, Refused, State, Violation, shown
from harness.model.catalogue import Kernel
from harness.model.saving import Saved
from harness.model.values import Bank, Val
from harness.report.story import flatten
from harness.search.play import way_of
from harness.search.shrink import shrink

Place = tuple[int, ...]
"""Where a field is in a captured state: the part, or the object of the part and its field."""

Rows = dict[str, str]
"""What `show` prints of a state, a text for each place, with the fields of registers apart."""

_WRONG = (Refused, LookupError, AssertionError, AttributeError, TypeError, ValueError)


class Run:
    """A replay with the state before the first event and after each."""

    def __init__(self, trace: Trace, kernel: Kernel, mode: str) -> None:
        self.replay = Replay(trace, kernel, mode, record=True)
        self.model: Model = self.replay.model
        self.states: list[State] = [self.model.capture()]
        self.rows: list[Rows] = [rows(self.model)]
        self.steps: list[Step] = []
        for step in self.replay.steps():
            self.steps.append(step)
            self.states.append(self.model.capture())
            self.rows.append(rows(self.model))
        self.expects = _expects(trace)

    def found(self) -> list[tuple[int, Violation]]:
        """Every violation, with the number of its step (from 0)."""
        return [(n, v) for n, step in enumerate(self.steps) for v in step.violations]

    def goes_wrong(self, state: State, after: int, at: int, violation: Violation) -> bool:
        """Whether it shows, from `state` after so many events, up to the event `at`.

        A state that this kernel cannot be in tells nothing: it counts as going wrong.
        """
        model, way = self.model, (way_of(violation), violation.who)
        try:
            model.restore(state)
            if after > at:
                if violation.kind in ("expect", "cost"):
                    return self._fails(at, violation, only="state")
                return any((way_of(v), v.who) == way for v in model.check())
            for n in range(after, at + 1):
                event = self.steps[n].event
                model.violations.clear()
                if model.fatal and model.dead(event.actor.text):
                    continue
                model.step = event.line
                model.apply(event.actor.text, event.verb, event.args)
                if violation.kind not in ("expect", "cost"):
                    seen = (*model.violations, *model.check())
                    if any((way_of(v), v.who) == way for v in seen):
                        return True
            return self._fails(at, violation)
        except _WRONG:
            return True

    def _fails(self, at: int, violation: Violation, only: str = "") -> bool:
        """Whether an expectation after this event (of kind `only`) fails, or a budget is spent."""
        if violation.kind == "cost":
            most = self.replay.trace.budget.get(violation.what)
            return most is not None and self.model.counts()[violation.what] > most
        if violation.kind != "expect":
            return False
        return any(
            bool(self.model.observe(expect.what, expect.args))
            for text, expect in self.expects.get(self.steps[at].event.line, ())
            if text == violation.what and only in ("", expect.what)
        )

    def rows_of(self, state: State) -> Rows:
        """What `show` prints of a captured state."""
        self.model.restore(state)
        return rows(self.model)


def _expects(trace: Trace) -> dict[int, list[tuple[str, Expect]]]:
    """The expectations after each event, by the event's line, with their text."""
    found: dict[int, list[tuple[str, Expect]]] = {}
    line = 0
    for statement in trace.body:
        if isinstance(statement, Expect):
            text = trace.source[statement.line - 1].split("#")[0].strip()
            found.setdefault(line, []).append((text, statement))
        elif hasattr(statement, "verb"):
            line = statement.line
    return found


def rows(model: Model) -> Rows:
    """What `show` prints of a state, and the counters."""
    found: Rows = {}
    for place, text in flatten(model.snapshot()).items():
        words = text.split()
        if words and all("=" in word for word in words):
            for word in words:
                name, _, value = word.partition("=")
                found[f"{place}.{name}"] = value
        else:
            found[place] = text
    found |= {f"count of {name}": str(n) for name, n in model.counts().items() if n}
    return found


def differing(one: State, other: State) -> list[Place]:
    """The fields in which two captured states differ."""
    found: list[Place] = []
    for n, (a, b) in enumerate(zip(one, other, strict=True)):
        if _objects(a) and _objects(b) and len(a) == len(b):
            for m, (mine, theirs) in enumerate(zip(a, b, strict=True)):
                if mine is not theirs:
                    pairs = enumerate(zip(mine, theirs, strict=True))
                    found += [(n, m, k) for k, (x, y) in pairs if not _same(x, y)]
        elif not _same(a, b):
            found.append((n,))
    return found


def _objects(part: Any) -> bool:
    """Whether a part of a state is the objects' fields."""
    return isinstance(part, tuple) and bool(part) and all(type(each) is tuple for each in part)


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, Bank) and isinstance(b, Bank):
        return a.same(b)
    if isinstance(a, Val) and isinstance(b, Val):
        return a.bits == b.bits
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


def graft(state: State, donor: State, places: Sequence[Place]) -> State:
    """`state` with these fields of `donor`."""
    parts: list[Any] = list(state)
    for place in places:
        if len(place) == 1:
            parts[place[0]] = donor[place[0]]
            continue
        n, m, k = place
        objects = list(parts[n])
        fields = list(objects[m])
        fields[k] = donor[n][m][k]
        objects[m] = tuple(fields)
        parts[n] = tuple(objects)
    return tuple(parts)


def hidden(run: Run, state: State, places: Sequence[Place]) -> Rows:
    """The fields at these places that `show` prints nothing of, by the names that the model has.

    What somebody is entitled to is not the kernel's: it is left out.
    """
    found: Rows = {}
    saved = getattr(run.model, "saved", None)
    if not isinstance(saved, Saved):
        return found
    for place in places:
        if len(place) != 3 or place[0] != 0:
            continue
        n, m, k = place
        owner, value = saved.objects[m], state[n][m][k]
        kind = type(owner).__name__
        if kind.endswith("Due") or not isinstance(value, (int, str, Val)):
            continue
        name = getattr(owner, "name", "") or "".join(map(str, saved.about[m] or (kind,)))
        found[f"{name}.{saved.fields[m][k]}"] = (
            shown(value)
            if isinstance(value, Val)
            else (f"{value:#x}" if type(value) is int else str(value) or "nothing")
        )
    return found


def ancestors(bad: Run, good: Run, after: int, at: int, violation: Violation) -> list[Place] | None:
    """The fewest fields after so many events that, as in `good`, end the violation.

    None if not even all of them do. None of them has to where the event itself was the violation.
    """
    state, donor = bad.states[after], good.states[after]
    places = differing(state, donor)

    def test(some: Sequence[Place]) -> Sequence[Place] | None:
        gone = not bad.goes_wrong(graft(state, donor, some), after, at, violation)
        return some if gone else None

    if test(()) is not None:
        return []
    if not places or test(places) is None:
        return None
    return shrink(places, test)


def first_cured(count: int, cured: Callable[[int], bool], linear: int = 256) -> int | None:
    """The first of the last numbers up to `count` that all are cured, None if `count` is not."""
    if not cured(count):
        return None
    if count <= linear:
        first = count
        while first > 0 and cured(first - 1):
            first -= 1
        return first
    step, high = 1, count
    while high - step > 0 and cured(high - step):
        high -= step
        step *= 2
    low = max(high - step, -1)
    while high - low > 1:
        middle = (low + high) // 2
        if cured(middle):
            high = middle
        else:
            low = middle
    return high
