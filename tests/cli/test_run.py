"""`kvm-replay run`: what is judged, what is said, how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.cli import jobs
from tests.cli.conftest import Cli, content
from tests.dsl.samples import ROOT, SAMPLE, put


def test_own_traces_are_as_expected(cli: Cli) -> None:
    """Every trace of the project shows what its author and its golden file say."""
    ran = cli("run", "-q")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[-1].endswith(" as expected (traces: traces)")


def test_output(project: Path, cli: Cli) -> None:
    """Each trace is a heading, each kernel a line, and a count ends it."""
    ran = cli("run", "traces")
    assert ran.out == (
        "one: ok\n"
        "  v6.16                        vhe nvhe  holds\n"
        "two: ok\n"
        "  v6.16                        vhe nvhe  holds\n"
        "2 traces, 4 cases: 4 as expected\n"
    )


def test_quiet(project: Path, cli: Cli) -> None:
    """-q says nothing of what is as expected."""
    assert cli("run", "-q", "traces").out == "2 traces, 4 cases: 4 as expected\n"


def test_quiet_shows_what_is_not(project: Path, cli: Cli) -> None:
    """-q shows the cases that are not as expected, and only these."""
    path = project / "expected/two.yaml"
    path.write_text(path.read_text().replace("v6.16 nvhe", "v6.18 nvhe"))
    ran = cli("run", "-q", "traces")
    assert ran.status == 1
    assert ran.out.splitlines()[0] == "two: 1 of 2 not as expected"
    assert "one:" not in ran.out
    assert "nvhe      holds  [no golden file]" in ran.out


def test_changed_golden_value(project: Path, cli: Cli) -> None:
    """A golden value that is not what the model shows is named by its path of fields."""
    path = project / "expected/two.yaml"
    path.write_text(path.read_text().replace("v0: 0x1 (A)", "v0: 0x2 (A)", 1))
    ran = cli("run", "traces/two.trace")
    assert ran.status == 1
    assert "      cpu0.regs.v0 at 'read': expected 0x2 (A), got 0x1 (A)\n" in ran.out


def test_wrong_verdict(project: Path, cli: Cli) -> None:
    """A verdict that the model does not share is exit status 1, with both sides of it."""
    put(project, SAMPLE.replace("v6.16 holds", "v6.16 violates lost"), "traces/one.trace")
    ran = cli("run", "traces/one.trace")
    assert ran.status == 1
    assert "[wrong verdict]\n      line 4 says: violates lost\n      the model: holds\n" in ran.out


def test_missing_golden_file(project: Path, cli: Cli) -> None:
    """A missing golden file is exit status 1, and says what writes one."""
    (project / "expected/one.yaml").unlink()
    ran = cli("run", "traces/one.trace")
    assert ran.status == 1
    assert (
        "[no golden file]\n"
        "      no golden file yet: `kvm-replay run --update traces/one.trace` writes it\n"
        in ran.out
    )


def test_broken_trace_does_not_hide_the_others(project: Path, cli: Cli) -> None:
    """A broken trace is exit status 2; the others are judged all the same."""
    put(project, "A read v0\n", "traces/broken.trace")
    ran = cli("run", "traces")
    assert ran.status == 2
    assert ran.out.startswith("one: ok\n")
    assert "traces/broken.trace:1:1: no title" in ran.err


def test_several_broken_traces(project: Path, cli: Cli) -> None:
    """The mistakes of all broken files are reported in one run."""
    put(project, SAMPLE + "A read z32\n", "traces/broken1.trace")
    put(project, SAMPLE + "A read p16\n", "traces/broken2.trace")
    err = cli("run", "traces").err
    assert "traces/broken1.trace:10:8: no register 'z32'" in err
    assert "traces/broken2.trace:10:8: no register 'p16'" in err


def test_nothing_half_parsed_is_run(project: Path, cli: Cli) -> None:
    """A trace with one mistake is not judged at all."""
    put(project, SAMPLE + "A read z32\n", "traces/one.trace")
    ran = cli("run", "--json", "traces/one.trace")
    assert json.loads(ran.out)["cases"] == []
    assert ran.status == 2


def test_event_that_cannot_happen(project: Path, cli: Cli) -> None:
    """An event that is refused when it is replayed is bad input, shown at its line."""
    put(project, SAMPLE + "B read v0\n", "traces/one.trace")
    ran = cli("run", "traces/one.trace")
    assert ran.status == 2
    assert "traces/one.trace:10:1: B is not current on any CPU" in ran.err
    assert "\n    B read v0\n    ^^^^^^^^^\n" in ran.err


def test_broken_golden_file(project: Path, cli: Cli) -> None:
    """A broken golden file is exit status 2, named, and the other traces are judged."""
    put(project, "on: 1\n", "expected/one.yaml")
    ran = cli("run", "traces")
    assert ran.status == 2
    assert ran.out.startswith("two: ok\n")
    assert ran.err == (
        "kvm-replay: expected/one.yaml:1:1: key True is no text; write it in quotes\n"
    )


def test_golden_folder_instead_of_a_file(project: Path, cli: Cli) -> None:
    """A folder where the golden file should be is exit status 2, named."""
    (project / "expected/one.yaml").unlink()
    (project / "expected/one.yaml").mkdir()
    ran = cli("run", "traces/one.trace")
    assert (ran.status, ran.err) == (2, "kvm-replay: expected/one.yaml: Is a directory\n")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty", b"", "x.trace:1:1: this file is empty"),
        ("comments", b"# a\n", "x.trace:1:1: no title"),
        ("binary", bytes(range(256)) * 40, "x.trace:"),
        ("NUL", b'trace "\0"\n', "x.trace:1:1: a NUL byte"),
        ("UTF-16", "trace".encode("utf-16"), "x.trace:1:1: byte 0xff is no UTF-8"),
        ("10 MB line", b"a" * (10 << 20), "x.trace: larger than 1 MiB"),
        ("CRLF", SAMPLE.replace("\n", "\r\n").encode(), "x.trace:1:"),
        ("BOM", b"\xef\xbb\xbf" + SAMPLE.encode(), "x.trace:1:1: "),
    ],
    ids=lambda value: value if isinstance(value, str) and "." not in value else "",
)
def test_bad_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cli: Cli,
    name: str,
    content: bytes,
    message: str,
) -> None:
    """A file that is no trace is exit status 2, a message with its name, and not much of it."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path, content)
    ran = cli("run", "x.trace")
    assert ran.status == 2
    assert message in ran.err
    assert len(ran.err) < 20_000


