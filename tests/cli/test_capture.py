"""`kvm-replay import` and `conform`."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from harness import capture
from tests.cli.conftest import Cli

RECORDINGS = Path(__file__).parents[1] / "capture" / "recordings"
COMPETE = str(RECORDINGS / "sve-vhe-fpbug17-compete.txt.xz")
TINY = str(RECORDINGS / "vhe-kp-tiny.txt.xz")


def test_a_recording_becomes_a_trace(cli: Cli, tmp_path: Path) -> None:
    """With every stimulus; a verdict when a kernel is named, and then it can be judged."""
    file = tmp_path / "tiny.trace"
    ran = cli("import", TINY, "-o", str(file))
    assert (ran.status, ran.err) == (0, "")
    assert "1082 lines, 1070 events, 360 stimuli" in ran.out
    assert "# No kernel has been asked" in file.read_text()
    ran = cli("import", TINY, "-o", str(file), "--kernel", "debian-6.1.192")
    assert ran.status == 0
    assert "verdict debian-6.1.192 holds" in file.read_text()
    assert cli("run", str(file), "--update").status == 0
    assert cli("run", str(file)).status == 0


@pytest.mark.one_in(7)
@pytest.mark.parametrize(
    ("name", "kernel", "outcome"),
    [
        ("sme-vhe-fixed-sme", "debian-6.1.192+sme-reset-smen+sme-built", "holds"),
        (
            "sme-vhe-fpbug7-ptrace",
            "v6.1+fp-type+sme-reset-smen+recorded-no-bug",
            "violates lost, stale, warning",
        ),
        ("debian-5.10.223-vhe-guest-st", "v5.10", "holds"),
        ("debian-6.18.12-vhe-sme-st", "v6.18", "holds"),
        ("debian-7.2.13-vhe-st", "debian-7.2.13", "holds"),
        ("debian-7.3.4-nvhe-ft", "debian-7.3.4", "holds"),
        ("debian-7.3.4-protected-sme-st", "debian-7.3.4", "holds"),
    ],
)
def test_whatever_is_in_a_recording_can_be_written(
    cli: Cli, tmp_path: Path, name: str, kernel: str, outcome: str
) -> None:
    """Each verb in its own syntax, and on its kernel every event is legal."""
    file = tmp_path / "all.trace"
    ran = cli("import", str(RECORDINGS / f"{name}.txt.xz"), "-o", str(file))
    assert ran.status == 0, ran.err
    raw = file.read_text().replace("# No kernel has been asked.", f"verdict {kernel} holds #")
    file.write_text(raw)
    assert cli("fmt", str(file)).status == 0
    ran = cli("import", str(RECORDINGS / f"{name}.txt.xz"), "--kernel", kernel, "-o", str(file))
    assert ran.status == 0, ran.err
    assert f"verdict {kernel} {outcome}\n" in file.read_text()
    assert cli("show", str(file), "--kernel", kernel).status == 0


@pytest.mark.long
def test_the_bug_of_2025_by_two_commands(cli: Cli, tmp_path: Path) -> None:
    """docs/conformance.md: from a recording to a regression trace."""
    file = tmp_path / "bug.trace"
    kernels = ("--kernel", "v6.13", "--kernel", "v6.14")
    ran = cli("import", COMPETE, *kernels, "--violation", "lost", "--reduce", "-o", str(file))
    assert ran.status == 0, ran.err
    text = file.read_text()
    assert "verdict v6.13 violates lost, missing-trap\nverdict v6.14 holds\n" in text
    assert "# A is w0-vcpuZspin-125" in text
    assert cli("run", str(file), "--update").status == 0
    ran = cli("run", str(file))
    assert (ran.status, ran.out.splitlines()[-1]) == (0, "1 trace, 2 cases: 2 as expected")
    assert cli("fmt", "--check", str(file)).status == 0


def test_nothing_to_reduce(cli: Cli) -> None:
    """On a kernel where the recording shows nothing wrong."""
    ran = cli("import", TINY, "--kernel", "debian-6.1.192", "--reduce")
    assert ran.status == 1
    assert "nothing to reduce" in ran.err


def test_conform(cli: Cli) -> None:
    """The last lines say how much is explained, and how much of the model was exercised."""
    ran = cli("conform", TINY, "--kernel", "debian-6.1.192")
    assert ran.status == 0, ran.out
    *_, share, functions = ran.out.splitlines()
    assert share == "debian-6.1.192 vhe: 811 of 811 events explained (100.00%), 0 divergences"
    assert functions.endswith("functions of the model exercised")
    assert (
        "compared 811 of 811 events; understood 1070 of 1070 lines and 36 of 36 names of functions"
        in ran.out.splitlines()
    )


def test_conform_says_what_it_rests_on(cli: Cli, tmp_path: Path) -> None:
    """In numbers, and why they do not do."""
    tree = json.loads(cli("conform", TINY, "--kernel", "debian-6.1.192", "--json").out)
    assert tree["evidence"] == {
        "lines": 1070,
        "understood": 1070,
        "not_understood": {},
        "names": 36,
        "unknown_names": [],
        "stimuli": 360,
        "compared": 811,
        "comparable": 811,
        "enough": True,
        "reasons": [],
    }
    with lzma.open(TINY, "rt") as text:
        lines = [line.replace("fpsimd_", "simd_") for line in text]
    file = tmp_path / "renamed.txt"
    file.write_text("".join(lines))
    ran = cli("conform", str(file), "--kernel", "debian-6.1.192", "--json")
    found = json.loads(ran.out)["evidence"]
    assert (ran.status, found["enough"]) == (1, False)
    assert "lines were not understood" in found["reasons"][0]
    ran = cli("import", str(file), "-o", str(tmp_path / "x.trace"))
    assert (ran.status, (tmp_path / "x.trace").exists()) == (1, False)
    assert ran.out.endswith("no trace was written\n")


def test_conform_says_what_differs(cli: Cli) -> None:
    """With the kernel's side, the model's, and the fixes that would help."""
    ran = cli("conform", TINY, "--kernel", "debian-6.1.192-eager-zcr", "--mode", "vhe")
    tree = json.loads(cli("conform", TINY, "--kernel", "v6.1", "--json").out)
    assert tree["schema"] == "kvm-replay/conform/1"
    assert tree["divergences"] > 0
    assert {"line", "cpu", "kernel", "model", "stimulus", "times"} <= tree["first"][0].keys()
    assert tree["would_agree"][0]["divergences"] < tree["divergences"]
    assert ran.status in (0, 1)
    said = cli("conform", TINY, "--kernel", "v6.1")
    assert said.status == 1
    assert "fixes that would make them agree better" in said.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("conform", TINY, "--kernel", "v6.1", "--mode", "vha"), "did you mean 'vhe'"),
        (("conform", TINY, "--kernel", "v6.99"), "unknown kernel 'v6.99'"),
        (("conform", TINY, "--kernel", "v6.1", "--machine", "cpus 1"), "2 CPUs"),
        (("conform", TINY, "--kernel", "v6.1", "--machine", "sve x"), "NAME NUMBER"),
        (("conform", TINY, "--kernel", "v6.1", "--machine", "tpu 1"), "none of cpus, sve, sme"),
        (("conform", "-", "--kernel", "v6.1"), "give a file"),
        (("import", "/none/such.txt"), "No such file"),
        (("import", TINY, "--reduce"), "need a --kernel"),
        (("import", TINY, "-o", "/none/such.trace"), "No such file"),
    ],
)
def test_bad_input(cli: Cli, arguments: tuple[str, ...], says: str) -> None:
    ran = cli(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert says in ran.err


def test_an_architecture_without_recordings(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """An architecture that nobody reads recordings of yet is said to be one."""
    monkeypatch.setattr(capture, "known", lambda: ("other",))
    ran = cli("conform", TINY, "--kernel", "v6.1", "--arch", "arm64")
    assert ran.status == 2
    assert ran.err == "kvm-replay: recordings of arm64 are not read yet, those of other are\n"


def test_several_architectures_with_recordings(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are several, the command line has to say which."""
    monkeypatch.setattr("harness.cli.recorded.known", lambda: ("arm64", "other"))
    ran = cli("conform", TINY, "--kernel", "v6.1")
    assert ran.status == 2
    assert "--arch: expected arm64 or other" in ran.err


def test_no_half_written_file(cli: Cli, tmp_path: Path) -> None:
    """A recording that ends in the middle of its compression leaves nothing behind."""
    torn = tmp_path / "torn.xz"
    torn.write_bytes(Path(COMPETE).read_bytes()[:200_000])
    out = tmp_path / "out"
    out.mkdir()
    assert cli("import", str(torn), "-o", str(out / "x.trace")).status == 2
    assert list(out.iterdir()) == []
