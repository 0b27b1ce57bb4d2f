"""What is checked in as looked at: each commit once, and none that has a row."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import harness.model
from harness.model import ARCHITECTURES, architecture
from harness.upstream import looked_at, mirrors
from harness.upstream.changelog import key
from harness.upstream.mirror import named

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_each_once_and_none_with_a_row(arch: str) -> None:
    looked = looked_at(Path(harness.model.__file__).parent / arch)
    assert len(looked) > 80
    titles = Counter(key(each.title) for each in looked)
    assert [title for title, n in titles.items() if n > 1] == []
    rows = {
        key(c.title) for fix in architecture(arch).catalogue.fixes.values() for c in fix.commits
    }
    assert titles.keys() & rows == set()
    ids = {c.id for fix in architecture(arch).catalogue.fixes.values() for c in fix.commits}
    assert {each.id for each in looked} & ids == set()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_rows_that_reasons_name_are_there(arch: str) -> None:
    for each in looked_at(Path(harness.model.__file__).parent / arch):
        _, found, name = each.reason.partition("in the row ")
        if found:
            assert name.split(":")[0].split(",")[0].split(" ")[0] in (
                architecture(arch).catalogue.fixes
            ), each


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_files_that_the_docs_name_are_mirrored(arch: str) -> None:
    """docs/ARCH.md's table of where things are, against what the modules say themselves."""
    page = (ROOT / f"docs/{arch}.md").read_text(encoding="utf-8")
    table = page.partition("## Where things are\n")[2].partition("\n## ")[0]
    mirrored = mirrors(arch)
    for row in table.splitlines():
        kernel = row.split("|")[1] if row.count("|") > 2 else ""
        for path in named(arch, kernel):
            assert path.startswith("tools/") or any(m.matches(path) for m in mirrored.values())
