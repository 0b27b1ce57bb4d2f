"""What is wrong with a file: complaints, each at its place, collected until the file is read."""

from __future__ import annotations

from collections.abc import Iterable

from harness.dsl.causes import Causes
from harness.dsl.nodes import Name
from harness.errors import Diagnostic, Position, SourceError, nearest, some_of

_MOST = 50  # complaints about one file, before it is taken for something else


class Complaints:
    """The complaints about the lines of one file, without those that only follow from others."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lines: tuple[str, ...] = ()
        self.complaints: list[Diagnostic] = []
        self.causes = Causes()

    def wrong(self, line: int, column: int, message: str, width: int = 1) -> None:
        if self.causes.follows(message):
            return
        source = self.lines[line - 1] if 0 < line <= len(self.lines) else None
        at = Position(self.path, line, column)
        self.complaints.append(Diagnostic(at, message, source, width))
        if len(self.complaints) >= _MOST:
            raise SourceError(self.complaints)

    def wrong_name(self, line: int, name: Name, message: str) -> None:
        self.wrong(line, name.column, message, len(name.text))

    def complain(self) -> None:
        """Raise SourceError if anything is wrong."""
        if self.complaints:
            raise SourceError(sorted(self.complaints, key=lambda d: (d.at.line, d.at.column)))

    def unknown(self, line: int, name: Name, what: str, known: Iterable[str]) -> None:
        if name.text in self.causes.names:
            return
        self.causes.names.add(name.text)
        made = self.causes.children.get(name.text, 0)
        if made > line:
            self.wrong_name(line, name, f"{name.text} does not exist yet: line {made} makes it")
            return
        names = list(known)
        hint = nearest(name.text, names) or (f": there is {some_of(names)}" if names else "")
        self.wrong_name(line, name, f"unknown {what} {name.text!r}{hint}")
