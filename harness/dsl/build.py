"""From the parse tree of one line to what the line says."""

from __future__ import annotations

from typing import Any

from lark import Token, Transformer, Tree, v_args

from harness.dsl.nodes import Event, Expect, Header, Name, Snapshot
from harness.model.values import number

Line = Event | Expect | Snapshot | Header


def _name(token: Token) -> Name:
    return Name(str(token), token.column or 1)


def _int(token: Token) -> int:
    return number(token)


def _text(token: Token) -> str:
    return str(token)[1:-1]


class Build(Transformer[Token, Line]):
    """Turns the rules of the grammar into nodes.

    An event needs no method, nor does an expectation that has plain operands. A rule of
    another kind that has none is a tuple of words.
    """

    verbs: set[str]  # the names of all events in the grammar

    def __default__(self, data: Any, children: list[Any], meta: Any) -> Any:
        name = str(data)
        if name.startswith("_"):
            return Tree(name, children)  # Lark's own, for what can be repeated
        if name.startswith("expect_"):
            operands = (_int(c) if c is not None and c.type == "INT" else c for c in children)
            plain = tuple(str(o) if isinstance(o, Token) else o for o in operands)
            return Expect(name.removeprefix("expect_"), plain, 1)
        parts = tuple(
            _name(c) if isinstance(c, Token) else c
            for c in children
            if not (isinstance(c, Token) and c.type == "ARROW")
        )
        return Event(parts[0], name.rstrip("_"), parts[1:]) if name in self.verbs else parts

    def start(self, children: list[Line]) -> Line:
        return children[0]

    # Operands

    register = v_args(inline=True)(lambda self, token: _name(token))
    reg_id = v_args(inline=True)(lambda self, token: _name(token))
    feature = v_args(inline=True)(lambda self, token: _name(token))

    def value(self, tokens: list[Token]) -> tuple[Name, ...]:
        return tuple(_name(t) for t in tokens)

    def nothing(self, tokens: list[Token]) -> tuple[Name, ...]:
        return ()

    def word(self, tokens: list[Token]) -> Name:
        return _name(tokens[0])

    def names(self, tokens: list[Token]) -> tuple[Name, ...]:
        return tuple(_name(t) for t in tokens)

    def flags(self, tokens: list[Token]) -> tuple[Name, ...]:
        return tuple(_name(t) for t in tokens)

    def field(self, parts: list[Any]) -> tuple[Name, tuple[Name, ...]]:
        return _name(parts[0]), parts[1]

    def fields(self, parts: list[Any]) -> tuple[Any, ...]:
        return tuple(p for p in parts if p is not None)

    def argument(self, tokens: list[Token]) -> tuple[Name, ...]:
        return tuple(_name(t) for t in tokens)

    def setting(self, parts: list[Any]) -> tuple[Name, int, int]:
        low = _int(parts[1])
        return _name(parts[0]), low, low if parts[-1] is None else _int(parts[-1])

    def listing(self, tokens: list[Token]) -> tuple[Name, tuple[Name, ...]]:
        return _name(tokens[0]), tuple(_name(t) for t in tokens[1:])

    def settings(self, parts: list[Any]) -> tuple[Any, ...]:
        return tuple(parts)

    def task(self, parts: list[Any]) -> tuple[Name, Name | None]:
        return _name(parts[0]), None if parts[1] is None else _name(parts[1])

    def vcpu(self, parts: list[Any]) -> tuple[Name, Name, tuple[Name, ...]]:
        return _name(parts[0]), _name(parts[1]), tuple(parts[2:])

    def count(self, parts: list[Any]) -> tuple[Name, int]:
        return _name(parts[0]), _int(parts[1])

    # Headers

    def title(self, parts: list[Token]) -> Header:
        return Header("trace", (_text(parts[0]),))

    def about(self, parts: list[Token]) -> Header:
        return Header("about", (_text(parts[0]),))

    def link(self, parts: list[Token]) -> Header:
        return Header("link", (_text(parts[0]), parts[0].column))

    def mail(self, parts: list[Token]) -> Header:
        return Header("mail", (*(_text(p) for p in parts), parts[0].column))

    def commit(self, parts: list[Token]) -> Header:
        return Header("commit", (_text(parts[0]), _text(parts[1]), parts[0].column))

    def recording(self, parts: list[Token]) -> Header:
        return Header("recording", (_text(parts[0]),))

    def class_(self, parts: list[Token]) -> Header:
        return Header("class", (_name(parts[0]),))

    def machine(self, parts: list[Any]) -> Header:
        names = tuple(_name(p) for p in parts[:-1])
        return Header("machine", (names[0], names[1:], parts[-1] or ()))

    def tasks(self, parts: list[Any]) -> Header:
        return Header("task", tuple(parts))

    def vm(self, parts: list[Any]) -> Header:
        return Header("vm", (_name(parts[0]), tuple(parts[1:])))

    def needs(self, parts: list[Token]) -> Header:
        return Header("needs", tuple(_name(p) for p in parts))

    def budget(self, parts: list[Any]) -> Header:
        return Header("budget", tuple(parts))

    def holds(self, parts: list[Any]) -> Header:
        return self.violates(parts)

    def violates(self, parts: list[Any]) -> Header:
        mode = None if parts[1] is None else _name(parts[1])
        return Header("verdict", (_name(parts[0]), mode, tuple(_name(p) for p in parts[2:])))

    # Expectations

    def mark(self, parts: list[Token]) -> tuple[Name, int]:
        return _name(parts[0]), _int(parts[1])

    def expect_trap(self, parts: list[Any]) -> Expect:
        return Expect("trap", tuple(parts), 1)

    def expect_no_errno(self, parts: list[Any]) -> Expect:
        return Expect("errno", ("",), 1)

    def expect_read(self, parts: list[Any]) -> Expect:
        quad = 0 if parts[1] is None else _int(parts[1])
        return Expect("read", (parts[0], quad, _int(parts[2])), parts[0].column)

    def expect_state(self, parts: list[Token]) -> Expect:
        path = tuple(str(parts[0]).split("."))
        return Expect("state", (path, str(parts[1])), parts[0].column or 1)

    def snapshot(self, parts: list[Token]) -> Snapshot:
        return Snapshot(_text(parts[0]))
