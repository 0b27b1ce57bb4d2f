"""`kvm-replay run --kernel`: bugs told apart from what is none, and when they fail the run."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.dsl import read_trace
from harness.model import architecture
from harness.search.bugs import finding
from harness.search.culprit import verdict
from tests.cli.conftest import Cli
from tests.dsl.samples import put

BUG = "traces/arm64/sme-resume-loses-fa64.trace"
EXPECTS = """\
trace "Something that never comes true"
class {shows}
machine arm64 vhe {{ cpus 1 }}
task A

A     write v0 = 1
A     read v0
expect read v0 = 2
"""


def shows(name: str, spec: str) -> str | None:
    """What a trace of the project's shows on a kernel."""
    trace = read_trace(Path(f"traces/{name}.trace"))
    kernel = architecture(trace.arch).catalogue.kernel(spec)
    found = finding(trace, kernel, {mode: verdict(trace, kernel, mode) for mode in trace.modes})
    return found.shows if found else None


@pytest.mark.parametrize(
    ("name", "kernel", "wanted"),
    [
        ("arm64/sme-resume-loses-fa64", "v6.6", "bug"),  # only an expectation shows it
        ("arm64/ptrace-inactive-mode", "v6.6", "bug"),
        ("arm64/ptrace-inactive-mode", "v7.3", None),
        ("arm64/pkvm-host-copy-after-an-interrupt", "v7.2", "feature"),
        ("arm64/sme-undefined-to-old-kernels", "v7.2", "feature"),
        ("arm64/vmm-drops-z", "v7.2", "vmm"),
        ("arm64/za-at-guest-entry", "v6.6", "cost"),
        ("riscv/sta-shmem-alignment", "v6.6", "feature"),  # no steal time there yet
        ("riscv/sta-shmem-alignment", "v6.8", "bug"),
        ("riscv/fetch-without-memory-ends-the-run", "v6.6", "bug"),  # its fix needs a feature
        ("riscv/reg-list", "v7.2", "feature"),  # later features have more registers
        ("riscv/smnpm-disable-refused", "v7.2", "feature"),
        ("riscv/sta-outlives-a-reset-while-disabled", "v6.15", "feature"),  # no reset by a VMM
        ("riscv/sta-outlives-a-reset-while-disabled", "v7.2", "bug"),
        ("arm64/guest-debug-untrapped-under-vhe", "v6.6", "feature"),  # it speaks of VHE
    ],
)
def test_what_a_violation_stands_for(name: str, kernel: str, wanted: str | None) -> None:
    """The class of the header, and where that is bug, what the kernel lacks."""
    assert shows(name, kernel) == wanted


def test_more_than_the_vmm_does_wrong() -> None:
    """What no verdict of its author says is the kernel's fault."""
    trace = read_trace(Path("traces/arm64/vmm-drops-z.trace"))
    kernel = architecture("arm64").catalogue.kernel("v7.2")
    wanted = {("round-trip",): "vmm", ("cost", "round-trip"): "vmm", ("lost", "round-trip"): "bug"}
    for kinds, shows in wanted.items():
        found = finding(trace, kernel, {"vhe": kinds})
        assert found is not None
        assert found.shows == shows


@pytest.mark.parametrize(
    ("said", "bugs"), [("bug", 1), ("feature", 0), ("vmm", 1), ("rule", 1), (None, 1)]
)
def test_what_comes_true_nowhere(tmp_path: Path, cli: Cli, said: str | None, bugs: int) -> None:
    """A failed expectation of a trace of one's own is a bug, unless its author says otherwise."""
    text = EXPECTS.format(shows=said)
    text = text if said else text.replace("class None\n", "")
    ran = cli("run", "--kernel", "v7.2", "--fail-on", "bug", put(tmp_path, text, "x.trace"))
    assert f"v7.2: {bugs} of 1 traces show a bug\n" in ran.out
    assert ran.status == bugs


def test_the_fixes_end_it(cli: Cli) -> None:
    """The last line says what --fail-on would do; by default it does nothing."""
    ran = cli("run", "-q", "--kernel", "v6.6", BUG)
    assert ran.status == 0
    assert ran.out.splitlines() == [
        "v6.6: 1 of 1 traces show a bug",
        "  arm64/sme-resume-loses-fa64 (nvhe): expect; it lacks sme-resume",
        "1 trace, 2 cases: 2 as expected; 1 trace shows a bug; --fail-on bug would fail",
    ]
    assert cli("run", "-q", "--kernel", "v6.6", BUG, "--fail-on", "bug").status == 1
    assert cli("run", "-q", "--kernel", "v6.6+sme-resume", BUG, "--fail-on", "bug").status == 0


def test_new_against_the_kernel_without_the_change(cli: Cli) -> None:
    spec, trace = "v6.6++sig-merge", "arm64/signal-in-streaming-mode"
    ran = cli("run", "-q", "--kernel", spec, trace, "--fail-on", "new")
    assert ran.status == 1
    assert ran.out.splitlines()[-1].endswith(
        "1 trace shows a bug, 1 a new one: --fail-on new counts 1"
    )
    assert cli("run", "-q", "--kernel", spec, BUG, "--fail-on", "new").status == 0


