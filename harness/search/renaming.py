"""Events with other names and other values in them: what a reduction tries."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from harness.dsl.nodes import Event, Name
from harness.model import architecture
from harness.model.operands import Operand
from harness.search.play import Unit


def _operands(event: Event, arch: str) -> Iterator[tuple[Operand, Any]]:
    """What each operand of an event is declared as, and what it is."""
    operands = architecture(arch).verbs[event.verb].operands
    yield from zip(operands, event.args, strict=False)


def names_in(unit: Unit, arch: str) -> Iterator[str]:
    """Who takes part in an event, and of whom its expectations speak."""
    yield unit.event.actor.text
    for operand, arg in _operands(unit.event, arch):
        yield from operand.names(arg)
    for expect in unit.expects:
        if expect.what == "state":
            yield expect.operands[0][0]


def renamed(unit: Unit, names: Mapping[str, str], arch: str) -> Unit:
    """A unit with other names for tasks, vcpus or CPUs."""
    event = unit.event
    args = tuple(operand.renamed(arg, names) for operand, arg in _operands(event, arch))
    actor = Name(names.get(event.actor.text, event.actor.text), event.actor.column)
    expects = []
    for expect in unit.expects:
        if expect.what == "state":
            path, value = expect.operands
            operands = (names.get(path[0], path[0]), *path[1:]), names.get(value, value)
            expect = dataclasses.replace(expect, operands=operands, args=operands)
        expects.append(expect)
    return Unit(dataclasses.replace(event, actor=actor, args=args), tuple(expects))


def values_in(unit: Unit, arch: str) -> Iterator[int]:
    """The values that an event writes and its expectations name."""
    for operand, arg in _operands(unit.event, arch):
        yield from operand.values(arg)
    yield from (expect.operands[2] for expect in unit.expects if expect.what == "read")


def revalued(unit: Unit, values: Mapping[int, int], arch: str) -> Unit:
    """A unit with other values."""
    args = tuple(operand.revalued(arg, values) for operand, arg in _operands(unit.event, arch))
    expects = []
    for expect in unit.expects:
        if expect.what == "read":
            name, quad, bits = expect.operands
            bits = values.get(bits, bits)
            expect = dataclasses.replace(expect, operands=(name, quad, bits), args=(quad, bits))
        expects.append(expect)
    return Unit(dataclasses.replace(unit.event, args=args), tuple(expects))
