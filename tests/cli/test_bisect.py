"""`kvm-replay bisect`, `bisect-run` and `reduce` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.schemas import check

ROOT = Path(__file__).resolve().parents[2]
MVENDORID = """\
trace "mvendorid is refused for a bit above 25"
commit "e482d9e33d5b" "RISC-V: KVM: Fix reg_val check in kvm_riscv_vcpu_set_reg_config()"
machine riscv rv64 { isa f d }
needs isa-zicbom
task A
vm V { vcpu v0 in A }
verdict v6.2 holds
A one_reg set v0 config.mvendorid = 0x80000489
expect no errno
A one_reg get v0 config.mvendorid
expect read config.mvendorid = 0x80000489
"""
FAST = ("fwft-value-lost-by-fast-path", "--kernel", "v7.1", "--search", "1")
RED = """\
trace "a refused event leaves the machine in the kernel"
machine arm64 vhe { cpus 1; sve 16..64 }
task A
vm V { vcpu v0 in A }
A write z0 = 0xa1
v0 vcpu_load
v0 guest_enter
v0 guest_exit
A ret_to_user
"""


def test_what_bisect_says(cli: Cli) -> None:
    ran = cli("bisect", "fwft-lock-by-failed-set", "--good", "v7.2", "--bad", "v6.18")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[-4:] == [
        "  v6.18 -> v7.2: violates expect, lock -> holds",
        "    by",
        "      fwft-lock-on-success (v7.2)",
        '        b8aa7571e943 ("KVM: riscv: SBI FWFT: Apply LOCK flag only on successful set")',
    ]


def test_it_drafts_the_line_for_a_patch(cli: Cli) -> None:
    lines = cli("bisect", "sve-not-trapped-after-guest", "--mode", "vhe").out.splitlines()
    assert [line for line in lines if "Fixes:" in line] == [
        '    Fixes: 93ae6b01bafe ("KVM: arm64: Discard any SVE state when entering KVM guests")',
        "    Fixes: 8c845e273104 (\"arm64/sve: Leave SVE enabled on syscall if we don't context "
        'switch")',
    ]


@pytest.mark.parametrize(
    ("name", "mode", "tags"),
    [
        ("cptr-init-with-stale-owner", "nvhe", ["5294afdbf45a"]),
        ("pkvm-host-vl", "protected", ["b5b9955617bc"]),
        ("prctl-vl-loses-v", "vhe", ["8c845e273104"]),
        ("vlenb-stack-overrun", "rv64", ["2fa290372dfe"]),
    ],
)
def test_the_line_names_what_upstreams_fix_names(
    cli: Cli, name: str, mode: str, tags: list[str]
) -> None:
    """Of the commits of a row; a fix is not blamed beside one that upstream blames alone."""
    lines = cli("bisect", name, "--mode", mode).out.splitlines()
    assert [line.split()[1] for line in lines if "Fixes:" in line] == tags


def test_where_upstream_names_another(cli: Cli) -> None:
    out = cli("bisect", "clone-while-streaming", "--mode", "vhe").out
    assert 'Fixes: a0136be443d5 ("arm64/fpsimd: Load FP state' in out
    assert "(upstream's own fix names 8bd7f91c03d8)" in out


def test_no_fix_is_to_blame_where_nothing_can_be_judged(cli: Cli) -> None:
    lines = cli("bisect", "smnpm-disabled-by-v4").out.splitlines()
    at = next(n for n, line in enumerate(lines) if "cannot be judged -> " in line)
    assert lines[at + 1] == "    v6.0: KVM on RISC-V is modelled from v6.1 on"
    assert "isa-zicbom" not in "\n".join(lines)


def test_what_began_and_ended_within_one_release_is_found(cli: Cli) -> None:
    """The header's own kernels are compared: no release shows the bug."""
    lines = cli("bisect", "softirq-in-load-fp", "--mode", "vhe").out.splitlines()
    assert [line for line in lines if " -> " in line] == [
        "  v6.6 -> v6.6+save-and-flush: holds -> violates bug",
        "  v6.6+save-and-flush -> v6.6+save-and-flush+flush-bh: violates bug -> holds",
        "  v6.6+save-and-flush -> v6.6+save-and-flush+drop-busy-flag: violates bug -> holds",
    ]
    assert any("9b19700e623f" in line for line in lines)


