"""Which traces a command is about: paths, and `-k EXPR` over their names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from harness.dsl.reader import STDIN, default_root, packaged_root, trace_id
from harness.errors import HarnessError, nearest
from harness.model import ARCHITECTURES
from harness.resources import display

Match = Callable[[str], bool]
MAX_WORDS = 100
_TOKEN = re.compile(r"\s*(?:([()])|([^\s()]+))")


def find_traces(paths: Iterable[str], expression: str | None = None) -> list[Path]:
    """The trace files under `paths` (the project's own without any), in order of name.

    A name such as `arm64/eight-steps` or `eight-steps` finds one of the
    project's own. Raises HarnessError for what is not there.
    """
    found: dict[Path, None] = {}
    targets: list[str | None] = [*paths] or [None]
    for path in targets:
        for trace in _under(path):
            found[trace] = None
    if expression is None:
        return list(found)
    matches = parse_expression(expression)
    return [path for path in found if matches(trace_id(path))]


def distinct(paths: Iterable[Path]) -> None:
    """Raise HarnessError for two traces of one name: nobody could tell their results apart."""
    seen: dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(trace_id(path), path)
        if other != path:
            raise HarnessError(
                f"{display(other)} and {display(path)} are both called {trace_id(path)}; "
                "judge one of them, or rename it"
            )


def _under(text: str | None) -> list[Path]:
    path = default_root() if text is None else Path(text)
    try:
        if path.is_dir():
            return below(path)
        if path == STDIN or text is None or path.is_symlink() or path.exists():
            return [path]
    except OSError as error:
        raise HarnessError(f"{str(path)[:60]}: {error.strerror}") from None
    if text in ARCHITECTURES and (default_root() / text).is_dir():
        return below(default_root() / text)
    # A project of one's own may speak of a trace that came with the package.
    roots = dict.fromkeys((packaged_root(), default_root()))
    own = {trace_id(p): p for root in roots if root.is_dir() for p in below(root)}
    named = {name: t for name, t in own.items() if text in (name, name.split("/")[-1])}
    if len(named) > 1:
        raise HarnessError(f"{display(path)}: there is {', '.join(named)}: which of them?")
    if named:
        return list(named.values())
    names = [*own, *(n.split("/")[-1] for n in own)]
    raise HarnessError(f"{display(path)}: no such file, folder or trace{nearest(text, names)}")


def below(folder: Path) -> list[Path]:
    """The trace files in a folder and those below it, but for hidden ones.

    Raises HarnessError for a folder that cannot be read.
    """

    def unreadable(error: OSError) -> None:
        raise HarnessError(f"{display(Path(str(error.filename)))}: {error.strerror}")

    found = []
    for here, folders, names in os.walk(folder, onerror=unreadable, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(here, name)
            for name in (*names, *folders)
            if name.endswith(".trace") and not name.startswith(".")
        ]
    return sorted(found)


def parse_expression(text: str) -> Match:
    """A test of trace names: words that occur in them, with `and`, `or`, `not` and `( )`."""
    tokens = [a or b for a, b in _TOKEN.findall(text)]
    if len(tokens) > MAX_WORDS:
        raise HarnessError(f"-k: {len(tokens)} words, {MAX_WORDS} are allowed")
    if not tokens:
        raise HarnessError("-k: expected words of a trace's name, with and, or, not")
    match, rest = _either(tokens)
    if rest:
        raise HarnessError(f"-k: {rest[0]!r} is not expected in {text!r}")
    return match


def _either(tokens: list[str]) -> tuple[Match, list[str]]:
    left, tokens = _both(tokens)
    while tokens and tokens[0] == "or":
        right, tokens = _both(tokens[1:])
        left = (lambda a, b: lambda name: a(name) or b(name))(left, right)
    return left, tokens


def _both(tokens: list[str]) -> tuple[Match, list[str]]:
    left, tokens = _one(tokens)
    while tokens and tokens[0] == "and":
        right, tokens = _one(tokens[1:])
        left = (lambda a, b: lambda name: a(name) and b(name))(left, right)
    return left, tokens


def _one(tokens: list[str]) -> tuple[Match, list[str]]:
    if not tokens or tokens[0] in ("and", "or", ")"):
        raise HarnessError("-k: a word of a trace's name is missing")
    head, rest = tokens[0], tokens[1:]
    if head == "not":
        inner, rest = _one(rest)
        return lambda name: not inner(name), rest
    if head == "(":
        inner, rest = _either(rest)
        if not rest or rest[0] != ")":
            raise HarnessError("-k: a ) is missing")
        return inner, rest[1:]
    return lambda name: head.lower() in name.lower(), rest