@pytest.mark.parametrize("command", ["run", "show", "explain", "fmt"])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nothing.trace", "kvm-replay: nothing.trace: no such file, folder or trace"),
        ("eight-stepz", "eight-stepz: no such file, folder or trace (did you mean 'eight-steps'?)"),
        ("folder/x.trace", "folder/x.trace: is a folder, expected a .trace file"),
        ("dangling.trace", "kvm-replay: dangling.trace: no such file"),
        ("loop.trace", "loop.trace: Too many levels of symbolic links"),
        ("a" * 5000, "File name too long"),
        ("file/x.trace", "kvm-replay: file/x.trace: no such file, folder or trace"),
    ],
    ids=["missing", "near", "folder", "dangling link", "link to itself", "long name", "below file"],
)
def test_bad_path(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cli: Cli,
    command: str,
    target: str,
    message: str,
) -> None:
    """A path without a trace behind it is exit status 2, with a message that names it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder/x.trace").mkdir(parents=True)
    (tmp_path / "dangling.trace").symlink_to("nowhere")
    (tmp_path / "loop.trace").symlink_to("loop.trace")
    (tmp_path / "file").touch()
    ran = cli(command, "folder" if target == "folder/x.trace" else target)
    assert ran.status == 2
    assert message in ran.err


def test_empty_folder(tmp_path: Path, cli: Cli) -> None:
    """Where there is no trace, nothing ran: exit status 4."""
    ran = cli("run", tmp_path)
    assert (ran.status, ran.err) == (4, "kvm-replay: no trace to run\n")


def test_no_match(cli: Cli) -> None:
    """Where -k matches nothing, nothing ran: exit status 4."""
    assert cli("run", "-k", "no-such-name").status == 4


def test_nothing_could_be_judged(project: Path, cli: Cli) -> None:
    """Where no kernel can run any trace, nothing ran: exit status 4."""
    ran = cli("run", "--kernel", "v4.15", "traces")
    assert ran.status == 4
    assert "not judged: KVM has no SVE guests (until kvm-sve-guest)" in ran.out
    assert ran.out.endswith("2 traces, 4 cases: 0 as expected, 4 not judged\n")


def test_kernels_on_the_command_line(project: Path, cli: Cli) -> None:
    """--kernel judges on these kernels and no others."""
    ran = cli("run", "--kernel", "v6.11", "--kernel", "v6.11+fbc7e61195e2", "traces/one.trace")
    assert ran.status == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == [
        "one:",
        "v6.11",
        "v6.11+fbc7e61195e2",
        "v6.11:",
        "v6.11+fbc7e61195e2:",
        "1",
    ]


def test_the_bugs_that_a_kernel_has(cli: Cli) -> None:
    """A kernel that is asked about is told its bugs, and which of their fixes it lacks."""
    traces = ("sve-not-trapped-after-guest", "kvm-run-without-guest-fp-cost")
    ran = cli("run", "-q", "--kernel", "v6.12", "--kernel", "v6.14", *traces)
    assert ran.out.splitlines() == [
        "v6.12: 1 of 2 traces show a bug",
        "  arm64/sve-not-trapped-after-guest: lost, missing-trap; it lacks save-and-flush",
        "v6.14: 0 of 2 traces show a bug",
        "v6.14: 1 trace of class cost (it does more than it may):",
        "  arm64/kvm-run-without-guest-fp-cost",
        "2 traces, 8 cases: 8 as expected; 1 trace shows a bug; --fail-on bug would fail",
    ]


def test_a_bad_kernel_is_said_once(cli: Cli) -> None:
    """And with everything that would have to be added."""
    ran = cli("run", "--kernel", "v6.1+c94f2f326146")
    message = (
        "kvm-replay: v6.1+c94f2f326146: sig-merge needs fp-type; add +fp-type+sig-fptype, or "
        "++sig-merge for a kernel without it"
    )
    assert (ran.status, ran.out, ran.err) == (2, "", message + "\n")


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("v9.9", "unknown kernel 'v9.9'"),
        ("6.14", "unknown kernel '6.14' (did you mean 'v6.14'?)"),
        ("", "unknown kernel ''"),
        ("v6.14+", "v6.14+: expected a fix after '+'"),
        ("v6.12+save-and-flsh", "unknown fix 'save-and-flsh' (did you mean 'save-and-flush'?)"),
        ("v6.14+save-and-flush", "v6.14 already has save-and-flush"),
        ("v6.12-save-and-flush", "v6.12 does not have save-and-flush"),
        ("v6.12+no-zen-restore", "v6.12+no-zen-restore: no-zen-restore needs save-and-flush; add "),
    ],
)
@pytest.mark.parametrize("command", ["run", "show", "explain"])
def test_bad_kernel(cli: Cli, command: str, kernel: str, message: str) -> None:
    """A kernel that does not exist is exit status 2, with the nearest that does."""
    ran = cli(command, "eight-steps", "--kernel", kernel)
    assert ran.status == 2
    assert message in ran.err


@pytest.mark.parametrize("jobs", ["0", "-1", "x", "257", "1.5", ""])
def test_bad_jobs(cli: Cli, jobs: str) -> None:
    """A number of processes that is none is exit status 2."""
    ran = cli("run", f"-j{jobs}" if jobs else "-j")
    assert ran.status == 2
    assert "argument -j" in ran.err


@pytest.mark.parametrize("form", [[], ["--json"], ["--ktap"], ["-q"]], ids=str)
def test_jobs_do_not_change_the_output(cli: Cli, form: list[str]) -> None:
    """Two processes say what one says, in the same order."""
    some = [str(path) for path in sorted((ROOT / "traces").rglob("*.trace"))[::20]]
    assert cli("run", "-j", "2", *form, *some) == cli("run", *form, *some)


@pytest.mark.parametrize("command", [["matrix"], ["audit", "--json"]], ids=lambda c: c[0])
def test_jobs_change_nothing(cli: Cli, command: list[str]) -> None:
    """A row or a fix is one process's; branches on a fix are put together of all traces."""
    some = [str(path) for path in sorted((ROOT / "traces/riscv").glob("*.trace"))[::40]]
    assert cli(*command, "-j", "2", *some) == cli(*command, *some)


