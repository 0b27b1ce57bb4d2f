"""Output for people: colour where a terminal shows it, ASCII everywhere."""

from __future__ import annotations

import os
import re
import sys
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Terminal:
    """Where output goes, and whether it may be coloured.

    `--color` decides, then FORCE_COLOR and NO_COLOR (set and not empty), then
    whether it is a terminal that can.
    """

    def __init__(self, stream: TextIO, color: str = "auto") -> None:
        self.stream = stream
        if color != "auto":
            self.color = color == "always"
        elif os.environ.get("NO_COLOR"):
            self.color = False
        elif os.environ.get("FORCE_COLOR"):
            self.color = True
        else:
            self.color = stream.isatty() and os.environ.get("TERM") != "dumb"

    def paint(self, text: str, *styles: str) -> str:
        text = plain(text)
        if not self.color:
            return text
        codes = ";".join(_CODES[s] for s in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def line(self, text: str = "") -> None:
        """Write a line. Only colours of our own reach a terminal, no other control character."""
        self.stream.write((text if self.color else plain(text)) + "\n")


def plain(text: str) -> str:
    """`text` with control characters (but line ends and tabs) made visible."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


class Bar:
    """A line on a terminal's standard error, written over and over; nothing elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.on = self.stream.isatty() and os.environ.get("TERM") != "dumb"

    def show(self, text: str) -> None:
        if self.on:
            self.stream.write(f"\r\x1b[K{text}")
            self.stream.flush()

    def end(self) -> None:
        self.show("")


class Progress:
    """`12/29 arm64/eight-steps`."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.bar = Bar(stream)
        self.total = total
        self.done = 0

    def step(self, what: str) -> None:
        self.done += 1
        self.bar.show(f"{self.done}/{self.total} {what[:60]}")

    def end(self) -> None:
        self.bar.end()
