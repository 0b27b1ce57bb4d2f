"""The one family of errors a user can see, and how they are drawn.

Every error names the place, the thing, what was expected and the next move.
Nothing here prints: the command line does.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from dataclasses import dataclass


class HarnessError(Exception):
    """Base of every error that is the user's to mend (exit status 2)."""


class PatchError(HarnessError):
    """An exception out of a user's `--model` file: nothing that follows can be relied on."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a source file; line and column count from 1."""

    path: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One complaint about one place, with the source line it stands in."""

    at: Position
    message: str
    source: str | None = None
    width: int = 1

    def __str__(self) -> str:
        text = f"{self.at}: {self.message}"
        if self.source is None:
            return text
        line, caret = clip(self.source, self.at.column, self.width)
        return f"{text}\n    {line}\n    {caret}"


def clip(source: str, column: int, width: int, limit: int = 72) -> tuple[str, str]:
    """The part of `source` around `column` that fits a terminal, and its caret line."""
    text = "".join(c if c.isprintable() or c == "\t" else "?" for c in source.rstrip("\r\n"))
    text = text.replace("\t", " ")
    start = 0
    if len(text) > limit and column > limit // 2:
        start = column - limit // 2
    shown = text[start : start + limit]
    caret = max(0, column - 1 - start)
    width = max(1, min(width, len(shown) - caret))
    return shown, " " * caret + "^" * width


class SourceError(HarnessError):
    """One or more complaints about a source file; nothing in it was run.

    What takes long to say (`engine/refusal.py`) is given as a generator, and said when it is asked
    for: most who catch the error only want to know that there is one.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        super().__init__()
        self._diagnostics = diagnostics

    @functools.cached_property
    def diagnostics(self) -> list[Diagnostic]:
        return list(self._diagnostics)

    def __reduce__(self) -> tuple[type[SourceError], tuple[list[Diagnostic]]]:
        return type(self), (self.diagnostics,)

    def __str__(self) -> str:
        return "\n".join(str(d) for d in self.diagnostics)


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the known word nearest to `word`, or nothing."""
    # Suggestions cost quadratic time in the word's length: a word from a
    # binary file can be megabytes long.
    close = difflib.get_close_matches(word[:64], sorted(set(known)), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def some_of(words: Iterable[str], most: int = 60) -> str:
    """`a, b or c`, or the first of many and how many there are."""
    items = list(words)
    if len(items) <= most:
        return one_of(items)
    return f"{', '.join(items[:most])} and {len(items) - most} more"


def one_of(words: Iterable[str]) -> str:
    """`a, b or c`."""
    items = list(words)
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " or " + items[-1]
