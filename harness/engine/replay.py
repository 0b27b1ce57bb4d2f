"""Replaying one trace on one kernel: stimuli in, reactions and violations out.

Deterministic, and ignorant of any architecture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.dsl.nodes import Event, Expect, Snapshot, Trace
from harness.engine.refusal import Refusal
from harness.errors import Diagnostic, Position, SourceError
from harness.model import architecture
from harness.model.base import Model, Reaction, Refused, Tree, Violation
from harness.model.catalogue import Kernel
from harness.model.world import World


@dataclass(slots=True)
class Step:
    """One event, and everything that came of it."""

    event: Event
    reactions: tuple[Reaction, ...] = ()
    violations: tuple[Violation, ...] = ()
    snapshots: tuple[str, ...] = ()
    skipped: str | None = None


@dataclass(slots=True)
class Outcome:
    """What a trace showed on one kernel in one mode.

    `violations` have the line they stand in, `events` the number and source of
    the event for each such line.
    """

    violations: list[tuple[int, Violation]] = field(default_factory=list)
    snapshots: dict[str, Tree] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    events: dict[int, str] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The invariants that were violated, each once, in alphabetic order."""
        return tuple(sorted({v.kind for _, v in self.violations}))

    def plain(self) -> Tree:
        """The outcome as it stands in a golden file.

        There a violation is placed by the number of its event: lines move
        whenever a verdict is added above them.
        """
        tree: Tree = {}
        if self.violations:
            tree["violations"] = [
                f"event {self.events[n]}: {v.kind}: {v.text}" for n, v in self.violations
            ]
        counts = {name: n for name, n in self.counts.items() if n}
        if counts:
            tree["counts"] = counts
        if self.snapshots:
            tree["snapshots"] = self.snapshots
        return tree


def world(trace: Trace) -> World:
    """The world that a trace's header describes."""
    return World(trace.settings, trace.tasks, trace.unborn, trace.vcpus, trace.words, trace.vms)


class Replay:
    """A trace on its way through a machine.

    Iterate over `steps()` to the end, then take `outcome`. A step's violations
    are the ones that are new with it: what stays wrong is not repeated.
    Raises SourceError for an event that cannot happen where it stands.
    """

    def __init__(self, trace: Trace, kernel: Kernel, mode: str, record: bool = False) -> None:
        self.trace = trace
        self.kernel = kernel
        self.mode = mode
        arch = architecture(trace.arch)
        self.model: Model = arch.machine(kernel, mode, world(trace), record)
        self.outcome = Outcome()
        events = (s.line for s in trace.body if isinstance(s, Event))
        self._numbers = {line: n for n, line in enumerate(events, 1)}
        self._standing: set[tuple[str, str, str]] = set()

    def steps(self) -> Iterator[Step]:
        """Run the trace; each step is complete (its expectations too) when it is yielded."""
        step: Step | None = None
        for statement in self.trace.body:
            if isinstance(statement, Event):
                if step is not None:
                    yield step
                step = self._event(statement)
            elif isinstance(statement, Snapshot):
                self.outcome.snapshots[statement.name] = self.model.snapshot()
                if step is not None:
                    step.snapshots += (statement.name,)
            elif step is not None and not step.skipped:
                self._expect(statement, step)
        if step is not None:
            self._budget(step)
            yield step
        self.outcome.counts = self.model.counts()

    def run(self) -> Outcome:
        """Run the whole trace."""
        for _ in self.steps():
            pass
        return self.outcome

    def _event(self, event: Event) -> Step:
        model, actor = self.model, event.actor.text
        step = Step(event)
        if model.log:
            model.log.clear()
        if model.violations:
            model.violations.clear()
        if model.fatal:
            step.skipped = model.dead(actor)
            if step.skipped:
                return step
        model.step = event.line
        try:
            model.apply(actor, event.verb, event.args)
        except Refused as refused:
            raise SourceError(self._refused(event, str(refused))) from None
        if model.log:
            step.reactions = tuple(model.log)
        happened, state = model.violations, model.check()
        if not happened and not state:
            if self._standing:
                self._standing.clear()
            return step
        happened = list(happened)
        standing = self._standing
        self._standing = {v.key for v in state}
        seen = set(standing)
        for violation in (*happened, *state):
            if violation.key not in seen or (violation in happened and violation.key in standing):
                self._violated(step, violation)
            seen.add(violation.key)
        return step

    def _violated(self, step: Step, violation: Violation, line: int = 0) -> None:
        step.violations += (violation,)
        line = line or step.event.line
        source = " ".join(self.trace.source[step.event.line - 1].split("#")[0].split())
        self.outcome.violations.append((line, violation))
        self.outcome.events[line] = f"{self._numbers[step.event.line]} ({source})"

    def _expect(self, expect: Expect, step: Step) -> None:
        why = self.model.observe(expect.what, expect.args)
        if why:
            wanted = self.trace.source[expect.line - 1].split("#")[0].strip()
            text = f"`{wanted}`: {why}"
            self._violated(
                step, Violation("expect", step.event.actor.text, wanted, text), expect.line
            )

    def _budget(self, step: Step) -> None:
        counts = self.model.counts()
        for name, most in self.trace.budget.items():
            if counts[name] > most:
                text = f"{counts[name]} {name}, the budget is {most}"
                self._violated(step, Violation("cost", "trace", name, text))

    def _refused(self, event: Event, why: str) -> Iterator[Diagnostic]:
        trace = self.trace
        at = Position(trace.path, event.line, event.actor.column)
        source = trace.source[event.line - 1]
        width = len(source.split("#")[0].rstrip()) - event.actor.column + 1
        refusal = Refusal(trace, world(trace), self.kernel, self.mode, event, why)
        message = f"{refusal.said(self.model)} (on {self.kernel.name} {self.mode})"
        yield Diagnostic(at, message, source, width)
