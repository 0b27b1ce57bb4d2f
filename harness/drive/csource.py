"""C sources in the kernel's style, taken apart into definitions.

A definition begins in the first column and ends with a line that closes it. The comment just above
belongs to it. What a definition uses is every word in it, so a word too many keeps one too many.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_WORD = re.compile(r"[A-Za-z_]\w*")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|/\*.*?\*/|//.*', re.DOTALL)
_DEFINE = re.compile(r"#\s*define\s+(\w+)")
_FUNCTION = re.compile(r"^[\w\s*]*?(\w+)(?:\s+__attribute__\(\(\w+\)\))?\(")
_TAGGED = re.compile(r"^(?:static\s+)?(?:const\s+)?(?:struct|enum|union)\s+(\w+)\s*\{")
_PLAIN = re.compile(r"([A-Za-z_]\w*)\s*(?:\[[^]]*\]\s*)*(?=[=;,])")


@dataclass(frozen=True)
class Chunk:
    """A definition, or a comment on its own."""

    text: str
    defines: frozenset[str]

    @functools.cached_property
    def words(self) -> frozenset[str]:
        return words(self.text)


def words(text: str) -> frozenset[str]:
    """The words of a source that are neither in a comment nor in a string."""
    return frozenset(_WORD.findall(_QUOTED.sub(" ", text)))


def chunks(text: str) -> Iterator[Chunk]:
    """The definitions of a source, each with the comment above it, in their order."""
    held: list[str] = []
    depth, comment = 0, False
    for line in text.splitlines():
        if not line and not depth and not comment:
            if held:
                yield _chunk(held)
            held = []
            continue
        if line.startswith("//") and not depth and not comment:
            if held:
                yield _chunk(held)
                held = []
            yield Chunk(line, frozenset())
            continue
        held.append(line)
        if comment or line.lstrip().startswith("/*"):
            comment = "*/" not in line
            if comment or line.rstrip().endswith("*/"):
                continue
        bare = _QUOTED.sub("", re.sub(r"'(\\.|[^'])'", "", line))
        depth += bare.count("{") + bare.count("(") - bare.count("}") - bare.count(")")
        ends = bare.rstrip().endswith((";", "}")) and not line.startswith(("\t", " "))
        if not depth and (ends or (line.startswith("#") and not line.endswith("\\"))):
            if line.startswith("#") or not held[0].startswith("#"):
                yield _chunk(held)
                held = []
        elif not depth and held[0].startswith("#") and not line.endswith("\\"):
            yield _chunk(held)
            held = []
    if held:
        yield _chunk(held)


def _chunk(lines: list[str]) -> Chunk:
    text = "\n".join(lines)
    return Chunk(text, frozenset(_defined(_QUOTED.sub("", text).strip())))


def _defined(code: str) -> Iterator[str]:
    if not code:
        return
    if (found := _DEFINE.match(code)) or (found := _TAGGED.match(code)):
        yield found[1]
    elif code.startswith("typedef"):
        yield _WORD.findall(code)[-1]
    elif re.match(r"(static\s+)?enum\s*\{", code):
        yield from _WORD.findall(re.sub(r"=[^,}]*", "", code.partition("{")[2]))
    elif (found := _FUNCTION.match(code)) and "=" not in code[: found.end()]:
        yield found[1]
    else:
        head = code.partition("=")[0] if "{" in code else code
        yield from _PLAIN.findall(head + (";" if "{" in code else ""))


def used(all_: Iterable[Chunk], first: Iterable[str]) -> set[str]:
    """The words that are used by these, directly or not."""
    by_name: dict[str, list[Chunk]] = {}
    for chunk in all_:
        for name in chunk.defines:
            by_name.setdefault(name, []).append(chunk)
    found, left = set[str](), list(first)
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        for chunk in by_name.get(name, ()):
            left += chunk.words - found
    return found
