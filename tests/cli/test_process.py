"""The command as a process of its own: exit status, signals, pipes, and what a user sees."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import harness
import harness.cli.run
from harness import __version__
from harness.cli.main import main
from tests.cli.conftest import Cli
from tests.dsl.samples import SAMPLE, put

COMMAND = [sys.executable, "-m", "harness"]


def run(
    *args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own."""
    return subprocess.run(
        [*COMMAND, *map(str, args)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=30,
        check=False,
        cwd=cwd,
        env=os.environ | (env or {}),
    )


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """One line of bash, in which `$kvm_replay` is the command."""
    environment = os.environ | {"kvm_replay": " ".join(COMMAND)}
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment,
    )


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (SAMPLE, 0),
        (SAMPLE.replace("holds", "violates lost"), 1),
        (SAMPLE + "A read z32\n", 2),
        (None, 4),
    ],
    ids=["as expected", "wrong verdict", "bad input", "nothing ran"],
)
def test_exit_status(tmp_path: Path, text: str | None, status: int) -> None:
    """The process ends with the status that is documented, and without a traceback."""
    if text is not None:
        main(["run", "--update", str(put(tmp_path, text))])
    done = run("run", ".", cwd=tmp_path)
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_internal_error(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the harness itself is exit status 3, one line, and how to see more."""

    def fail(*args: object) -> None:
        raise ZeroDivisionError("x")

    monkeypatch.setattr(harness.cli.run, "find_traces", fail)
    assert cli("run") == (
        3,
        "",
        "kvm-replay: internal error: ZeroDivisionError: x (-vv shows where)\n",
    )


def test_internal_error_in_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """-vv shows where an error of the harness itself comes from; the exit status stays 3."""

    def fail(*args: object) -> None:
        raise ZeroDivisionError("x")

    monkeypatch.setattr(harness.cli.run, "find_traces", fail)
    assert main(["-vv", "run"]) == 3
    assert capsys.readouterr().err.startswith("Traceback")


@pytest.mark.parametrize("args", [[], ["frobnicate"], ["run", "--frob"], ["show"]], ids=str)
def test_usage(cli: Cli, args: list[str]) -> None:
    """A command line that cannot be meant is exit status 2, with the usage."""
    ran = cli(*args)
    assert ran.status == 2
    assert ran.err.startswith("usage: kvm-replay")


COMMANDS = ["run", "show", "explain", "fmt", "matrix", "audit", "kernels", "fixes", "reglist"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(cli: Cli, command: str) -> None:
    """Every command explains itself."""
    ran = cli(command, "--help")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"usage: kvm-replay {command} ")


def test_version(cli: Cli) -> None:
    """--version prints the version of the package."""
    assert cli("--version") == (0, f"kvm-replay {__version__}\n", "")


@pytest.mark.one_in(4)
@pytest.mark.parametrize("command", ["fixes", "run", "run --json", "show eight-steps"])
def test_closed_pipe(command: str) -> None:
    """A reader that has seen enough ends the command quietly."""
    done = shell(f"$kvm_replay {command} | true; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_full_disk() -> None:
    """Output that cannot be written is bad luck with a message, not an internal error."""
    done = shell("$kvm_replay kernels > /dev/full")
    assert done.returncode == 2
    assert done.stderr == "kvm-replay: standard output: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams(tmp_path: Path, closed: str) -> None:
    """A closed standard output or error does not change the exit status."""
    put(tmp_path, SAMPLE + "A read z32\n")
    done = shell(f"$kvm_replay run {tmp_path} {closed}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


def test_terminal_without_unicode(tmp_path: Path) -> None:
    """Text that the terminal's encoding lacks is shown as well as it can be."""
    path = put(tmp_path, SAMPLE.replace("a sample", "naïve"))
    done = run("show", path, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "line 8: A write v0 = 0x1" in done.stdout


def test_name_that_is_no_utf8(tmp_path: Path) -> None:
    """A file whose name is no UTF-8 is judged, and its golden file can be written."""
    path = os.fsencode(tmp_path) + b"/x\xff.trace"
    Path(os.fsdecode(path)).write_text(SAMPLE)
    assert run("run", "--update", tmp_path).returncode == 0
    assert run("run", tmp_path).returncode == 0


def test_escape_sequences_of_a_trace(tmp_path: Path) -> None:
    """A trace cannot send control characters to the terminal."""
    path = put(tmp_path, SAMPLE.replace("a sample", "a \x1b[31m\x07sample"))
    done = run("show", path)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout


def test_working_directory_that_is_gone(tmp_path: Path) -> None:
    """A working directory that was removed does not matter to the project's own traces."""
    gone = f"cd {tmp_path} && mkdir gone && cd gone && rmdir ../gone"
    done = shell(f"{gone} && $kvm_replay run -q eight-steps")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "command", ["bisect eight-steps --git HEAD~1 HEAD --kernel v6.1", "run eight-steps --junit x"]
)
def test_working_directory_that_is_gone_and_needed(tmp_path: Path, command: str) -> None:
    done = shell(
        f"cd {tmp_path} && mkdir gone && cd gone && rmdir ../gone && $kvm_replay {command}"
    )
    assert done.returncode == 2
    assert done.stderr == "kvm-replay: the working folder is gone; change to another one\n"


def test_closed_standard_input() -> None:
    """It is empty, not an internal error."""
    done = shell("$kvm_replay import - <&-")
    assert done.returncode == 2
    assert done.stderr.startswith("kvm-replay: -: ")


# Sends itself a signal as soon as it begins to import what is asked for.
SIGNALLED = """
import os, signal, sys, importlib.abc
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), int(sys.argv[2]))
sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.default_int_handler)
from harness.cli.main import main
status = main(["run"])
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
sys.exit(status)
"""


@pytest.mark.parametrize("module", ["harness.cli.commands", "lark", "harness.model.arm64"])
@pytest.mark.parametrize(
    ("number", "status", "says"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_while_it_starts(module: str, number: int, status: int, says: str) -> None:
    """One line, no traceback, however early."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, module, str(int(number))],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (status, f"kvm-replay: {says}\n")


def test_a_module_can_be_imported_first() -> None:
    """None of them relies on which one is imported before it."""
    root = Path(harness.__file__).parent
    names = [
        ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(root.rglob("*.py"))
        if path.parent in (root, root / "model", root / "golden") and path.name != "__main__.py"
    ]
    # Each in a fork of an interpreter that has imported nothing of ours.
    script = """
import os, sys
import argparse, yaml, lark
for name in sys.argv[1:]:
    pid = os.fork()
    if not pid:
        __import__(name)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0, name
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *names], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.stderr == ""


def test_from_another_directory(tmp_path: Path) -> None:
    """The project's own traces are found from anywhere."""
    done = run("run", "-q", "eight-steps", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Tests in the background of a shell ignore Ctrl-C, and so would the command."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.one_in(2)
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_says_how_far_a_search_came(jobs: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, "explore", "--kernel", "v7.2", "--depth", "60", "-j", jobs],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(1.5)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    last = out.splitlines()[-1]
    text = "v7.2 vhe: interrupted: no violation, 2 costs within 1 CPU, 2 tasks, 1 vcpu (sve "
    assert last.startswith(text)
    assert err == ""


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in text.split()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.01)


@pytest.fixture
def working(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A command and its two processes, which wait for a pipe that nobody writes to."""
    for name in "abcdefghijklmnop":  # eight for each process
        os.mkfifo(tmp_path / f"{name}.trace")
    process = subprocess.Popen(
        [*COMMAND, "run", "-j", "2", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: len(children(process.pid)) == 2)
    started = children(process.pid)
    yield process, started
    for pid in (process.pid, *started):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


SEARCH = ["explore", "--kernel", "v7.2", "--depth", "60", "-j", "2"]


@pytest.mark.parametrize(
    ("number", "to_a_worker", "status", "says"),
    [
        (signal.SIGTERM, False, 143, "terminated"),
        (signal.SIGKILL, True, 2, "explore: a process of the search was killed, perhaps for lack"),
        (signal.SIGKILL, False, -signal.SIGKILL, ""),
    ],
    ids=["SIGTERM", "a worker is killed", "killed"],
)
def test_a_search_and_its_processes(number: int, to_a_worker: bool, status: int, says: str) -> None:
    """However one of them ends, all do."""
    process = subprocess.Popen(
        [*COMMAND, *SEARCH], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: len(children(process.pid)) == 2)
    started = children(process.pid)
    os.kill(started[0] if to_a_worker else process.pid, number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert err.startswith(f"kvm-replay: {says}") or not says
    until(lambda: not any(map(runs, started)))


Working = tuple[subprocess.Popen[str], list[int]]


def test_sigterm_ends_the_command_and_its_processes(working: Working) -> None:
    process, started = working
    process.terminate()
    out, err = process.communicate(timeout=20)  # nobody holds the pipes any more
    assert (process.returncode, out, err) == (143, "", "kvm-replay: terminated\n")
    assert not any(map(runs, started))


def test_a_process_that_is_killed_is_told(working: Working) -> None:
    process, started = working
    os.kill(started[0], signal.SIGKILL)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err.startswith("kvm-replay: -j: one of the processes was killed")
    assert not any(map(runs, started))


def test_no_process_outlives_the_command(working: Working) -> None:
    process, started = working
    process.kill()
    process.communicate(timeout=20)
    until(lambda: not any(map(runs, started)))


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c(tmp_path: Path, jobs: str) -> None:
    """Ctrl-C ends the command and its processes with status 130 and one line."""
    # The last trace is a pipe that nobody writes to: the command waits for it.
    for n in range(15):
        put(tmp_path, SAMPLE, f"a{n}.trace")
    os.mkfifo(tmp_path / "z.trace")
    process = subprocess.Popen(
        [*COMMAND, "run", "-j", jobs, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # Once the pipe can be opened without waiting, the command reads it.
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            pipe = os.open(tmp_path / "z.trace", os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:
            time.sleep(0.02)
    else:
        process.kill()
        pytest.fail("the command never came to the last trace")
    os.killpg(process.pid, signal.SIGINT)
    # A signal just before the read is seen only when the read ends.
    os.close(pipe)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "kvm-replay: interrupted\n"