def test_new_against_a_baseline(cli: Cli, tmp_path: Path) -> None:
    """What an earlier run has printed is known; more of the same trace is not."""
    base = tmp_path / "base.json"
    base.write_text(cli("run", "--json", "--kernel", "v6.6", BUG).out)
    new = ("run", "-q", "--kernel", "v6.7", "--fail-on", "new", "--baseline", base)
    assert cli(*new, BUG).status == 0
    assert cli(*new, BUG, "arm64/fork-takes-stale-v").status == 1
    tap = cli(*new, "--ktap", BUG).out
    assert "  ok 2 v6.7_nvhe # XFAIL expect; it lacks sme-resume\n" in tap
    tree = json.loads(base.read_text())
    tree["findings"][0]["violates"] = {}
    base.write_text(json.dumps(tree))
    assert cli(*new, BUG).status == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected what `run --json` prints"),
        ("[1]", "its schema is None, expected kvm-replay/run/1 or kvm-replay/run-image/1"),
        ('{"schema": "kvm-replay/matrix/1"}', "its schema is 'kvm-replay/matrix/1', expected"),
        ('{"schema": "kvm-replay/run/1"}', "it has no findings; give --json with --kernel K"),
        ('{"schema": "kvm-replay/run/1", "kernels": 1, "findings": []}', "it has no findings"),
        ('{"schema": "kvm-replay/run/1", "kernels": [["a"]], "findings": []}', "no findings"),
        ("[" * 100_000, "expected what `run --json` prints"),
    ],
)
def test_a_bad_baseline(cli: Cli, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "base.json"
    path.write_text(content)
    ran = cli("run", "--kernel", "v6.6", BUG, "--baseline", path)
    assert ran.status == 2
    assert message in ran.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fail-on", "bug"], "--fail-on belongs to --kernel or --kernel-image"),
        (["--baseline", "x"], "--baseline x: No such file or directory"),
        (["--fail-on", "new", "--kernel", "v6.6"], "--fail-on new: expected --baseline FILE"),
        (["--fail-on", "new", "--kernel", "v6.6+nope"], "unknown fix 'nope'"),
    ],
)
def test_what_cannot_be_asked(cli: Cli, options: list[str], message: str) -> None:
    ran = cli("run", BUG, *options)
    assert ran.status == 2
    assert message in ran.err


def test_bugs_in_ktap_and_junit(cli: Cli, tmp_path: Path) -> None:
    """Each bug is a failure, with the fixes that end it and their commits."""
    xml = tmp_path / "j.xml"
    ran = cli("run", "--ktap", "--junit", xml, "--kernel", "v6.6", BUG, "arm64/vmm-drops-z")
    assert ran.status == 0
    lines = ran.out.splitlines()
    at = lines.index("  not ok 2 v6.6_nvhe")
    assert "  # expect; it lacks sme-resume" in lines[:at]
    assert lines[at - 1].startswith("  # sme-resume: ")
    assert lines[-1] == "ok 2 arm64/vmm-drops-z"
    (failure,) = ElementTree.parse(xml).getroot().iter("failure")
    assert failure.get("message") == "expect; it lacks sme-resume"
    assert "sme-resume: " in (failure.text or "")


def test_bugs_in_json(cli: Cli) -> None:
    tree = json.loads(cli("run", "--json", "--kernel", "v6.6", BUG).out)
    (found,) = tree["findings"]
    assert (found["class"], found["violates"], found["new"]) == ("bug", {"nvhe": ["expect"]}, None)
    ((cure,),) = found["cures"].values()
    assert [(step["change"], step["fix"]) for step in cure] == [("+", "sme-resume")]
    assert all(len(c["id"]) == 12 and c["title"] for step in cure for c in step["commits"])
    assert tree["kernels"] == ["v6.6"]
    assert (tree["summary"]["bugs"], tree["summary"]["counted"]) == (1, 0)


def test_a_cost_is_not_new(cli: Cli, tmp_path: Path) -> None:
    """What is no bug of the kernel never fails a run, with a bug that was there before neither."""
    text = Path("traces/arm64/host-profiles-around-a-guest.trace").read_text()
    text = text.replace("\ntask ", "\nbudget saves 0\ntask ", 1)
    text = "".join(line for line in text.splitlines(True) if not line.startswith("verdict"))
    ran = cli(
        "run", "--kernel", "v6.6+save-and-flush", "--fail-on", "new", put(tmp_path, text, "x.trace")
    )
    assert "profiling; " in ran.out
    assert ran.status == 0


def test_two_traces_of_one_name(cli: Cli, tmp_path: Path) -> None:
    """Their results could not be told apart."""
    one, other = (put(tmp_path, EXPECTS.format(shows="bug"), f"{d}/x.trace") for d in "ab")
    ran = cli("run", "--kernel", "v7.2", one, other)
    assert ran.status == 2
    assert "are both called x" in ran.err
    for form in ("--json", "--ktap"):
        assert cli("run", form, one, other).status == 2
    assert "are both called x" not in cli("run", one, other).err  # people see what is judged


def test_a_row_says_what_ends_it_mode_by_mode(cli: Cli) -> None:
    ran = cli("run", "-q", "--kernel", "v6.6", "guest-profiled-under-vhe")
    assert "vhe: it lacks pmscr-init-vhe; nvhe: it lacks spe-buffer-off\n" in ran.out


def test_a_fix_that_stable_trees_alone_have_is_named(cli: Cli) -> None:
    """By `run --kernel` and by `explain`; a kernel that has it is clean."""
    ran = cli("run", "-q", "suspend-loses-tpidr2", "--kernel", "v7.3")
    assert "lost; it lacks suspend-tpidr2" in ran.out
    assert "suspend-tpidr2" in cli("explain", "suspend-loses-tpidr2", "--kernel", "v7.3").out
    ran = cli("run", "-q", "suspend-loses-tpidr2", "--kernel", "debian-6.12.118+sme-built")
    assert "lost" not in ran.out
