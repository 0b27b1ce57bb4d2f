"""The tables of events in docs/, which the declarations of verbs say.

    python -m tests.events

writes them anew.
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.dsl.events import table
from harness.model import ARCHITECTURES, architecture

PAGES = Path(__file__).resolve().parent.parent / "docs"


def with_events(page: str, arch: str) -> str:
    """A page with the table of this architecture's events in place of the one that it has."""
    new = table(architecture(arch)) + "\n"
    text, found = re.subn(r"\| who \| event \|.*\n(\|.*\n)*", lambda old: new, page)
    assert found == 1
    return text


def main() -> None:
    for arch in ARCHITECTURES:
        page = PAGES / f"{arch}.md"
        text = with_events(page.read_text(encoding="utf-8"), arch)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
