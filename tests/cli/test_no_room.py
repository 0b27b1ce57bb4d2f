"""No room to write, and outputs that are devices: a clear error, and nothing is lost or left."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.long.kills import RECORDING, ROOT, TRACE, content, crooked, old_output, project

SEARCH = ("explore", "arm64 vhe { cpus 1 }", "--kernel", "v7.2", "--tasks", "1", "--depth", "2")
WRITERS = {
    "run --update": (("run", "--update", "-q", "traces"), project),
    "fmt": (("fmt", "."), crooked),
    "import": (("import", str(RECORDING), "-o", "out.trace"), old_output),
    "reduce": (("reduce", str(ROOT / TRACE), "-o", "out.trace"), old_output),
    "explore": ((*SEARCH, "--checkpoint", "out.trace"), lambda _: None),
    "junit": (("run", "-q", str(ROOT / TRACE), "--junit", "out.trace"), old_output),
}
TO_A_FILE = {
    "import": ("import", str(RECORDING), "-o"),
    "reduce": ("reduce", str(ROOT / TRACE), "-o"),
    "explore": (*SEARCH, "--checkpoint"),
    "junit": ("run", "-q", str(ROOT / TRACE), "--junit"),
}


def no_files() -> None:
    """From here on no file of this process can grow, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def run(args: tuple[str, ...], here: Path, full: bool = False) -> tuple[int, str]:
    """Exit status, and what was said on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", *args],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=no_files if full else None,
    )
    return done.returncode, done.stderr


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(name: str, tmp_path: Path) -> None:
    """The old files are as they were, and there are no others."""
    args, setup = WRITERS[name]
    setup(tmp_path)
    before = content(tmp_path)
    status, said = run(args, tmp_path, full=True)
    assert status == 2, said
    assert "File too large" in said or "No usable temporary directory" in said
    assert "internal error" not in said
    assert content(tmp_path) == before


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", TO_A_FILE)
def test_a_device_that_is_full(name: str, tmp_path: Path) -> None:
    """It is said, and the device stays one."""
    status, said = run((*TO_A_FILE[name], "/dev/full"), tmp_path)
    assert status == 2, said
    assert "/dev/full" in said
    assert "internal error" not in said
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", [name for name in TO_A_FILE if name != "explore"])
def test_the_device_that_takes_everything(name: str, tmp_path: Path) -> None:
    """A link to it stays a link."""
    link = tmp_path / "out"
    link.symlink_to("/dev/null")
    status, said = run((*TO_A_FILE[name], str(link)), tmp_path)
    assert status == 0, said
    assert link.is_symlink()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """Whoever runs it: a folder that is a file."""
    shutil.copy(ROOT / TRACE, tmp_path / "x.trace")
    (tmp_path / "file").touch()
    for name, args in TO_A_FILE.items():
        status, said = run((*args, "file/out"), tmp_path)
        assert status == 2, (name, said)
        assert "internal error" not in said