def test_few_traces_need_no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "EACH", 8)
    assert [jobs.worth(2, n) for n in (0, 1, 15, 16, 378)] == [1, 1, 1, 2, 2]
    assert [jobs.worth(1, 378), jobs.worth(64, 378)] == [1, 47]


def test_jobs_do_not_change_the_errors(project: Path, cli: Cli) -> None:
    """Two processes report broken traces, refused events and golden files as one does."""
    put(project, "A read v0\nfrobnicate\n", "traces/broken.trace")
    put(project, SAMPLE + "B read v0\n", "traces/refused.trace")
    put(project, "on: 1\n", "expected/one.yaml")
    assert cli("run", "-j", "2", "traces") == cli("run", "traces")


def test_broken_trace_with_a_broken_golden_file(project: Path, cli: Cli) -> None:
    """All broken files are named in the order of their traces."""
    put(project, "on: 1\n", "expected/one.yaml")
    put(project, "", "traces/two.trace")
    lines = cli("run", "traces").err.splitlines()
    assert lines[0].startswith("kvm-replay: expected/one.yaml:1:1")
    assert lines[1].startswith("traces/two.trace:1:1: this file is empty")


def test_run_changes_nothing(project: Path, cli: Cli) -> None:
    """Without --update, nothing is written."""
    before = content(project)
    put(project, SAMPLE.replace("holds", "violates lost"), "traces/one.trace")
    (project / "expected/two.yaml").unlink()
    changed = content(project)
    assert changed != before
    cli("run", "traces")
    assert content(project) == changed


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["eight-steps"], ["arm64/eight-steps"]),
        (["arm64/eight-steps"], ["arm64/eight-steps"]),
        (["fp-type-case-2", "eight-steps"], ["arm64/fp-type-case-2", "arm64/eight-steps"]),
        (["eight-steps", "eight-steps"], ["arm64/eight-steps"]),
        ([str(ROOT / "traces/arm64/eight-steps.trace")], ["arm64/eight-steps"]),
        (["-k", "eight-"], ["arm64/eight-steps"]),
        (["-k", "case-1 or EIGHT"], ["arm64/eight-steps", "arm64/fp-type-case-1"]),
        (["-k", "fp-type-case and not case-2"], ["arm64/fp-type-case-1"]),
        (["eight-steps", "-k", "fp-type"], []),
    ],
    ids=" ".join,
)
def test_what_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli, names: list[str], ids: list[str]
) -> None:
    """Names, paths and -k choose traces, from any working directory."""
    monkeypatch.chdir(tmp_path)
    ran = cli("run", "--json", *names)
    found = json.loads(ran.out)["cases"] if ids else []
    assert list(dict.fromkeys(case["trace"] for case in found)) == ids
    assert ran.status == (0 if ids else 4)


