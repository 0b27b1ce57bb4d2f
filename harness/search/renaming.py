"""Events with other names and other values in them: what a reduction tries."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from harness.dsl.nodes import Event, Name
from harness.model import architecture
from harness.search.play import Unit


def _wants(event: Event, arch: str) -> Iterator[tuple[str, Any]]:
    """What each operand of an event is, and the operand."""
    operands = architecture(arch).verbs[event.verb].operands
    yield from zip(operands, event.args, strict=False)


def names_in(unit: Unit, arch: str) -> Iterator[str]:
    """Who takes part in an event, and of whom its expectations speak."""
    yield unit.event.actor.text
    yield from (arg for wants, arg in _wants(unit.event, arch) if wants in _WHO)
    for expect in unit.expects:
        if expect.what == "state":
            yield expect.operands[0][0]


_WHO = ("task", "vcpu", "child")


def renamed(unit: Unit, names: Mapping[str, str], arch: str) -> Unit:
    """A unit with other names for tasks, vcpus or CPUs."""
    event = unit.event
    known = dict(enumerate(wants for wants, _ in _wants(event, arch)))
    args = tuple(
        names.get(arg, arg) if known.get(n) in _WHO else arg for n, arg in enumerate(event.args)
    )
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
    for wants, arg in _wants(unit.event, arch):
        if wants == "value":
            yield from arg or ()
        elif wants == "fields":
            yield from (quad for _, quads in arg for quad in quads)
    yield from (expect.operands[2] for expect in unit.expects if expect.what == "read")


def revalued(unit: Unit, values: Mapping[int, int], arch: str) -> Unit:
    """A unit with other values."""

    def new(quads: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(values.get(quad, quad) for quad in quads)

    known = dict(enumerate(wants for wants, _ in _wants(unit.event, arch)))
    args = list(unit.event.args)
    for n, arg in enumerate(args):
        if known.get(n) == "value":
            args[n] = new(arg)
        elif known.get(n) == "fields":
            args[n] = tuple((register, new(quads)) for register, quads in arg)
    expects = []
    for expect in unit.expects:
        if expect.what == "read":
            name, quad, bits = expect.operands
            bits = values.get(bits, bits)
            expect = dataclasses.replace(expect, operands=(name, quad, bits), args=(quad, bits))
        expects.append(expect)
    return Unit(dataclasses.replace(unit.event, args=tuple(args)), tuple(expects))
