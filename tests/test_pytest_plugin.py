"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.main import main
from tests.dsl.samples import SAMPLE, put

OPTIONS = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-rA", "-W", "error"]


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """pytest in `folder`, as someone who has the package installed would run it."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:hypothesispytest",
            "-rA",
            "-W",
            "error",
            *args,
        ],
        cwd=folder,
        env=os.environ | {"PYTEST_ADDOPTS": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a trace that shows what it should."""
    path = put(tmp_path, SAMPLE, "good.trace")
    assert main(["run", "--update", str(path)]) == 0
    return tmp_path


def test_good_trace(folder: Path) -> None:
    """Each case of a trace is a test, named by kernel and mode, and passes as it should."""
    done = run(folder)
    assert done.returncode == 0
    assert "PASSED good.trace::v6.16-vhe\n" in done.stdout
    assert "PASSED good.trace::v6.16-nvhe\n" in done.stdout
    assert "2 passed" in done.stdout


def test_one_case(folder: Path) -> None:
    """A case can be run by its name."""
    done = run(folder, "good.trace::v6.16-nvhe")
    assert done.returncode == 0
    assert "1 passed" in done.stdout


def test_bad_traces(folder: Path) -> None:
    """A failing trace, a missing or broken golden file: each failure is in the harness' words."""
    put(folder, SAMPLE.replace("holds", "violates lost"), "wrong.trace")
    put(folder, SAMPLE, "missing.trace")
    put(folder, SAMPLE, "golden.trace")
    put(folder, "on: 1\n", "golden.yaml")
    put(folder, SAMPLE + "B read v0\n", "refused.trace")
    put(folder, (folder / "good.yaml").read_text() + "  counts: {saves: 7}\n", "changed.yaml")
    put(folder, SAMPLE, "changed.trace")
    done = run(folder)
    out = done.stdout
    assert done.returncode == 1
    assert "10 failed, 2 passed" in out
    assert "wrong verdict\nline 4 says: violates lost\nthe model: holds\n" in out
    assert "no golden file\nno golden file yet: `kvm-replay run --update " in out
    assert "golden.yaml:1:1: key True is no text; write it in quotes\n" in out
    assert "refused.trace:10:1: B is not current on any CPU" in out
    assert "differs\ncounts: expected {saves: 7}, got nothing\n" in out
    assert "Traceback" not in out
    assert "def runtest" not in out


def test_broken_trace(folder: Path) -> None:
    """A broken trace is an error of the collection, shown as the command line shows it."""
    put(folder, SAMPLE + "A read z32\n", "broken.trace")
    done = run(folder)
    assert done.returncode == 2
    assert "broken.trace:10:8: no register 'z32': z0 to z31\n    A read z32\n" in done.stdout
    assert "Traceback" not in done.stdout
    assert "def collect" not in done.stdout


def test_case_that_cannot_be_judged(tmp_path: Path) -> None:
    """A mode that a kernel cannot run the trace in is skipped, with the reason."""
    path = put(tmp_path, SAMPLE.replace("v6.16", "v5.10").replace(" sve }", " }"))
    assert main(["run", "--update", str(path)]) == 0
    done = run(tmp_path)
    assert done.returncode == 0
    assert "1 passed, 1 skipped" in done.stdout
    assert "KVM refuses SVE hardware without VHE (until nvhe-sve)" in done.stdout


def test_verdict_that_cannot_be_judged(tmp_path: Path) -> None:
    """A verdict on a kernel that can run the trace in no mode fails here as on the command line."""
    path = put(tmp_path, SAMPLE.replace("v6.16", "v4.15"))
    assert main(["run", str(path)]) == 2
    done = run(tmp_path)
    assert done.returncode != 0
    assert "v4.15 cannot run this trace" in done.stdout


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """Only files that are called *.trace are collected."""
    put(tmp_path, "not a trace", "x.traces")
    put(tmp_path, "not a trace", "trace")
    (tmp_path / "folder.trace").mkdir()
    assert run(tmp_path).returncode == 5


def test_files_of_others(tmp_path: Path) -> None:
    """`*.trace` is a name that others use as well: what is not ours is left alone."""
    put(tmp_path, "TRACE 1.0\nbinary", "other.trace")
    put(tmp_path, '# a comment\nevent trace "x"\n', "words.trace")
    (tmp_path / "folder.trace").mkdir()
    done = run(tmp_path)
    assert "no tests ran" in done.stdout


def test_what_the_ini_file_names_is_ours(tmp_path: Path) -> None:
    put(tmp_path, "[pytest]\nkvm_replay_traces =\n    mine\n", "pytest.ini")
    put(tmp_path, "this is no trace\n", "mine/broken.trace")
    put(tmp_path, "this is no trace\n", "other/broken.trace")
    done = run(tmp_path)
    assert "mine/broken.trace" in done.stdout
    assert "other/broken.trace" not in done.stdout
