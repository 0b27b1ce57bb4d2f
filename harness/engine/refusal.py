"""What to say of an event that cannot happen where it stands: why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.dsl.nodes import Event, Trace
from harness.engine.way_out import concerned, proposed, way_out
from harness.model import architecture
from harness.model.base import Model, Refused
from harness.model.catalogue import Kernel
from harness.model.world import World


@dataclass(slots=True)
class Refusal:
    """An event that a model has refused, and the reason it gave."""

    trace: Trace
    world: World
    kernel: Kernel
    mode: str
    event: Event
    why: str

    def said(self, model: Model) -> str:
        """The reason and the next move; `model` is the machine that has refused."""
        stimulus = (self.event.actor.text, self.event.verb, self.event.args)
        ended = list(self._ended(model, concerned(self.world, stimulus)))
        said = self.why
        for name, fate in ended:
            dead, how = f"{name} is dead", f"{name} {fate}"
            said = said.replace(dead, how) if dead in said else f"{said}: {how}"
        if not ended:
            arch = architecture(self.trace.arch)
            way = proposed(arch, self.world, way_out(arch, self.world, model, stimulus))
            if way:
                return f"{said}; {way}"
        needs = self._needs()
        return f"{said}; the trace needs {needs}: add `needs {needs}`" if needs else said

    def _ended(self, model: Model, names: set[str]) -> Iterator[tuple[str, str]]:
        """Those of `names` who have ended, and how and where."""
        tasks = (*(name for name, _ in self.trace.tasks), *self.trace.unborn)
        for name in tasks:
            fate = model.fate(name) if name in names else ""
            if fate:
                yield name, f"{fate} in line {self._end_of(name)}"

    def _end_of(self, name: str) -> int:
        """The line of the event that ended a task."""
        for line, model in self._again(self.kernel):
            if model.fate(name):
                return line
        return self.event.line

    def _needs(self) -> str:
        """The feature without which this kernel cannot do it, if one alone is missing."""
        arch = architecture(self.trace.arch)
        missing = [
            fix
            for fix in arch.catalogue.fixes.values()
            if fix.kind == "feature" and fix.landed and fix.id not in self.kernel.fixes
        ]
        found: list[tuple[int, str]] = []
        for fix in missing:
            kernel = arch.catalogue.adding(self.kernel, fix.id)
            if not arch.unsupported(kernel, self.mode, self.world) and self._can(kernel):
                found.append((len(kernel.fixes), fix.id))
        return min(found)[1] if found else ""

    def _can(self, kernel: Kernel) -> bool:
        """Whether the event can happen on this kernel."""
        last = 0
        for line, _ in self._again(kernel):
            last = line
        return last == self.event.line

    def _again(self, kernel: Kernel) -> Iterator[tuple[int, Model]]:
        """Each event up to this one that happens, and the machine after it, up to a refusal."""
        arch = architecture(self.trace.arch)
        model = arch.machine(kernel, self.mode, self.world, False)
        for statement in self.trace.body:
            if not isinstance(statement, Event) or statement.line > self.event.line:
                continue
            model.step = statement.line
            actor = statement.actor.text
            if model.fatal and model.dead(actor):
                continue
            try:
                model.apply(actor, statement.verb, statement.args)
            except Refused:
                return
            yield statement.line, model