# For machines -----------------------------------------------------------------------


def test_junit_beside_the_table(project: Path, cli: Cli) -> None:
    """--junit writes its file and leaves the output as it is."""
    ran = cli("run", "--junit", "out/j.xml", "traces")
    assert ran == cli("run", "traces")
    root = ElementTree.parse(project / "out/j.xml").getroot()
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "4", "0")


def test_junit_that_cannot_be_written(project: Path, cli: Cli) -> None:
    """A JUnit file that cannot be written is exit status 2, named."""
    ran = cli("run", "--junit", "traces/one.trace/j.xml", "traces")
    assert ran.status == 2
    assert ran.err.startswith("kvm-replay: traces/one.trace/j.xml: cannot be written: ")


def test_json_or_ktap(cli: Cli) -> None:
    """--json and --ktap exclude each other."""
    assert cli("run", "--json", "--ktap").status == 2


@pytest.mark.parametrize("form", ["--json", "--ktap"])
def test_update_does_not_spoil_machine_output(project: Path, cli: Cli, form: str) -> None:
    """What --update says does not stand in the output for machines."""
    plain = cli("run", form, "traces").out
    (project / "expected/one.yaml").unlink()
    assert cli("run", form, "--update", "traces").out == plain


@pytest.mark.parametrize("form", ["--json", "--ktap", "--junit"])
def test_broken_trace_shows_in_machine_output(project: Path, cli: Cli, form: str) -> None:
    """A trace that could not be judged does not silently lack in the output for machines."""
    put(project, "A read v0\n", "traces/broken.trace")
    ran = cli("run", form, *(["j.xml"] if form == "--junit" else []), "traces")
    text = (project / "j.xml").read_text() if form == "--junit" else ran.out
    assert "broken" in text


