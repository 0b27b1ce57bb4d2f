"""Every observed line is replayed by a test, or left out for a reason."""

from __future__ import annotations

import pytest

from tests.model.arm64.observed import test_compete, test_ptrace, test_regs, test_sme
from tests.model.arm64.observed.lines import LEFT_OUT, Line, files, kernel, read

REPLAYED = {
    line.id
    for groups in (test_regs.GROUPS, test_sme.GROUPS, test_compete.GROUPS, test_ptrace.GROUPS)
    for lines in groups.values()
    for line in lines
}


def _replayed(line: Line) -> bool:
    # `OBS sme svl=32` heads its file; each line below repeats it, and is judged by it.
    return line.id in REPLAYED or (line.kind == "sme" and set(line.says) == {"svl"})


@pytest.mark.parametrize("path", files(), ids=lambda p: p.stem)
def test_no_line_is_passed_over(path) -> None:  # type: ignore[no-untyped-def]
    """A line of a kind that no test knows fails here."""
    lines = read(path)
    assert lines
    for line in lines:
        assert _replayed(line) != (line.kind in LEFT_OUT), line.text
    spec, mode = kernel(path.stem)
    assert spec
    assert ("nvhe" in path.stem) == (mode == "nvhe")
