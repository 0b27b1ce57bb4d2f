"""`kvm-replay show` and `kvm-replay explain`: one replay, told to a person."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.dsl import read_trace
from harness.engine import cases
from tests.cli.conftest import Cli
from tests.dsl.samples import SAMPLE, TRACES, put

Target = tuple[Path, str, str]


def _first(path: Path, holds: bool) -> list[Target]:
    """The first case of the trace in `path` that can be run and is said to hold, or not."""
    for case in cases(read_trace(path)):
        if case.verdict and case.verdict.holds is holds and not case.unsupported:
            return [(path, case.kernel.name, case.mode)]
    return []


FAILING = [target for path in TRACES for target in _first(path, holds=False)]
HOLDING = [target for path in TRACES for target in _first(path, holds=True)]


def _id(target: Target) -> str:
    path, kernel, mode = target
    return f"{path.stem}-{kernel}-{mode}"


@pytest.mark.parametrize("target", FAILING + HOLDING, ids=_id)
def test_show_own_traces(cli: Cli, target: Target) -> None:
    """show tells every trace of the project to its end: one page for each event."""
    path, kernel, mode = target
    ran = cli("show", path, "--kernel", kernel, "--mode", mode)
    assert (ran.status, ran.err) == (0, "")
    trace = read_trace(path)
    assert ran.out.startswith(f"{trace.id} on {kernel} {mode}\n")
    told = [int(n) for n in re.findall(r"^line (\d+): ", ran.out, re.MULTILINE)]
    assert told == [s.line for s in trace.body if hasattr(s, "verb")]
    end = ran.out.splitlines()[-1]
    assert end == "holds" if target in HOLDING else re.fullmatch(r"[1-9]\d* violations?", end)


@pytest.mark.parametrize("target", FAILING, ids=_id)
def test_explain_own_traces(cli: Cli, target: Target) -> None:
    """explain has something to say of every trace of the project that goes wrong."""
    path, kernel, mode = target
    ran = cli("explain", path, "--kernel", kernel, "--mode", mode)
    assert (ran.status, ran.err) == (0, "")
    assert re.search(r"^(inevitable since|it is an act of) line \d+: ", ran.out, re.MULTILINE)


@pytest.mark.parametrize("target", HOLDING, ids=_id)
def test_explain_what_holds(cli: Cli, target: Target) -> None:
    """Where nothing goes wrong there is nothing to explain, and that is no failure."""
    path, kernel, mode = target
    ran = cli("explain", path, "--kernel", kernel, "--mode", mode)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.endswith("\nholds: there is nothing to explain\n")


@pytest.mark.parametrize("target", FAILING, ids=_id)
def test_width(cli: Cli, target: Target) -> None:
    """Prose is wrapped to 80 columns."""
    path, kernel, mode = target
    shown = cli("show", path, "--kernel", kernel, "--mode", mode).out.splitlines()
    explained = cli("explain", path, "--kernel", kernel, "--mode", mode).out.splitlines()
    prose = [line for line in shown if line[:3] in ("  !", "  ~")]
    prose += [line for line in explained if re.match(r"  [^ ]", line)]
    assert prose
    assert [line for line in prose if len(line) > 80] == []


def test_show_without_a_kernel(cli: Cli) -> None:
    """Without --kernel, the first kernel that is said to fail is shown."""
    out = cli("show", "eight-steps").out
    assert out.startswith("arm64/eight-steps on v4.15+null-always vhe\n")


def test_show_without_failures(project: Path, cli: Cli) -> None:
    """Without --kernel, and if none is said to fail, the first one is shown."""
    assert cli("show", "traces/one.trace").out.startswith("one on v6.16 vhe\n")


def test_show_in_a_mode(project: Path, cli: Cli) -> None:
    """--mode chooses among the trace's modes."""
    out = cli("show", "traces/one.trace", "--mode", "nvhe").out
    assert out.startswith("one on v6.16 nvhe\n")


def test_page(project: Path, cli: Cli) -> None:
    """A page has the event as written, who owns the registers, and what changed."""
    out = cli("show", "traces/one.trace").out
    assert "line 8: A write v0 = 0x1\n" in out
    assert "  cpu0: A at EL0, fpsimd_last_state A\n" in out
    assert "  ~ cpu0.regs.v0: - -> 0x1 (A)\n" in out


def test_violation(project: Path, cli: Cli) -> None:
    """A violation stands on the page of its event, and is counted at the end."""
    put(project, SAMPLE + "expect read v0 = 2  # not so\n", "traces/one.trace")
    out = cli("show", "traces/one.trace").out
    assert "  ! expect: `expect read v0 = 2`: it read 0x1\n" in out
    assert out.endswith("\n1 violation\n")


def test_explain_another_violation(cli: Cli) -> None:
    """-n chooses the violation; without it the last one is explained."""
    target = ("explain", "sve-not-trapped-after-guest", "--kernel", "v6.13")
    assert "violation 2 of 2, " in cli(*target).out
    assert cli(*target, "-n", "2") == cli(*target)
    assert "violation 1 of 2, " in cli(*target, "-n", "1").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eight-steps", "--mode", "vhee"], "unknown mode 'vhee': vhe, nvhe"),
        (["dead-task-leaks-to-child", "--mode", "nvhe"], "is not for nvhe: vhe"),
        (["eight-steps", "--kernel", "v9.9"], "unknown kernel 'v9.9'"),
        (["sve-guest-keeps-z", "--kernel", "v4.15"], "cannot be shown: "),
    ],
    ids=["unknown mode", "other mode", "kernel", "unsupported"],
)
@pytest.mark.parametrize("command", ["show", "explain"])
def test_bad_target(cli: Cli, command: str, arguments: list[str], message: str) -> None:
    """What cannot be shown is exit status 2, and says why."""
    ran = cli(command, *arguments)
    assert ran.status == 2
    assert message in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("number", ["0", "-1", "3", "x"])
def test_bad_number(cli: Cli, number: str) -> None:
    """A violation that there is not is exit status 2."""
    ran = cli("explain", "sve-not-trapped-after-guest", "--kernel", "v6.13", "-n", number)
    assert ran.status == 2
    assert "-n" in ran.err


@pytest.mark.parametrize("command", ["show", "explain"])
def test_folder_of_several(project: Path, cli: Cli, command: str) -> None:
    """A folder with more than one trace in it is exit status 2."""
    assert cli(command, "traces") == (2, "", "kvm-replay: traces: expected one trace, found 2\n")


@pytest.mark.parametrize("command", ["show", "explain"])
def test_event_that_cannot_happen(project: Path, cli: Cli, command: str) -> None:
    """An event that is refused when it is replayed is bad input here, too."""
    put(project, SAMPLE + "B read v0\n", "traces/one.trace")
    ran = cli(command, "traces/one.trace")
    assert ran.status == 2
    assert ran.err.startswith("traces/one.trace:10:1: B is not current on any CPU")


def test_what_an_invariant_saw_first_is_told_before_a_failed_expectation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first run overwrites hedeleg; that a later read is wrong is what comes of it."""
    name = "delegation-set-before-the-first-run"
    main(["explain", name, "--kernel", "v6.18-hedeleg-init-early"])
    said = capsys.readouterr().out
    assert "set-lost" in said
    assert "at: A ioctl KVM_RUN v0" in said
