"""`kvm-replay fuzz`: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.dsl import read_trace
from harness.engine import judge_all

SOME = ["fuzz", "--kernel", "v6.13", "--seed", "3", "--walks", "20"]


@pytest.mark.long
def test_it_finds_reduces_and_tells(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SOME) == 1
    out = capsys.readouterr().out
    assert "missing-trap: A can use SVE at EL0 without a trap" in out
    assert 'about "Found by kvm-replay fuzz --seed 3 on v6.13 vhe."' in out
    last = out.splitlines()[-1]
    text = r"v6.13 vhe: \d violations in 20 walks of up to 500 events with --seed 3: \d+ events, .*"
    assert re.fullmatch(text, last), last


def test_nothing_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "--kernel", "v7.2", "--for", "0.2s", "--length", "50"]) == 0
    assert capsys.readouterr().out.startswith("v7.2 vhe: no violations in ")


@pytest.mark.long
def test_a_found_trace_is_one(tmp_path: Path) -> None:
    """Each file that is written reads, and its verdict is the model's."""
    assert main([*SOME, "-o", str(tmp_path)]) == 1
    paths = sorted(tmp_path.glob("*.trace"))
    assert paths
    for path in paths:
        judgements = judge_all(read_trace(path))
        assert judgements
        assert all(one.agrees and one.outcome and one.outcome.kinds for one in judgements)


@pytest.mark.long
def test_processes_change_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for jobs in ("1", "2"):
        assert main([*SOME, "--json", "-j", jobs]) == 1
        one = json.loads(capsys.readouterr().out)
        assert one.pop("seconds") >= 0
        told.append(one)
    assert told[0] == told[1]
    assert told[0]["schema"] == "kvm-replay/fuzz/1"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--kernel", "v6.99"], "unknown kernel 'v6.99'"),
        (["--kernel", "v7.2", "--length", "0"], "--length 0: expected 1 to"),
        (["--kernel", "v7.2", "--walks", "0"], "--walks 0: expected 1 to"),
        (["--kernel", "v7.2", "--for", "60 s"], "expected a time such as 60s"),
        (["--kernel", "v7.2", "--for", "0s"], "expected a time such as 60s"),
        (["--kernel", "v7.2", "--for", "1s", "--walks", "1"], "do not go together"),
        (["--kernel", "v7.2", "--events", "swich"], "did you mean 'switch'?"),
        (["--kernel", "v7.2", "-j", "0"], "-j 0: expected 1 to"),
    ],
)
def test_bad_input(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", *args]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
