"""Commits that somebody has looked at and left out, each with the reason: looked-at.tsv."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError

FILE = "looked-at.tsv"


@dataclass(frozen=True, slots=True)
class Looked:
    """One line: what it was, and why the model has no row for it."""

    id: str | None
    title: str
    reason: str


def looked_at(folder: Path) -> list[Looked]:
    """The list beside an architecture's model. Raises HarnessError for a line that is none."""
    path = folder / FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise HarnessError(f"{folder.name}/{path.name}: not UTF-8 (byte {error.start})") from None
    found = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        parts = line.split("\t")
        place = f"{folder.name}/{path.name}:{number}"
        if len(parts) != 3 or not all(part.strip() for part in parts):
            raise HarnessError(f"{place}: expected id (or -), title, reason, by tabs")
        if not re.fullmatch(r"-|[0-9a-f]{12}", parts[0]):
            raise HarnessError(f"{place}: {parts[0]!r} is no id: expected 12 hex digits, or -")
        found.append(Looked(None if parts[0] == "-" else parts[0], parts[1], parts[2]))
    return found