def test_another_errno_is_another_outcome(cli: Cli) -> None:
    """What an `expect` got belongs to the verdict, where two kernels are compared."""
    out = cli("bisect", "isa-ids-7.0", "--good", "v6.5", "--bad", "v6.6").out
    assert "  v6.5 -> v6.6: violates expect -> violates expect\n" in out
    assert "`expect errno EINVAL`: it gave ENOENT" in out
    assert "      onereg-enoent (v6.6)\n" in out


def test_bisect_json(cli: Cli) -> None:
    tree = json.loads(cli("bisect", "eight-steps", "--json").out)
    assert tree["schema"] == "kvm-replay/bisect/1"
    assert set(tree["modes"]) == {"vhe", "nvhe"}


def test_a_verdict_that_never_changes(cli: Cli) -> None:
    ran = cli("bisect", "guest-keeps-registers", "--mode", "vhe")
    assert ran.status == 1
    assert "the verdict is the same on every release" in ran.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("nope",), "nope: no such file"),
        (("eight-steps", "--good", "v6.1"), "--good and --bad go together"),
        (("eight-steps", "--good", "v6.1", "--bad", "v6.2"), "the trace holds there"),
        (("eight-steps", "--mode", "vh"), "did you mean 'vhe'?"),
        (("eight-steps", "--kernel", "v6.1"), "--kernel is for --git"),
        (("eight-steps", "--git", "a", "b"), "--git needs --kernel"),
    ],
)
def test_bisect_refuses(cli: Cli, args: tuple[str, ...], says: str) -> None:
    ran = cli("bisect", *args)
    assert ran.status == 2
    assert says in ran.err


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (("--kernel", "v7.2"), 0),
        (("--kernel", "v4.15+null-always"), 0),  # as the trace says
        (("--kernel", "v7.2", "--expect", "violates lost"), 1),
        (("--kernel", "v9.9"), 125),
        (("--kernel", "v7.2", "--mode", "bogus"), 254),
        ((), 254),
    ],
)
def test_bisect_run_says_what_git_understands(cli: Cli, args: tuple[str, ...], status: int) -> None:
    assert cli("bisect-run", "eight-steps", *args).status == status


def test_bisect_run_stops_where_there_is_no_trace(cli: Cli) -> None:
    assert cli("bisect-run", "nope", "--kernel", "v6.1").status == 254


def test_reduce_writes_a_trace(cli: Cli, tmp_path: Path) -> None:
    """That says on each line what comes of it without that one, and is judged as it says."""
    path = tmp_path / "short.trace"
    ran = cli("reduce", *FAST, "-o", path)
    assert (ran.status, ran.out) == (0, "")
    text = path.read_text()
    assert "verdict v7.1 violates not-loaded, set-lost\n" in text
    assert text.count("# without it: ") == 5
    assert cli("run", "--update", path).status == 0
    assert cli("fmt", "--check", path).status == 0


def test_reduce_keeps_the_bug_that_the_whole_cure_ends(cli: Cli, tmp_path: Path) -> None:
    """Any value is refused by v6.1, which has no such register; this one by the check as well."""
    path = tmp_path / "m.trace"
    path.write_text(MVENDORID)
    text = cli("reduce", path, "--kernel", "v6.1").out
    assert "= 0x80000489" in text
    assert "expect no errno\n" in text
    assert "needs isa-zicbom\n" in text


def test_reduce_json(cli: Cli) -> None:
    ran = cli("reduce", *FAST[:-1], "0", "--json")
    tree = check(ran.out)
    assert (tree["invariant"], tree["after"]) == ("set-lost", len(tree["events"]))
    assert all(event["without"].startswith("without it: ") for event in tree["events"])
    assert 'trace "' in tree["text"]


def test_reduce_refuses_what_cannot_happen(cli: Cli, tmp_path: Path) -> None:
    """With the place and the reason, before anything is left out."""
    path = tmp_path / "red.trace"
    path.write_text(RED)
    ran = cli("reduce", path, "--kernel", "v6.13")
    assert (ran.status, ran.out) == (2, "")
    assert f"{path}:6:1: " in ran.err


def test_nothing_to_reduce(cli: Cli) -> None:
    ran = cli("reduce", "eight-steps", "--kernel", "v7.2")
    assert (ran.status, ran.out) == (1, "")
    assert "no invariant is violated on v7.2 vhe" in ran.err


def test_reduce_knows_the_invariants(cli: Cli) -> None:
    ran = cli("reduce", "eight-steps", "--violation", "los")
    assert ran.status == 2
    assert "did you mean 'lost'?" in ran.err
