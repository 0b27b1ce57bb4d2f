"""Scripts, and logs of the runner."""

from __future__ import annotations

import pytest

from harness.drive.script import Driven, Skipped, answer, is_log, read_log, written
from harness.errors import HarnessError

TEST = Driven("a/b", 1, ("sve 16 64", "no sme"), ('trace "t"', "A syscall"), ("2 c 0 syscall",))
LOG = """\
KTAP version 1
# kvm-replay log 1 aarch64 7.3.4+deb13-arm64
1..2
# planned for v7.3 vhe
# test a/b
# | trace "t"
# | A syscall
# = 2 ret 5 x 0
ok 1 a/b
ok 2 c # SKIP this machine has no sme
# 0.5 s
# Totals: pass:1 fail:0 xfail:0 xpass:0 skip:1 error:0
"""


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def test_a_script_says_all_that_a_log_needs() -> None:
    text = list(written([TEST, Skipped("c", "no reason")], "v7.3 vhe"))
    assert text[:2] == ["plan 2", "# planned for v7.3 vhe"]
    assert text[-1] == "whole"
    assert "skip c no reason" in text
    assert text.index("test a/b") < text.index("# | A syscall") < text.index("2 c 0 syscall")


def test_a_log() -> None:
    log = read_log("l", lines(LOG))
    assert (log.release, log.planned, log.whole) == ("7.3.4+deb13-arm64", "v7.3 vhe", True)
    one, other = log.tests
    assert (one.id, one.result, one.source) == ("a/b", "ok", ['trace "t"', "A syscall"])
    assert one.answers[2].ret == 5
    assert (other.id, other.skipped) == ("c", "this machine has no sme")


def test_a_log_that_ends_early_is_not_whole() -> None:
    for end in range(2, len(lines(LOG))):
        assert not read_log("l", lines(LOG)[:end]).whole


def test_a_trace_that_was_not_carried_out() -> None:
    text = LOG.replace("# = 2 ret 5 x 0\nok 1", "# ! 2 c: task 0 does not answer\nnot ok 1")
    (one, _) = read_log("l", lines(text)).tests
    assert one.lost == "2 c: task 0 does not answer"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no log"),
        ("KTAP version 1\n1..1\nok 1 a\n", "no log"),
        (LOG.replace("ok 1 a/b", "ok 1 z"), "which has not begun"),
        (LOG.replace("# = 2 ret", "# = two ret"), "the number of a line"),
    ],
)
def test_what_is_no_log(text: str, why: str) -> None:
    with pytest.raises(HarnessError, match=why):
        read_log("l", lines(text))


def test_is_log() -> None:
    assert is_log("# kvm-replay log 1 aarch64 6.1")
    assert not is_log("KTAP version 1")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("ok", (0, 0, b"", 0, None)),
        ("ret -22 x 3", (-22, 3, b"", 0, None)),
        ("ret 0 x 0 data 0102", (0, 0, b"\1\2", 0, None)),
        ("undef 2000000", (0, 0, b"", 0x2000000, None)),
        ("died 4", (0, 0, b"", 0, 4)),
    ],
)
def test_an_answer(text: str, want: tuple[object, ...]) -> None:
    got = answer(text)
    assert got is not None
    assert tuple(got) == want


@pytest.mark.parametrize(
    "text", ["", "sorry", "data 010", "data", "ret 1", "died -1", "died 9999", "okay"]
)
def test_what_is_no_answer(text: str) -> None:
    assert answer(text) is None
