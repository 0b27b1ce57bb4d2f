"""The one layout of a trace file: `kvm-replay fmt`. Comments are kept."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.dsl.nodes import Event, Expect, Snapshot
from harness.dsl.syntax import code_of, parse_line

COMMENT_COLUMN = 32
_TOKEN = re.compile(
    r'"[^"]*"|->|[0-9]+ *\.\. *[0-9]+|[A-Za-z0-9_.]+(?:(?:\+\+|[+-])[A-Za-z0-9.]+)*|\S'
)


def format_lines(lines: Sequence[str]) -> list[str]:
    """The lines of a trace in canonical layout. They must parse."""
    split = [_split(line) for line in lines]
    actors = [
        len(_TOKEN.findall(code)[0]) for code, _ in split if isinstance(parse_line(code), Event)
    ]
    width = max([4, *actors]) + 2
    out: list[str] = []
    for code, comment in split:
        text = _layout(code, width)
        if not text:
            line = comment
        elif comment:
            line = f"{text:<{COMMENT_COLUMN}}{comment}"
            if len(text) > COMMENT_COLUMN - 2:
                line = f"{text}  {comment}"
        else:
            line = text
        if line or (out and out[-1]):
            out.append(line)
    while out and not out[-1]:
        out.pop()
    return out


def _split(line: str) -> tuple[str, str]:
    """The code and the comment (with its #) of a line."""
    code = code_of(line)
    comment = line[len(code) :].strip()
    words = comment[1:].strip()
    return code.strip(), f"# {words}" if words else comment


def _layout(code: str, width: int) -> str:
    node = parse_line(code)
    if node is None:
        return ""
    tokens = _TOKEN.findall(code)
    if isinstance(node, Event):
        head = f"{tokens[0]:<{width}}"
        return head + _join(tokens[1:], block=False, tight="")
    if isinstance(node, (Expect, Snapshot)):
        return _join(tokens, block=False, tight="=" if tokens[1:2] == ["trap"] else "")
    return _join(tokens, block=True, tight="")


def _join(tokens: list[str], block: bool, tight: str) -> str:
    """Tokens with the spaces between them: `{ a; b }` in a header, `{1, 2}` in a value."""
    text = ""
    for token in tokens:
        if ".." in token and not token.startswith('"'):
            token = token.replace(" ", "")
        last = text[-1:]
        glued = (
            not text
            or token in (",", ";", "[", "]")
            or last == "["
            or (not block and (last == "{" or token == "}"))
            or (tight and (token in tight or last in tight))
        )
        text += token if glued else " " + token
    return text
