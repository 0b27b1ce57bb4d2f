"""`kvm-replay explore`: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.dsl import read_trace
from harness.engine import judge_all
from harness.search import parallel
from tests.cli.conftest import Cli

SHORT = ["explore", "--kernel", "v6.13", "--depth", "5"]


def test_it_finds_and_tells(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SHORT) == 1
    out = capsys.readouterr().out
    assert "missing-trap: A can use SVE at EL0 without a trap" in out
    assert "verdict v6.13 vhe violates missing-trap" in out
    last = out.splitlines()[-1]
    text = r"v6.13 vhe: 1 violation within 1 CPU, 2 tasks, 1 vcpu "
    text += r"\(sve 16..64; events run,switch\S+\), depth 4, not counting what comes after one: "
    text += r"\d+ states, .*states/s"
    assert re.fullmatch(text, last), last


def test_nothing_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--kernel", "v7.2", "--depth", "3", "--tasks", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("v7.2 vhe: no violation within 1 CPU, 1 task, 1 vcpu (")
    assert ",softirq), depth 3: " in out


def test_a_found_trace_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file that is written reads, and its verdict is the model's."""
    machine = "arm64 vhe { sve 16..64; fpmr 1 }"
    args = ["explore", machine, *SHORT[1:], "--all", "-o", str(tmp_path)]
    assert main(args) == 1
    paths = sorted(tmp_path.glob("*.trace"))
    assert [path.stem for path in paths] == ["lost-fpmr", "missing-trap-sve"]
    for path in paths:
        judgements = judge_all(read_trace(path))
        assert judgements
        assert all(one.agrees and one.outcome and one.outcome.kinds for one in judgements)
    capsys.readouterr()
    assert main(["fmt", "--check", *map(str, paths)]) == 0


def test_what_tells_two_kernels_apart(tmp_path: Path) -> None:
    args = ["--kernel", "v4.15+null-always", "--without", "null-always", "--budget", "reloads"]
    assert main(["explore", "arm64 vhe { cpus 1 }", *args, "-o", str(tmp_path)]) == 1
    (path,) = tmp_path.glob("*.trace")
    trace = read_trace(path)
    assert [(v.kernel, v.violates) for v in trace.verdicts] == [
        ("v4.15+null-always", ("cost",)),
        ("v4.15", ()),
    ]
    assert all(one.agrees for one in judge_all(trace))


def test_a_cost_is_told_and_is_no_violation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["explore", "arm64 vhe { cpus 1 }", "--kernel", "v4.15+null-always", "--depth", "5"]
    assert main([*args, "-o", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("cost: 1 reloads, none is due\n")
    assert "no violation, 1 cost within 1 CPU" in out.splitlines()[-1]
    (path,) = tmp_path.glob("*.trace")
    assert path.name == "cost-reloads.trace"
    assert [v.violates for v in read_trace(path).verdicts] == [("cost",)]
    assert all(one.agrees for one in judge_all(read_trace(path)))
    assert main([*args, "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert not tree["found"]
    assert [one["what"] for one in tree["costs"]] == ["reloads"]
    assert main([*args, "--except", "cost"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "no violation within" in line
    assert "; but for cost)" in line
    assert main([*args, "--budget", "reloads"]) == 1


def test_json_has_the_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "ALONE", 16)
    main([*SHORT, "--json"])
    one = json.loads(capsys.readouterr().out)
    main([*SHORT, "--json", "-j", "2"])
    two = json.loads(capsys.readouterr().out)
    assert one["schema"] == "kvm-replay/explore/1"
    for name in ("states", "transitions", "depth", "found", "exhausted"):
        assert one[name] == two[name]


def test_the_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--kernel", "v7.2", "--events", "help"]) == 0
    assert "(only if it is named)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--kernel", "v6.99"], "unknown kernel 'v6.99'"),
        (["--kernel", "v7.2", "--depth", "0"], "--depth 0: expected 1 to"),
        (["--kernel", "v7.2", "--tasks", "99"], "--tasks 99: expected 1 to"),
        (["--kernel", "v7.2", "--cpus", "4", "--tasks", "6"], "17280 orders: expected 3000"),
        (["--kernel", "v7.2", "-j", "2", "--scheduler", "tcp://x"], "do not go together"),
        (["--kernel", "v7.2", "-j", "0"], "-j 0: expected 1 to"),
        (["--kernel", "v7.2", "--events", "swich"], "did you mean 'switch'?"),
        (["--kernel", "v7.2", "--budget", "reload"], "did you mean 'reloads'?"),
        (["--kernel", "v7.2", "--except", "stall"], "did you mean 'stale'?"),
        (["--kernel", "v7.2", "--with", "kneon-lazy-restor"], "unknown fix"),
        (["--kernel", "v7.2", "--checkpoint", "/"], "/"),
        (["--kernel", "v4.13", "arm64 hvhe { sve 16..64 }"], "there is no hVHE"),
    ],
)
def test_bad_input(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", *args]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_a_checkpoint_that_cannot_be_written_is_told_at_once(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "no" / "checkpoint"
    ran = cli("explore", "--kernel", "v7.2", "--depth", "60", "--checkpoint", path)
    assert (ran.status, ran.out) == (2, "")
    assert "No such file or directory" in ran.err
