"""`kvm-replay show` and `kvm-replay explain`: one replay, told to a person."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.dsl import read_trace
from harness.engine import cases
from tests.cli.conftest import Cli
from tests.dsl.samples import SAMPLE, TRACES, put
from tests.schemas import check

ROOT = Path(__file__).resolve().parents[2]

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


@pytest.mark.one_in(8)
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


@pytest.mark.one_in(12)
@pytest.mark.parametrize("target", FAILING, ids=_id)
def test_explain_own_traces(cli: Cli, target: Target) -> None:
    """explain has something to say of every trace of the project that goes wrong."""
    path, kernel, mode = target
    ran = cli("explain", path, "--kernel", kernel, "--mode", mode)
    assert (ran.status, ran.err) == (0, "")
    assert re.search(r"^(cause: |first difference: )?line \d+: |^cause: before", ran.out, re.M)
    assert re.search(r"^  violation.* line \d+: ", ran.out, re.M)
    assert "\nsources\n" in ran.out
    assert "\nreleases\n" in ran.out


@pytest.mark.one_in(6)
@pytest.mark.parametrize("target", HOLDING, ids=_id)
def test_explain_what_holds(cli: Cli, target: Target) -> None:
    """Where nothing goes wrong there is nothing to explain, and that is no failure."""
    path, kernel, mode = target
    ran = cli("explain", path, "--kernel", kernel, "--mode", mode)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.endswith("\nholds: there is nothing to explain\n")


@pytest.mark.one_in(10)
@pytest.mark.parametrize("target", FAILING, ids=_id)
def test_width(cli: Cli, target: Target) -> None:
    """Prose is wrapped to 80 columns."""
    path, kernel, mode = target
    shown = cli("show", path, "--kernel", kernel, "--mode", mode).out.splitlines()
    explained = cli("explain", path, "--kernel", kernel, "--mode", mode).out.splitlines()
    prose = [line for line in shown if line[:3] in ("  !", "  ~")]
    cited = re.compile(r"  [0-9a-f]{12} |  <|  [0-9-]{10}, |  recording ")  # can be copied whole
    prose += [line for line in explained if re.match(r"  [^ ]", line) and not cited.match(line)]
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
    """-n chooses the violation; without it all are explained."""
    target = ("explain", "sve-not-trapped-after-guest", "--kernel", "v6.13")
    assert re.findall(r"violation (\d) of 2, ", cli(*target).out) == ["1", "2"]
    assert re.findall(r"violation (\d) of 2, ", cli(*target, "-n", "1").out) == ["1"]
    assert re.findall(r"violation (\d) of 2, ", cli(*target, "-n", "2").out) == ["2"]


def test_explain_begins_with_the_cause(cli: Cli) -> None:
    """What differs first, then how it spreads, then what goes wrong; the fix, mails, releases."""
    lines = cli("explain", "sve-not-trapped-after-guest", "--kernel", "v6.13").out.splitlines()
    wanted = [
        "compared with K2 = v6.13+save-and-flush",
        "cause: line 30: A ioctl KVM_RUN v0",
        "  ~ A.flags is nothing (K2: TIF_FOREIGN_FPSTATE TIF_SVE)",
        "line 32: A ret_to_user",
        "  ~ cpu0.cptr_el2.zen is 0b11 (K2: 0b01)",
        "  violation 1 of 2, line 32: missing-trap",
        "  violation 2 of 2, line 37: lost",
        "ended by",
        "  save-and-flush (v6.14)",
        "  <86plkful48.wl-maz@kernel.org>",
        "  v6.2 to v6.13: violates lost, missing-trap",
        "  v6.14 to v7.3: holds",
    ]
    assert [line for line in lines if line in wanted] == wanted


def test_explain_against_a_kernel(cli: Cli) -> None:
    target = ("explain", "sve-not-trapped-after-guest", "--kernel", "v6.13")
    assert "compared with K2 = v7.2\n" in cli(*target, "--against", "v7.2").out
    both = cli(*target, "--against", "v6.12").out
    assert both.count("K2 violates it as well") == 2
    ran = cli(*target, "--against", "v4.13")
    assert ran.status == 2
    assert "--against v4.13: the trace cannot be judged there: " in ran.err


def test_explain_where_no_kernel_holds(cli: Cli) -> None:
    out = cli("explain", "migration-to-a-host-without-ssnpm", "--kernel", "v7.2").out
    assert "No kernel is known on which this trace holds" in out
    assert "0x0: what is left of the value that B wrote for v2 in line 31" in out


def test_explain_json(cli: Cli) -> None:
    target = ("explain", "sve-not-trapped-after-guest", "--kernel", "v6.13", "--json")
    tree = json.loads(cli(*target).out)
    assert tree["schema"] == "kvm-replay/explain/1"
    assert (tree["against"], tree["against_is"]) == ("v6.13+save-and-flush", "cure")
    first, second = tree["violations"]
    assert first["cause"]["event"] == {"line": 30, "text": "A ioctl KVM_RUN v0"}
    assert [link["event"]["line"] for link in second["chain"]] == [32, 34, 35, 37]
    assert tree["cures"][0][0]["commits"][0]["id"] == "fbc7e61195e2"
    assert {s["first"]: s["violates"] for s in tree["releases"]}["v6.14"] == []


EXPLAINED = [
    ("sve-not-trapped-after-guest", "v6.13"),
    ("sve-not-trapped-after-guest", "v6.14"),
    ("migration-to-a-host-without-ssnpm", "v7.2"),
    ("cached-tif-sve-costs-a-reload", "v4.15"),
]


@pytest.mark.parametrize(("name", "kernel"), EXPLAINED)
def test_explain_is_of_its_schema(cli: Cli, name: str, kernel: str) -> None:
    check(cli("explain", name, "--kernel", kernel, "--json").out)


def test_show_tells_what_vcpu_load_remembers(cli: Cli) -> None:
    """HOST_SVE_ENABLED, which vcpu_put goes by."""
    out = cli("show", "sve-not-trapped-after-guest", "--kernel", "v6.13").out
    assert "  ~ v0.flags: - -> HOST_SVE_ENABLED\n" in out


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
    """The first run overwrites hedeleg; a later read finds the wrong value because of that."""
    name = "delegation-set-before-the-first-run"
    main(["explain", name, "--kernel", "v6.18-hedeleg-init-early"])
    said = capsys.readouterr().out
    cause = said.index("cause: ")
    assert "KVM_RUN v0\n" in said[cause:].split("\n", 1)[0] + "\n"
    assert cause < said.index(": set-lost\n") < said.index(": expect\n")
