"""`kvm-replay fmt`: which files it changes, and how it ends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, content
from tests.dsl.samples import HEADER, SAMPLE, put

UGLY = SAMPLE.replace("A     ", "A  ")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one trace that is laid out and one that is not; the working directory."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path, SAMPLE, "good.trace")
    put(tmp_path, UGLY, "ugly.trace")
    return tmp_path


def test_fmt(folder: Path, cli: Cli) -> None:
    """fmt lays out what is not, says so, and leaves the rest alone."""
    inode = (folder / "good.trace").stat().st_ino
    ran = cli("fmt", "good.trace", "ugly.trace")
    assert ran == (0, "ugly.trace: laid out\n", "")
    assert (folder / "ugly.trace").read_text() == SAMPLE
    assert (folder / "good.trace").stat().st_ino == inode


def test_fmt_twice(folder: Path, cli: Cli) -> None:
    """A second time, there is nothing left to do."""
    cli("fmt", ".")
    assert cli("fmt", ".") == (0, "", "")


def test_check(folder: Path, cli: Cli) -> None:
    """--check names what would change, changes nothing, and is exit status 1."""
    before = content(folder)
    assert cli("fmt", "--check", ".") == (1, "ugly.trace: would change\n", "")
    assert content(folder) == before


def test_check_of_good_files(folder: Path, cli: Cli) -> None:
    """--check of a file that is laid out is exit status 0, in silence."""
    assert cli("fmt", "--check", "good.trace") == (0, "", "")


def test_diff(folder: Path, cli: Cli) -> None:
    """--diff prints a unified diff, changes nothing, and is exit status 1."""
    before = content(folder)
    ran = cli("fmt", "--diff", ".")
    assert ran.status == 1
    lines = ran.out.splitlines()
    assert lines[:2] == ["--- ugly.trace", "+++ ugly.trace"]
    assert [line for line in lines[2:] if line[0] in "+-"] == [
        "-A  write v0 = 0x1",
        "-A  read v0",
        "+A     write v0 = 0x1",
        "+A     read v0",
    ]
    assert content(folder) == before


def test_diff_of_good_files(folder: Path, cli: Cli) -> None:
    """--diff of a file that is laid out is exit status 0, in silence."""
    assert cli("fmt", "--diff", "good.trace") == (0, "", "")


@pytest.mark.parametrize("option", [[], ["--check"], ["--diff"]], ids=str)
@pytest.mark.parametrize(
    "broken",
    [UGLY + "A read z32\n", UGLY + "A raed v0\n", HEADER, "", "\0"],
    ids=["name", "syntax", "no events", "empty", "NUL"],
)
def test_broken_file(folder: Path, cli: Cli, broken: str, option: list[str]) -> None:
    """A file with a mistake in it is reported, exit status 2, and not touched."""
    path = put(folder, broken, "broken.trace")
    ran = cli("fmt", *option, "broken.trace")
    assert ran.status == 2
    assert ran.err.startswith("broken.trace:")
    assert path.read_bytes() == broken.encode()


def test_broken_file_does_not_stop_the_others(folder: Path, cli: Cli) -> None:
    """Files behind a broken one are laid out all the same, and all mistakes are reported."""
    put(folder, UGLY + "A read z32\n", "a.trace")
    put(folder, UGLY + "A read p16\n", "b.trace")
    ran = cli("fmt", ".")
    assert ran.status == 2
    assert (folder / "ugly.trace").read_text() == SAMPLE
    assert "a.trace:10:8" in ran.err
    assert "b.trace:10:8" in ran.err


def test_missing_last_newline(folder: Path, cli: Cli) -> None:
    """A file that does not end in a newline is given one."""
    path = put(folder, SAMPLE.rstrip("\n"), "x.trace")
    assert cli("fmt", "x.trace").status == 0
    assert path.read_text() == SAMPLE


def test_no_path(cli: Cli) -> None:
    """fmt needs a path, so that it never rewrites files nobody named."""
    assert cli("fmt").status == 2


def test_permissions_are_kept(folder: Path, cli: Cli) -> None:
    """A file's permissions are the same after it was laid out."""
    path = folder / "ugly.trace"
    path.chmod(0o640)
    cli("fmt", "ugly.trace")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("error", "status"),
    [(OSError(28, "No space left on device"), 2), (KeyboardInterrupt(), 130)],
    ids=["full disk", "Ctrl-C"],
)
def test_failed_write(
    folder: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
) -> None:
    """A write that does not come to its end leaves the old file and nothing beside it."""

    def fail(*args: Any, **more: Any) -> None:
        raise error

    before = content(folder)
    monkeypatch.setattr(os, "replace", fail)
    assert cli("fmt", "ugly.trace").status == status
    assert content(folder) == before


def test_another_systems_file_is_repaired(cli: Cli, folder: Path) -> None:
    """A byte order mark and carriage returns go; the other commands say who removes them."""
    path = put(folder, b"\xef\xbb\xbf" + SAMPLE.replace("\n", "\r\n").encode())
    assert "`kvm-replay fmt` removes it" in cli("run", str(path)).err
    assert cli("fmt", "--check", str(path)).status == 1
    assert cli("fmt", str(path)).status == 0
    assert path.read_bytes() == SAMPLE.encode()
    path.write_bytes(SAMPLE.replace("\n", "\r\n").encode())
    assert "`kvm-replay fmt` repairs them" in cli("run", str(path)).err
