"""Complaints that only follow from an earlier one, and what a line with a mistake meant.

A declaration with a mistake in it declares nothing, so each line that needs it would be wrong as
well. Those complaints would bury the one that matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.dsl.build import Line
from harness.dsl.nodes import Header
from harness.dsl.syntax import LineError, code_of, parse_line

DECLARATIONS = ("machine", "task", "vm")
SOURCES = ("link", "mail", "commit", "recording")
_LACKS = re.compile(r"\b(this|the) machine has\b|is not on the machine line")
_CHILD = re.compile(r"\s*\w+\s+(?:fork|clone)\s+(\w+)")
_ODD = re.compile(r"[^\x00-\x7f]")


@dataclass(slots=True)
class Causes:
    """What is known to be wrong with a file.

    `names` are those of declarations that failed; `machine` tells that something is wrong with
    the machine line, or that there is none; `sourced` that the file names a source, right or not.
    """

    names: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    machine: bool = False
    sourced: bool = False
    children: dict[str, int] = field(default_factory=dict)  # in which line a task is made
    missing: int = 0  # the first line that needs a machine, where a file has none

    def follows(self, message: str) -> bool:
        """Whether this complaint tells nothing new."""
        lacks = _LACKS.search(message)
        if lacks is None:
            return False
        thing = message[lacks.start() :]
        if self.machine or thing in self.told:
            return True
        if "has no " in thing:
            self.told.add(thing)
        return False

    def find_children(self, lines: Sequence[str]) -> None:
        for number, line in enumerate(lines, 1):
            found = _CHILD.match(line)
            if found:
                self.children.setdefault(found[1], number)

    def lost(self, line: str) -> None:
        """A declaration failed: whom it declared is not known."""
        self.names |= set(re.findall(r"\w+", code_of(line)))


def first_word(line: str) -> str:
    return (line.split() or [""])[0]


def meant(line: str) -> Line | None:
    """What a declaration that does not parse must mean, None if that is not clear."""
    if first_word(line) not in DECLARATIONS:
        return None
    for text in _repairs(line):
        try:
            node = parse_line(text)
        except LineError:
            continue
        if isinstance(node, Header):
            return node
    return None


def _repairs(line: str) -> Iterator[str]:
    plain = _ODD.sub("_", code_of(line))
    yield plain
    yield plain.replace(",", ";")
    word, _, rest = plain.strip().partition(" ")
    if word == "task":
        tasks = re.findall(r"(\w+)(?:\s+on\s+(\w+))?", rest)
        yield "task " + ", ".join(f"{name} on {cpu}" if cpu else name for name, cpu in tasks)


def odd_word(line: str) -> str:
    """The first word of a line that no name can be, '' if there is none."""
    found = re.search(r"[^\s{};,=|#\"]*[^\x00-\x7f][^\s{};,=|#\"]*", re.sub(r'"[^"]*"', "", line))
    return found.group() if found else ""
