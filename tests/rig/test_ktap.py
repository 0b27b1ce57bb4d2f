"""Whether a log is whole."""

from __future__ import annotations

import pytest

from harness.rig.ktap import Log, read
from tests.rig.conftest import WHOLE

NESTED = """\
KTAP version 1
1..3
  KTAP version 1
  # Subtest: one
  1..2
  ok 1 a
  ok 2 b # SKIP no SME
ok 1 one
# a remark
not ok 2 two # it has failed
ok 3 three # SKIP no SVE
# Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0
"""


def test_a_whole_log() -> None:
    """Counted at the outermost level."""
    assert read(WHOLE) == Log(1, 0, 0, None)
    assert read(NESTED) == Log(1, 1, 1, None)


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("", "it does not begin with `KTAP version 1`"),
        (WHOLE.partition("\n")[2], "it does not begin with `KTAP version 1`"),
        (WHOLE.replace("1..1", ""), "it has no plan (`1..N`)"),
        (WHOLE.replace("1..1", "1..2"), "it has 1 of 2 results"),
        (WHOLE.replace("1..1", "1..0"), "it has 1 of 0 results"),
        (WHOLE.partition("#")[0], "it does not end with `# Totals:`"),
        (NESTED.replace("  ok 2 b # SKIP no SME\n", ""), "it has 1 of 2 results before `ok 1 one`"),
        (NESTED.partition("ok 1 one")[0], "it has 0 of 3 results"),
        (WHOLE.replace("ok 1 a", "ok 1 a\nBail out! no /dev/kvm"), "Bail out! no /dev/kvm"),
        ("KTAP version 1\n\0\n", "it has no plan (`1..N`)"),
    ],
)
def test_what_a_log_lacks(text: str, lacks: str) -> None:
    assert read(text).lacks == lacks
