"""A trace for a moment: without source and verdict, from standard input, anywhere."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

SCRATCH = """\
trace "scratch"
machine arm64 vhe { cpus 1 }
task A
A write v0 = 1
A read v0
"""


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(SCRATCH.encode()))
    monkeypatch.setattr(sys, "stdin", stream)


@pytest.mark.parametrize("command", ["run", "show", "explain", "bisect-run"])
def test_a_kernel_is_all_that_it_takes(cli: Cli, typed: None, command: str) -> None:
    ran = cli(command, "-", "--kernel", "v6.1")
    assert (ran.status, ran.err) == (0, "")
    assert "v6.1" in ran.out


def test_without_a_kernel_it_says_so(cli: Cli, typed: None) -> None:
    ran = cli("run", "-")
    assert ran.status == 2
    assert "no source: after this line belongs one such as `link" in ran.err
    assert "--kernel K judges a trace without one" in ran.err


def test_matrix_and_bisect(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.trace"
    path.write_text(SCRATCH)
    assert cli("matrix", str(path), "--kernel", "v6.1").status == 0
    assert cli("bisect", str(path)).status == 1


def test_fmt_from_standard_input_to_standard_output(cli: Cli, typed: None) -> None:
    ran = cli("fmt", "-")
    assert ran.status == 0
    assert ran.out.endswith("A     write v0 = 1\nA     read v0\n")


def test_standard_input_has_no_golden_file(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SCRATCH.replace("task", 'link "a@b.c"\nverdict v6.1 holds\ntask', 1)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    ran = cli("run", "-")
    assert ran.out.endswith("1 trace, 1 case: 0 as expected, 1 without golden file\n")


@pytest.mark.parametrize(
    "address",
    [
        "https://lore.kernel.org/all/user-1@host.example/",
        "https://lore.kernel.org/r/user-1@host.example",
        "https://lore.example/kvmarm/user-1%40host.example/T/#u",
    ],
)
def test_an_archives_address_is_a_source(cli: Cli, tmp_path: Path, address: str) -> None:
    path = tmp_path / "x.trace"
    path.write_text(SCRATCH.replace("task", f'link "{address}"\nverdict v6.1 holds\ntask', 1))
    assert cli("run", str(path), "--update").status == 0
    assert "- user-1@host.example\n" in path.with_suffix(".yaml").read_text()


def test_the_corpus_of_the_folder_that_one_is_in(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with `traces` and `expected`, or one below it; the last line says which."""
    (tmp_path / "traces").mkdir()
    (tmp_path / "expected").mkdir()
    text = SCRATCH.replace("task", 'link "a@b.c"\nverdict v6.1 holds\ntask', 1)
    (tmp_path / "traces/mine.trace").write_text(text)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert cli("run", "--update").status == 0
    last = cli("run").out.splitlines()[-1]
    assert last == f"1 trace, 1 case: 1 as expected (traces: {tmp_path / 'traces'})"
    assert cli("show", "mine", "--kernel", "v6.1").status == 0
    assert cli("show", "eight-steps", "--kernel", "v6.1").status == 0


def test_a_corpus_that_is_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.trace").write_text(SCRATCH)
    (tmp_path / ".hidden.trace").write_text("half")
    ran = cli("run", "--traces", str(tmp_path), "--kernel", "v6.1")
    assert ran.out.splitlines()[-1].startswith("1 trace, 1 case")
    assert cli("run", "--traces", str(tmp_path / "none")).status == 2
