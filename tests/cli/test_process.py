"""The command as a process of its own: exit status, signals, pipes, and what a user sees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("command", ["run", "run --json", "fixes", "show eight-steps"])
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
    line = f"cd {tmp_path} && mkdir gone && cd gone && rmdir ../gone && $kvm_replay run -q"
    done = shell(line)
    assert (done.returncode, done.stderr) == (0, "")


def test_from_another_directory(tmp_path: Path) -> None:
    """The project's own traces are found from anywhere."""
    done = run("run", "-q", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Tests in the background of a shell ignore Ctrl-C, and so would the command."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
    time.sleep(3)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    last = out.splitlines()[-1]
    text = "v7.2 vhe: interrupted: no violation, 2 costs within 1 CPU, 2 tasks, 1 vcpu, "
    assert last.startswith(text)
    assert err == ""


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c(tmp_path: Path, jobs: str) -> None:
    """Ctrl-C ends the command and its processes with status 130 and one line."""
    # The last trace is a pipe that nobody writes to: the command waits for it.
    for n in range(12):
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
