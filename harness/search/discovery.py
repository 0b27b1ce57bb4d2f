"""What a search has found, as a trace that can be reviewed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from harness.dsl.check import Checker
from harness.dsl.format import COMMENT_COLUMN, format_lines
from harness.dsl.heading import header
from harness.dsl.nodes import Trace
from harness.dsl.write import sentence
from harness.engine.replay import Replay
from harness.model import architecture
from harness.model.base import Violation
from harness.model.catalogue import Kernel
from harness.model.world import Event
from harness.search.bounds import Bounds, Found
from harness.search.play import way_of
from harness.search.reduce import Reducer
from harness.search.shortest import shorten

SOURCE = "kvm-replay@example.invalid"


def trace_of(bounds: Bounds, found: Found) -> Trace:
    """The events as a trace, word for word."""
    world = bounds.world
    plain = Trace(
        path="explore",
        id="explore",
        arch=bounds.arch,
        title=_title(found.violation),
        links=(SOURCE,),
        modes=(bounds.mode,),
        settings=world.settings,
        words=world.words,
        tasks=world.tasks,
        unborn=world.unborn,
        vcpus=world.vcpus,
        vms=world.vms,
    )
    return Checker("explore", "explore").read([*header(plain), *lines_of(bounds, found.events)])


def lines_of(bounds: Bounds, events: Sequence[Event]) -> list[str]:
    """Each event as a line."""
    arch = architecture(bounds.arch)
    return [sentence(arch, bounds.world, *event) for event in events]


def _title(violation: Violation) -> str:
    return f"{violation.kind}: {violation.text}".replace('"', "'")


def written(bounds: Bounds, found: Found, by: str = "explore", seconds: float = 0.0) -> list[str]:
    """A trace file: what it takes and no more, with a verdict, and what each line is for."""
    trace = trace_of(bounds, found)
    why: list[str] = []
    if found.violation.kind != "cost" and bounds.other is None:
        reducer = Reducer(trace, bounds.kernel, bounds.mode)
        # This very one is meant, whatever else goes wrong on the way.
        reducer.trace, reducer.way = trace, way_of(found.violation)
        reducer.run()
        if seconds:
            shorten(reducer, seconds)
        trace = reducer.trace
        why = reducer.why()
    title = _title(found.violation)
    kernels = [bounds.kernel] if bounds.other is None else [bounds.kernel, bounds.other]
    budget = _budget(bounds, trace, found.violation)
    if budget:
        trace = dataclasses.replace(trace, budget=budget)
    outcomes = [Replay(trace, kernel, bounds.mode).run() for kernel in kernels]
    for _, violation in outcomes[0].violations:
        if way_of(violation) == way_of(found.violation):
            title = _title(violation)
    verdicts = [
        _verdict(kernel, bounds.mode, outcome.kinds)
        for kernel, outcome in zip(kernels, outcomes, strict=True)
    ]
    head = header(dataclasses.replace(trace, title=title))
    at = next(n for n, line in enumerate(head) if line.startswith("verdict"))
    head[at : at + 1] = verdicts
    head.insert(1, f'about "Found by kvm-replay {by} on {bounds.kernel.name} {bounds.mode}."')
    events = [trace.source[s.line - 1].strip() for s in trace.body]
    if len(why) == len(events):
        events = [
            f"{event:<{COMMENT_COLUMN}}# {text}" for event, text in zip(events, why, strict=True)
        ]
    return format_lines([*head, "", *events])


def _budget(bounds: Bounds, trace: Trace, violation: Violation) -> dict[str, int]:
    """The most that a kernel may count if this is not to happen."""
    if violation.kind != "cost":
        return {}
    kernels = [bounds.kernel] if bounds.other is None else [bounds.kernel, bounds.other]
    counts = [Replay(trace, kernel, bounds.mode).run().counts[violation.what] for kernel in kernels]
    return {violation.what: min(counts) - (1 if len(counts) == 1 else 0)}


def _verdict(kernel: Kernel, mode: str, kinds: tuple[str, ...]) -> str:
    what = "violates " + ", ".join(kinds) if kinds else "holds"
    return f"verdict {kernel.name} {mode} {what}"
