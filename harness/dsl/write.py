"""From an event as a model is given it, or an expectation, back to the line that says so.

The inverse of `check`. It knows no verb: how an event is written is the grammar's to say,
and what its operands are the architecture's.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from harness.dsl.nodes import Event, Expect
from harness.dsl.syntax import parse_alone, parser
from harness.model.base import Architecture
from harness.model.operands import Register, Scope, index_of
from harness.model.world import World

# What stands between the members of an operand that is a list.
_JOINTS = {"flags": " | ", "names": ", ", "argument": ", "}


@functools.cache
def forms(verb: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    """The ways to write a verb: for each, keywords ("", text) and operands (what, "")."""
    texts = {t.name: t.pattern.value for t in parser().terminals if t.pattern.type == "str"}
    forms = []
    for rule in parser().rules:
        if rule.origin.name == "event" and str(rule.alias).rstrip("_") == verb:
            form = []
            for symbol in rule.expansion[1:]:  # behind the actor
                name = symbol.name
                keyword = texts.get(name)
                if keyword is not None and (
                    name == "ARROW" or getattr(symbol, "filter_out", False)
                ):
                    form.append(("", keyword))
                else:
                    form.append((str(name), ""))
            forms.append(tuple(form))
    return tuple(forms)


def sentence(
    arch: Architecture,
    world: World,
    actor: str,
    verb: str,
    args: Sequence[Any],
    spelled: Sequence[Any] = (),
) -> str:
    """The line that means this event. Raises ValueError if there is none.

    `spelled` are the operands as somebody wrote them: those words stay where they still mean it.
    """
    kind = _kind(world, actor)
    scope = Scope(arch, world, kind, spelled, list(args))
    told = arch.verbs[verb].operands
    operands = [
        operand.written(scope, arg, *spelled[n : n + 1])
        for n, (operand, arg) in enumerate(zip(told, args, strict=False))
    ]
    while True:
        for form in forms(verb):
            line = _written(form, actor, [o.words for o in operands])
            if line is not None and _parses(line, actor, verb):
                return line
        if not operands or not operands[-1].optional:
            raise ValueError(f"no line says {actor} {verb} {tuple(args)}")
        operands.pop()


def sentences(
    arch: Architecture, world: World, event: Event, expects: Sequence[Expect] = ()
) -> list[str]:
    """The line of an event, and those of the expectations after it. Raises ValueError."""
    line = sentence(arch, world, event.actor.text, event.verb, event.args, event.operands)
    verb, node, register = arch.verbs[event.verb], parse_alone(line), ""
    if verb.reads and isinstance(node, Event):
        register = node.operands[index_of(verb.operands, Register)].text
    return [line, *(expectation(expect, register) for expect in expects)]


def expectation(expect: Expect, register: str = "") -> str:
    """The line that means this expectation. Raises ValueError if there is none.

    `register` is what the event before calls the register that it reads.
    """
    operands = expect.operands
    if expect.what == "read" and register:
        operands = (dataclasses.replace(operands[0], text=register), *operands[1:])
    line = " ".join(["expect", *_expected(expect.what, operands)])
    node = parse_alone(line)
    if not isinstance(node, Expect) or node.what != expect.what:
        raise ValueError(f"no line says expect {expect.what} {expect.operands}")
    return line


def _expected(what: str, operands: Sequence[Any]) -> Iterator[str]:
    if what == "trap":
        yield "trap"
        yield from (f"{name.text}={_number(number)}" for name, number in operands)
    elif what == "read":
        name, quad, bits = operands
        yield f"read {name.text}{f'[{quad}]' if quad else ''} = {_number(bits)}"
    elif what == "state":
        path, value = operands
        yield f"{'.'.join(path)} = {value}"
    elif what == "errno" and operands == ("",):
        yield "no errno"
    else:
        yield what.replace("_", " ")
        yield from (_number(o) if isinstance(o, int) else str(o) for o in operands)


def _number(bits: int) -> str:
    return str(bits) if bits < 10 else hex(bits)


def _kind(world: World, actor: str) -> str:
    if any(actor == name for name, *_ in world.vcpus):
        return "vcpu"
    tasks = (*(name for name, _ in world.tasks), *world.unborn)
    return "task" if actor in tasks else "cpu"


def _parses(line: str, actor: str, verb: str) -> bool:
    node = parse_alone(line)
    return isinstance(node, Event) and node.verb == verb and node.actor.text == actor


def _written(
    form: tuple[tuple[str, str], ...], actor: str, operands: list[tuple[str, ...]]
) -> str | None:
    """The line of this form, None if these are not its operands."""
    if sum(not keyword for _, keyword in form) != len(operands):
        return None
    rest = iter(operands)
    out = [actor]
    for what, keyword in form:
        text = keyword
        if not keyword:
            words = next(rest)
            text = _JOINTS.get(what, " ").join(words)
            if what == "value":
                text = words[0] if len(words) == 1 else "{" + ", ".join(words) + "}"
            if (text == "NULL") is not (what in ("nothing", "NULL")):
                return None
            if what == "fields":
                text = ", ".join(words)
            if not text and what != "fields":
                return None
        if text in ("}", ",") or out[-1].endswith("{"):
            out[-1] += text
        else:
            out.append(text)
    return " ".join(out)
