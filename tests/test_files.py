"""The one writer of files: whole or not at all, and nothing else lost."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.files import replacing, write, write_lines


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_gets_what_the_umask_leaves(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write(tmp_path / "x", "text\n")
    finally:
        os.umask(old)
    assert mode(tmp_path / "x") == 0o600


def test_an_old_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o640)
    write(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o640)


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "text"


def test_a_device_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to(os.devnull)
    for path in (Path(os.devnull), tmp_path / "null"):
        write(path, "text")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with pytest.raises(HarnessError, match="/dev/full: cannot be written: No space left"):
        write(Path("/dev/full"), "text")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    path, seen = tmp_path / "pipe", list[str]()
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: seen.append(path.read_text()))
    reader.start()
    write_lines(path, ("one\n", "two\n"))
    reader.join(10)
    assert seen == ["one\ntwo\n"]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_folder_is_not(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="cannot be written: Is a directory"):
        write(tmp_path, "text")
    with pytest.raises(HarnessError, match="cannot be written: No such file"):
        write(tmp_path / "a" / "b", "text")


def _interrupted(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


@pytest.mark.parametrize("named", [False, True], ids=["O_TMPFILE", "a file system without it"])
def test_what_raises_while_it_writes_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    if named:
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_CREAT, raising=False)
    with pytest.raises(KeyboardInterrupt):
        _interrupted(path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x", "old")]
    write(path, "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x", "new")]


def test_who_is_killed_while_it_writes_leaves_nothing(tmp_path: Path) -> None:
    """Until its last step the file has no name."""
    path = tmp_path / "x"
    path.write_text("old")
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from harness.files import replacing\n"
        f"with replacing(Path({str(path)!r})) as file:\n"
        "    file.write(b'half'); file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False)
    assert ran.returncode == -signal.SIGKILL
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x", "old")]
