"""A project of two traces, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.cli import jobs
from harness.cli.main import main
from tests.dsl.samples import SAMPLE, put

ONE = SAMPLE.replace("a sample", "the first")
TWO = SAMPLE.replace("a sample", "the second") + 'snapshot "read"\n'


class Ran(NamedTuple):
    """What one command said and how it ended."""

    status: int
    out: str
    err: str


Cli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _processes_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-j` starts them even where one process is as fast."""
    monkeypatch.setattr(jobs, "EACH", 1)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs one command."""

    def run(*args: str | Path) -> Ran:
        try:
            status = main([str(arg) for arg in args])
        except SystemExit as end:  # argparse
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Ran(status, out, err)

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> Path:
    """A folder with two traces whose golden files are right; it is the working directory."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path, ONE, "traces/one.trace")
    put(tmp_path, TWO, "traces/two.trace")
    assert cli("run", "--update", "traces").status == 0
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