def test_a_bug_says_what_ends_it(cli: Cli) -> None:
    """Whether its trace cites that or not, and what a stable tree has to its harm; what a VMM
    does is no bug of the kernel."""
    lines = cli("run", "-q", "--kernel", "v6.6", "efi-call-keeps-registers", "vmm-drops-z").out
    assert "efi-call-keeps-registers (nvhe): missing-trap; it lacks cptr-scratch\n" in lines
    assert "v6.6: 1 trace of class vmm (the VMM's fault):\n  arm64/vmm-drops-z\n" in lines
    kernel = "debian-6.12.107+sme-built"
    lines = cli("run", "-q", "--kernel", kernel, "za-at-guest-entry").out
    assert "za-at-guest-entry (nvhe): bug; it has nvhe-tsm-left\n" in lines


def test_a_bug_that_is_new_with_a_backport(cli: Cli) -> None:
    spec = "v6.6+save-and-flush"
    lines = cli("run", "-q", "--kernel", spec, "softirq-in-load-fp", "fork-takes-stale-v").out
    assert "softirq-in-load-fp: bug (new); it lacks drop-busy-flag\n" in lines
    assert "fork-takes-stale-v: lost; it lacks clone-preserve\n" in lines


@pytest.mark.long
@pytest.mark.parametrize("kernel", ["v6.1", "v6.18"])
def test_what_ends_a_bug_ends_it(cli: Cli, kernel: str) -> None:
    """Each set that is named, added to the kernel as it stands, leaves nothing of the bug."""
    lines = cli("run", "-q", "-k", "arm64", "--kernel", kernel).out.splitlines()
    told = [line for line in lines if "; it lacks " in line]
    assert len(told) > 8
    for line in told:
        name, _, rest = line.strip().partition(": ")
        name = name.partition(" ")[0]
        fixes = rest.partition("; it lacks ")[2].split(", or ")[0].split(" and ")
        spec = kernel + "".join(f"++{fix}" for fix in fixes)
        out = cli("run", "-q", name, "--kernel", spec).out
        assert f"{spec}: 0 of 1 traces show a bug" in out, line
