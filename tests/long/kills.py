"""Every command that writes, killed at random points: nothing is lost, nothing is left behind.

    tox -e long          # 30 times SIGTERM and 30 times SIGKILL for each command

`ROUNDS=5 pytest -n0 -s tests/long/kills.py -k fmt` is for in between. Each
round begins with the same
files. After it every file is as it was or as the command makes it, no file is there besides, no
process of the command runs, and the next run, left alone, does what the first did.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.search.repository import PREFIX

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("ROUNDS", "30"))
RECORDING = ROOT / "tests/capture/recordings/vhe-kp-tiny.txt.xz"
TRACES = sorted((ROOT / "traces/arm64").glob("*.trace"))[:40]

Files = dict[str, bytes]


class Command(NamedTuple):
    """What is run, in a folder that `setup` has filled, and how it ends."""

    args: tuple[str, ...]
    setup: Callable[[Path], None]
    status: int = 0
    same: bool = True  # whether each run writes the same


def project(folder: Path) -> None:
    """Some traces whose golden files are out of date."""
    (folder / "traces").mkdir()
    (folder / "expected").mkdir()
    for path in TRACES:
        shutil.copy(path, folder / "traces")
        golden = ROOT / "expected/arm64" / f"{path.stem}.yaml"
        text = golden.read_text().replace("trace: arm64/", "trace: ").replace("saves: ", "saves: 1")
        (folder / "expected" / golden.name).write_text(text)


def crooked(folder: Path) -> None:
    """Traces that are not laid out."""
    for path in TRACES:
        (folder / path.name).write_text(path.read_text().replace("task A", "task  A"))


def old_output(folder: Path) -> None:
    """A file of somebody's where the output goes."""
    (folder / "out.trace").write_text("# somebody's\n")


def clone(folder: Path) -> None:
    """This repository with a history in which the model changes its mind."""

    def git(*args: str) -> None:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.invalid")
        subprocess.run(["git", *who, *args], cwd=folder, check=True, capture_output=True)

    git("clone", "-q", "--depth", "1", f"file://{ROOT}", ".")
    fixes = folder / "harness/model/arm64/fixes.py"
    text = fixes.read_text()
    for n in range(6):
        at = text.index('\n            "sme-resume",')
        changed = text[at:].replace('"v6.8"', '"v6.9"', 1) if n >= 3 else text[at:]
        fixes.write_text(text[:at] + changed + f"# {n}\n")
        git("commit", "-qam", f"c{n}")


RESUME = "traces/arm64/sme-resume-loses-fa64.trace"
TRACE = "traces/arm64/sve-not-trapped-after-guest.trace"
BOUNDS = ("arm64 vhe { cpus 2; sve 16..64 }", "--kernel", "v7.2", "--depth", "4", "--tasks", "2")
KEPT = ("--checkpoint", "out.trace")
COMMANDS = {
    "run --update": Command(("run", "--update", "-q", "traces"), project),
    "run -j": Command(("run", "-j", "4", "-q", str(ROOT / "traces/arm64")), lambda _: None),
    "fmt": Command(("fmt", "."), crooked),
    "import": Command(("import", str(RECORDING), "-o", "out.trace"), old_output),
    "reduce": Command(("reduce", str(ROOT / TRACE), "-o", "out.trace"), old_output),
    "explore": Command(("explore", *BOUNDS, *KEPT), lambda _: None, same=False),
    "explore -j": Command(("explore", *BOUNDS, *KEPT, "-j", "2"), lambda _: None, same=False),
    "bisect --git": Command(
        ("bisect", RESUME, "--git", "HEAD~5", "HEAD", "--kernel", "v6.8", "--mode", "nvhe"), clone
    ),
}  # fmt: skip


def content(folder: Path) -> Files:
    """Every file below `folder`, but what git and Python keep for themselves."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {".git", "__pycache__"} & set(path.relative_to(folder).parts)
    }


def processes(session: int) -> list[int]:
    """The processes of a session that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(words[3]) == session and words[0] != "Z":
                found.append(int(entry.name))
    return found


def start(command: Command, folder: Path, scratch: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(scratch),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *command.args],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def worktrees(folder: Path) -> int:
    """How many work trees git knows of."""
    if not (folder / ".git").exists():
        return 1
    listed = subprocess.run(
        ["git", "worktree", "list"], cwd=folder, capture_output=True, text=True, check=True
    )
    return len(listed.stdout.splitlines())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("name", COMMANDS)
def test_killed(name: str, number: signal.Signals, tmp_path: Path) -> None:
    """Killed at random points of its time, 30 times."""
    command, chance = COMMANDS[name], random.Random(name + number.name)
    first, scratch = tmp_path / "first", tmp_path / "scratch"
    for folder in (first, scratch):
        folder.mkdir()
    command.setup(first)
    before = content(first)
    begun = time.monotonic()
    assert start(command, first, scratch).wait() == command.status
    takes = time.monotonic() - begun
    after = content(first)
    ended = 0
    for n in range(ROUNDS):
        folder = tmp_path / f"round{n}"
        shutil.copytree(first, folder, symlinks=True)
        for path in after:
            (folder / path).unlink()
        for path, data in before.items():
            (folder / path).write_bytes(data)
        process = start(command, folder, scratch)
        time.sleep(chance.uniform(0, takes))
        process.send_signal(number)
        status = process.wait(timeout=20)
        ended += status == command.status
        assert status in (command.status, -number, 128 + number), n
        until = time.monotonic() + 5
        while (left := processes(process.pid)) and time.monotonic() < until:
            time.sleep(0.02)
        assert not left, n
        for path, data in content(folder).items():
            allowed = {before.get(path), after.get(path)}
            assert data in allowed or (path in after and not command.same), (n, path)
        assert set(before) <= set(content(folder)), n
        if number == signal.SIGTERM:
            assert worktrees(folder) == 1, n
            assert list(scratch.glob(f"{PREFIX}*")) == [], n
        assert start(command, folder, scratch).wait() == command.status, n
        assert worktrees(folder) == 1, n
        assert list(scratch.glob(f"{PREFIX}*")) == [], n
        if command.same:
            assert content(folder) == after, n
        assert list(scratch.iterdir()) == [], n
        shutil.rmtree(folder)
    print(f"{name}: {takes:.1f} s, {ROUNDS} times {number.name}, {ended} had ended before")
