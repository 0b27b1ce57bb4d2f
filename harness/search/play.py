"""Some events of a trace, replayed for what goes wrong, and in which way it does."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.dsl.nodes import Event, Expect, Trace
from harness.dsl.write import expectation
from harness.engine.replay import world
from harness.model import architecture
from harness.model.base import Model, Refused, Violation
from harness.model.catalogue import Kernel

# What is not about the state, and is looked for only if nothing else is wrong.
LAST = ("expect", "cost")


_NAMES = re.compile(r"[0-9]+| of \w+(?=:)")  # which register, and whose memory


class Way(NamedTuple):
    """What counts as the same violation: its kind and its register's kind, not who or which."""

    kind: str
    what: str


def way_of(violation: Violation) -> Way:
    """An expectation is a way of its own, with what came instead: it is too easily broken."""
    if violation.kind == "expect":
        return Way(violation.kind, f"{violation.what}: {violation.text}")
    return Way(violation.kind, _NAMES.sub("", violation.what))


def _expected(unit: Unit, expect: Expect) -> str:
    """Of what an expectation speaks: the verb, its register, and what is expected of it.

    Whose state it is does not count: actors become one, and get other names.
    """
    if expect.what == "state":
        path, value = expect.operands
        expect = dataclasses.replace(expect, operands=(("its", *path[1:]), value))
    kinds = (arg for arg in unit.event.args if isinstance(arg, tuple))
    registers = [arg for arg in kinds if len(arg) == 2 and isinstance(arg[0], str)]
    return f"{unit.event.verb} {registers}: {expectation(expect)}"


class Unit(NamedTuple):
    """An event and the expectations that follow it."""

    event: Event
    expects: tuple[Expect, ...] = ()


def units(trace: Trace) -> list[Unit]:
    found: list[Unit] = []
    for statement in trace.body:
        if isinstance(statement, Event):
            found.append(Unit(statement))
        elif isinstance(statement, Expect) and found:
            found[-1] = Unit(found[-1].event, (*found[-1].expects, statement))
    return found


class Ran(NamedTuple):
    """What came of some units: those that could happen, up to the violation looked for."""

    kept: list[Unit]
    violation: Violation | None
    others: tuple[str, ...]  # kinds of the violations on the way
    refused: tuple[str, ...]  # why events could not happen


def play(trace: Trace, some: Sequence[Unit], kernel: Kernel, mode: str, way: Way | None) -> Ran:
    """Replay `some` of the trace's units; without a `way` up to the first grave violation."""
    model = architecture(trace.arch).machine(kernel, mode, world(trace), False)
    kept: list[Unit] = []
    others: dict[str, None] = {}
    refused: list[str] = []
    last: tuple[int, Violation] | None = None
    for unit in some:
        model.step = unit.event.line
        model.violations.clear()
        actor = unit.event.actor.text
        if model.fatal and (why := model.dead(actor)):
            refused.append(why)
            continue
        try:
            model.apply(actor, unit.event.verb, unit.event.args)
        except Refused as error:
            refused.append(str(error))
            continue
        kept.append(unit)
        for violation in (*model.violations, *model.check(), *broken(model, unit, trace)):
            found = way_of(violation)
            if found == way or (way is None and violation.kind not in LAST):
                return Ran(kept, violation, tuple(others), tuple(refused))
            others[violation.kind] = None
            if last is None:
                last = len(kept), violation
    if way is None and last is not None:
        return Ran(kept[: last[0]], last[1], tuple(others), tuple(refused))
    return Ran(kept, None, tuple(others), tuple(refused))


def broken(model: Model, unit: Unit, trace: Trace) -> Iterator[Violation]:
    """The expectations after an event that are not met, and the budgets that are spent."""
    for expect in unit.expects:
        why = model.observe(expect.what, expect.args)
        if why:
            yield Violation("expect", unit.event.actor.text, _expected(unit, expect), why)
    counts = model.counts() if trace.budget else {}
    for name, most in trace.budget.items():
        if counts[name] > most:
            text = f"{counts[name]} {name}, the budget is {most}"
            yield Violation("cost", "trace", name, text)
