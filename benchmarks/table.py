"""A table in docs/explore.md, printed as it grows and written anew between its marks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

DOC = Path(__file__).parent.parent / "docs" / "explore.md"


def write(name: str, rows: Iterable[str]) -> None:
    """The table that `name` makes."""
    begin, end = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
    lines = []
    for line in rows:
        print(line, flush=True)
        lines.append(line)
    head, _, rest = DOC.read_text(encoding="utf-8").partition(begin)
    text = "\n".join([f"{head}{begin}", *lines, f"{end}{rest.partition(end)[2]}"])
    DOC.write_text(text, encoding="utf-8")
