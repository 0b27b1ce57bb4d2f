"""`kvm-replay drive`, and `conform` of a log."""

from __future__ import annotations

import json
import lzma
import random
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.drive.table import LOGS

LOG = LOGS / "debian-6.12.118-vhe-sve16-64+fpmr1.log.xz"
TEXT = lzma.decompress(LOG.read_bytes()).decode()
K = ("--kernel", "debian-6.12.118")


def test_a_script(cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "s"
    ran = cli("drive", "eight-steps", "efi-call-loses-ffr", "-o", script)
    assert ran.status == 0
    assert ran.out.splitlines()[0] == "1 of 2 traces are driven, for v7.3 vhe"
    assert "an EFI runtime service (arm64/efi-call-loses-ffr)" in ran.out
    lines = script.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("plan 2", "whole")


def test_what_is_driven_is_shown(cli: Cli) -> None:
    ran = cli("drive", "prctl-vl-loses-v", "--show")
    assert "B prctl PR_SVE_SET_VL 16\nB read v1\n" in ran.out


def test_nothing_to_drive(cli: Cli) -> None:
    assert cli("drive", "efi-call-loses-ffr", "--show").status == 4
    assert cli("drive", "riscv/fwft-reset", "--show").status == 4


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("nowhere",), "no such file, folder or trace"),
        (("eight-steps", "--mode", "rv64"), "--mode rv64: expected"),
        (("eight-steps", "--kernel", "v9"), "v9"),
        (("eight-steps", "--json"), "give -o for the script"),
    ],
)
def test_refusals(cli: Cli, options: tuple[str, ...], says: str) -> None:
    ran = cli("drive", *options)
    assert ran.status == 2
    assert says in ran.err


def test_json_of_what_is_driven(cli: Cli, tmp_path: Path) -> None:
    ran = cli("drive", "eight-steps", "efi-call-loses-ffr", "-o", tmp_path / "s", "--json")
    one, other = json.loads(ran.out)["traces"]
    assert (one["driven"], other["driven"]) == (True, False)


def test_a_log_that_agrees(cli: Cli) -> None:
    ran = cli("conform", LOG, *K)
    assert ran.status == 0
    assert "468 answers of 51 traces compared (112 reads), 0 differ" in ran.out


def test_a_log_of_another_kernel_is_explained(cli: Cli) -> None:
    ran = cli("conform", LOG, "--kernel", "debian-6.12.118+vl-stale", "--json")
    assert ran.status == 1
    tree = json.loads(ran.out)
    odd = {one["trace"] for one in tree["traces"] if one["differs"]}
    assert odd == {"arm64/prctl-vl-loses-v", "arm64/prctl-vl-resurrects-stale-v"}
    assert {"change": "-vl-stale", "differs": 0} in tree["would_agree"]


def test_a_changed_answer_is_noticed(cli: Cli, tmp_path: Path) -> None:
    """Whatever digit of a register that a program or a guest has read."""
    lines = TEXT.split("\n")
    reads = [n for n, line in enumerate(lines) if re.fullmatch(r"# = \d+ data [0-9a-f]+", line)]
    choose = random.Random(19)
    for n in choose.sample(reads, 6):
        head, _, data = lines[n].rpartition(" ")
        at = choose.randrange(min(len(data), 16))
        changed = f"{data[:at]}{'0' if data[at] != '0' else '1'}{data[at + 1 :]}"
        file = tmp_path / "log"
        file.write_text("\n".join([*lines[:n], f"{head} {changed}", *lines[n + 1 :]]))
        assert cli("conform", file, *K).status == 1, lines[n]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_log_that_is_cut_gives_no_verdict(cli: Cli, tmp_path: Path, share: float) -> None:
    file = tmp_path / "log"
    file.write_text(TEXT[: int(len(TEXT) * share)])
    ran = cli("conform", file, *K)
    assert ran.status == 1
    assert "too little evidence: the log ends before the script did" in ran.out


def test_a_log_in_which_nothing_ran(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text(
        "KTAP version 1\n# kvm-replay log 1 aarch64 6.12\n1..1\nok 1 a # SKIP no sve\n"
        "# Totals: pass:0 fail:0 xfail:0 xpass:0 skip:1 error:0\n"
    )
    ran = cli("conform", file, *K)
    assert ran.status == 1
    assert "nothing was compared" in ran.out


def test_a_log_of_another_mode(cli: Cli) -> None:
    ran = cli("conform", LOG, *K, "--mode", "hvhe")
    assert ran.status == 2
    assert "is not of hvhe" in ran.err


def test_a_trace_in_a_log_that_is_damaged(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text(TEXT.replace("# | B read v1", "# | B red v1", 1))
    ran = cli("conform", file, *K)
    assert ran.status == 2
    assert "is damaged" in ran.err


def test_an_answer_that_is_missing_is_noticed(cli: Cli, tmp_path: Path) -> None:
    lines = TEXT.split("\n")
    answers = [n for n, line in enumerate(lines) if re.match(r"# = \d+ (data|ret)", line)]
    for n in random.Random(4).sample(answers, 3):
        file = tmp_path / "log"
        file.write_text("\n".join(lines[:n] + lines[n + 1 :]))
        ran = cli("conform", file, *K)
        assert ran.status == 1, lines[n]
        assert "answer: missing" in ran.out


def test_another_signal_is_noticed(cli: Cli, tmp_path: Path) -> None:
    log = LOGS / "debian-7.3.4-vhe-sve16-64+sme16-64+fpmr1.log.xz"
    text = lzma.decompress(log.read_bytes()).decode()
    file = tmp_path / "log"
    file.write_text(text.replace(" died 11\n", " died 4\n"))
    assert cli("conform", file, "--kernel", "debian-7.3.4").status == 1
