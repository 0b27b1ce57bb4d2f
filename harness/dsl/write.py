"""From an event as a model is given it, or an expectation, back to the line that says so.

The inverse of `check`. It knows no verb: how an event is written is the grammar's to say,
and what its operands are the architecture's.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from harness.dsl.nodes import Event, Expect, Name
from harness.dsl.syntax import parse_alone, parser
from harness.model.base import Architecture, BadOperand
from harness.model.values import number
from harness.model.world import World

# What stands between the members of an operand that is a list.
_JOINTS = {"flags": " | ", "names": ", ", "argument": ", "}


class _Operand(NamedTuple):
    """An operand's words, and whether the line can be without it."""

    words: tuple[str, ...]
    optional: bool = False


@functools.cache
def _forms(verb: str) -> tuple[tuple[tuple[str, str], ...], ...]:
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
    operands = list(_operands(arch, world, kind, verb, args, spelled))
    while True:
        for form in _forms(verb):
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
        register = node.operands[verb.operands.index("register")].text
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


def _operands(
    arch: Architecture,
    world: World,
    kind: str,
    verb: str,
    args: Sequence[Any],
    spelled: Sequence[Any],
) -> Iterator[_Operand]:
    told = arch.verbs[verb]
    rest = list(args)
    for n, wants in enumerate(told.operands):
        if not rest:
            return
        arg = rest.pop(0)
        words = wants.lstrip("?*").split()
        kept = _kept(arch, world, told.view or kind, verb, args, spelled, n)
        if arg is not None and kept:
            yield _Operand(kept)
            continue
        if spelled[n : n + 1] == (None,) and wants.startswith("?") and arg == words[0]:
            yield _Operand((), optional=True)
            continue
        if arg is None:
            yield _Operand((), optional=True)
        elif wants == "register" and "regset" in told.operands:
            yield _Operand((_field(arch, world, args[1], arg),))
        elif wants == "register":
            yield _Operand((_register(arch, world, told.view or kind, arg),))
        elif wants == "fields":
            yield _Operand(
                tuple(f"{_field(arch, world, args[1], reg)} = {_value(bits)}" for reg, bits in arg)
            )
        elif wants == "value":
            yield _Operand(tuple(hex(quad) for quad in arg) or ("NULL",))
        elif wants in ("number", "?number"):
            yield _Operand((str(arg),))
        elif wants == "argument":
            yield _Operand(tuple(str(n) for n in arg) or ("none",))
        elif wants.startswith("*"):
            yield _Operand(tuple(arg), optional=not arg)
        else:
            text = "idle" if wants == "task" and str(arg).startswith("idle") else str(arg)
            yield _Operand((text,), optional=wants.startswith("?") and text == words[0])


def _kept(
    arch: Architecture,
    world: World,
    view: str,
    verb: str,
    args: Sequence[Any],
    spelled: Sequence[Any],
    n: int,
) -> tuple[str, ...]:
    """The words of an operand as they were written, if they still mean the same; else none."""
    wants, word = arch.verbs[verb].operands[n], spelled[n] if n < len(spelled) else None
    words = tuple(w.text for w in word if isinstance(w, Name)) if isinstance(word, tuple) else ()
    try:
        if wants == "register" and isinstance(word, Name):
            if "regset" in arch.verbs[verb].operands:
                means: Any = arch.field(args[1], word.text, world)
            else:
                means = arch.register(word.text, view, world)
            return (word.text,) if means == args[n] else ()
        if wants in ("number", "?number") and isinstance(word, Name):
            return (word.text,) if number(word.text) == args[n] else ()
        if wants.startswith("#") and isinstance(word, Name) and word.text[0].isdigit():
            return (word.text,) if hex(number(word.text)) == args[n] else ()
        if wants == "argument" and words:
            return words if arch.argument(spelled[0].text, words) == args[n] else ()
        if wants == "value" and words:
            return words if tuple(number(w) for w in words) == args[n] else ()
        if wants == "fields" and isinstance(word, tuple) and len(word) == len(args[n]):
            return _kept_fields(arch, world, args[1], args[n], word)
    except (BadOperand, ValueError):
        pass
    return ()


def _kept_fields(
    arch: Architecture, world: World, regset: str, fields: Sequence[Any], spelled: Sequence[Any]
) -> tuple[str, ...]:
    found = []
    for (reg, bits), (name, words) in zip(fields, spelled, strict=True):
        texts = tuple(word.text for word in words)
        if arch.field(regset, name.text, world) != reg:
            return ()
        if texts and not texts[0][0].isdigit():
            same = (arch.flags(regset, reg, texts),) == bits
        else:
            same = tuple(number(text) for text in texts) == bits
        value = _value(bits)
        if same:
            flags = not texts[0][0].isdigit() if texts else False
            value = " | ".join(texts) if flags or len(texts) == 1 else f"{{{', '.join(texts)}}}"
        found.append(f"{name.text} = {value}")
    return tuple(found)


def _value(quads: tuple[int, ...]) -> str:
    texts = [hex(quad) for quad in quads]
    return texts[0] if len(texts) == 1 else "{" + ", ".join(texts) + "}"


def _register(arch: Architecture, world: World, view: str, reg: tuple[str, int]) -> str:
    kind, n = reg
    by_id = arch.id_name(n) if kind == "id" else ""
    for name in (by_id or kind, f"{kind}{n}", kind, hex(n), arch.long_names.get(kind, kind)):
        try:
            if arch.register(name, view, world) == reg:
                return name
        except BadOperand:
            continue
    raise ValueError(f"{view} has no {reg}")


def _field(arch: Architecture, world: World, regset: str, reg: tuple[str, int]) -> str:
    kind, n = reg
    for name in (f"{kind}{n}", kind):
        try:
            if arch.field(regset, name, world) == reg:
                return name
        except BadOperand:
            continue
    raise ValueError(f"{regset} has no {reg}")
