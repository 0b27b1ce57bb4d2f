"""`-k EXPR`: which names it matches."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli.select import find_traces, parse_expression
from harness.errors import HarnessError
from tests.cli.conftest import Cli
from tests.dsl.samples import SAMPLE, TRACES, put


@pytest.mark.parametrize(
    ("expression", "name", "matches"),
    [
        ("sve", "arm64/sve-lost", True),
        ("SVE", "arm64/sve-lost", True),
        ("arm64/sve", "arm64/sve-lost", True),
        ("sme", "arm64/sve-lost", False),
        ("not sme", "arm64/sve-lost", True),
        ("not not sve", "arm64/sve-lost", True),
        ("sve and lost", "arm64/sve-lost", True),
        ("sve and sme", "arm64/sve-lost", False),
        ("sme or lost", "arm64/sve-lost", True),
        ("sme or za", "arm64/sve-lost", False),
        ("lost or sme and za", "arm64/sve-lost", True),
        ("(lost or sme) and za", "arm64/sve-lost", False),
        ("not sme and lost", "arm64/sve-lost", True),
        ("not (sve and lost)", "arm64/sve-lost", False),
        ("not(sme)and(lost)", "arm64/sve-lost", True),
        ("((lost))", "arm64/sve-lost", True),
    ],
)
def test_expression(expression: str, name: str, matches: bool) -> None:
    """Words, `and`, `or`, `not` and parentheses bind as in Python."""
    assert parse_expression(expression)(name) is matches


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "expected words of a trace's name"),
        ("  ", "expected words of a trace's name"),
        ("a b", "'b' is not expected in 'a b'"),
        ("a and", "a word of a trace's name is missing"),
        ("or a", "a word of a trace's name is missing"),
        ("not", "a word of a trace's name is missing"),
        ("a and or b", "a word of a trace's name is missing"),
        ("(a", r"a \) is missing"),
        ("a)", r"'\)' is not expected in 'a\)'"),
        ("()", "a word of a trace's name is missing"),
        ("(a) b", "'b' is not expected"),
    ],
)
def test_wrong_expression(expression: str, message: str) -> None:
    """An expression that cannot be meant says what is wrong with it."""
    with pytest.raises(HarnessError, match=f"^-k: {message}"):
        parse_expression(expression)


@pytest.mark.parametrize("expression", ["(" * 5000, "not " * 5000 + "x"], ids=["(", "not"])
def test_deeply_nested_expression(cli: Cli, expression: str) -> None:
    """An absurd expression is bad input, no internal error."""
    ran = cli("run", "-k", expression)
    assert ran.status in (2, 4)
    assert ran.err.startswith("kvm-replay: ")


def test_all_without_paths() -> None:
    """Without a path, all traces of the project are meant."""
    found = [path.name for path in find_traces([])]
    assert found == [path.name for path in TRACES]


def test_name_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that two architectures have for a trace is not enough."""
    for name in ("traces/a/x.trace", "traces/b/x.trace"):
        put(tmp_path, SAMPLE, name)
    monkeypatch.setattr("harness.cli.select.default_root", lambda: tmp_path / "traces")
    assert [path.parent.name for path in find_traces(["b/x"])] == ["b"]
    with pytest.raises(HarnessError, match=r"^x: there is a/x, b/x: which of them\?$"):
        find_traces(["x"])


def test_folder(tmp_path: Path) -> None:
    """A folder stands for all traces below it, in the order of their names."""
    paths = [put(tmp_path, SAMPLE, name) for name in ("b.trace", "a/z.trace", "a.trace", "c.txt")]
    assert find_traces([str(tmp_path)]) == sorted(paths[:3])
