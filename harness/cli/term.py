"""Output for people: colour where a terminal shows it, ASCII everywhere."""

from __future__ import annotations

import os
import re
import secrets
import sys
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


# Control characters but for the line end and tab, and what turns the direction of writing.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
# What paint() puts around a colour until line() has escaped the rest: nobody can guess it.
_KEY = secrets.token_hex(8)
_COLOUR = re.compile(rf"<{_KEY}:([0-9;]*)>")


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
        return f"<{_KEY}:{codes}>{text}<{_KEY}:0>"

    def line(self, text: str = "") -> None:
        """Write a line. Only colours of our own reach a terminal, no other control character."""
        self.stream.write(_COLOUR.sub("\x1b[\\1m", plain(text)) + "\n")


def many(count: int, what: str) -> str:
    """`1 trace`, `2 traces`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def plain(text: str) -> str:
    """`text` with control characters (but line ends and tabs) made visible."""
    return _CONTROL.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def aside(text: str) -> None:
    """Say something by the way: on standard error, escaped as all that goes out."""
    sys.stderr.write(plain(text) + "\n")


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
