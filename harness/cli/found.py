"""What a search has found, printed and written."""

from __future__ import annotations

import textwrap
from pathlib import Path

from harness.cli.term import Terminal
from harness.files import write
from harness.search.bounds import Bounds, Found
from harness.search.discovery import lines_of

MOST_EVENTS = 20


def write_found(folder: str | None, found: list[Found], texts: list[str]) -> list[Path]:
    """Each trace in a file of the folder, if there is one."""
    if folder is None:
        return []
    paths: list[Path] = []
    for one, text in zip(found, texts, strict=True):
        what = "".join(c if c.isalnum() else "-" for c in one.violation.what.lower()).strip("-")
        path = Path(folder) / f"{one.violation.kind}-{what}.trace"
        write(path, text, parents=True)
        paths.append(path)
    return paths


def print_found(
    out: Terminal,
    bounds: Bounds,
    found: list[Found],
    texts: list[str],
    paths: list[Path],
) -> None:
    """What was found, and the first trace or where they all are; a long way there is left out."""
    for n, one in enumerate(found):
        text = f"{one.violation.kind}: {one.violation.text}"
        for at, line in enumerate(textwrap.wrap(text, 78, break_on_hyphens=False)):
            colour = "yellow" if one.violation.kind == "cost" else "red"
            out.line(out.paint(line if at == 0 else f"  {line}", colour, "bold"))
        if len(one.events) <= MOST_EVENTS:
            for line in lines_of(bounds, one.events):
                out.line(f"    {line}")
        else:
            out.line(f"    after {len(one.events)} events; reduced:")
        if paths:
            out.line(f"  written to {paths[n]}")
        elif n == 0 or len(one.events) > MOST_EVENTS:
            out.line()
            for line in texts[n].splitlines():
                out.line(out.paint(line, "dim"))
        out.line()


def plain_found(bounds: Bounds, found: list[Found], texts: list[str]) -> list[dict[str, object]]:
    """What was found, for JSON."""
    return [
        {
            "kind": one.violation.kind,
            "what": one.violation.what,
            "text": one.violation.text,
            "events": lines_of(bounds, one.events),
            "trace": text,
        }
        for one, text in zip(found, texts, strict=True)
    ]
