"""A third architecture: a package, a fragment of grammar, a trace, and no edit anywhere else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran
from tests.dsl.samples import SAMPLE, put
from tests.image.build import sample_elf

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
Toy = Callable[..., Ran]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tree as the project's own, with nothing in it but the toy."""
    for name, place in (
        ("model.py", "harness/model/toy/__init__.py"),
        ("toy.lark", "grammars/toy.lark"),
        ("spill.txt", "traces/toy/spill.trace"),
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / name, tmp_path / place)
    return tmp_path


@pytest.fixture
def toy(folder: Path) -> Toy:
    """The command line with the toy beside the project's own architectures."""

    def run(*arguments: str | Path) -> Ran:
        done = subprocess.run(
            [sys.executable, HERE / "run.py", folder, *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


SPILL = "traces/toy/spill.trace"


def test_one_run_of_all(toy: Toy, folder: Path) -> None:
    """Its traces are judged beside the project's, with golden files in the tree they are in."""
    assert toy("run", "--update", SPILL).status == 0
    assert "snapshots" in (folder / "expected/toy/spill.yaml").read_text()
    ran = toy("run", SPILL, "eight-steps")
    assert (ran.status, ran.err) == (0, "")
    assert "toy/spill: ok\n  v6.2                         bare      violates lost\n" in ran.out
    assert "arm64/eight-steps: ok\n" in ran.out
    assert ran.out.splitlines()[-1].startswith("2 traces, ")


def test_a_kernel_that_the_others_have_not(toy: Toy) -> None:
    """A fix of one architecture: the traces of the others are left out, in a line."""
    toy("run", "--update", SPILL)
    ran = toy("run", "--kernel", "v6.2+keeps", SPILL, "eight-steps")
    assert ran.status == 0
    assert ran.err == "kvm-replay: arm64 has no kernel v6.2+keeps: left out\n"
    assert ran.out.splitlines()[-2:] == [
        "v6.2+keeps: 0 of 1 traces show a bug",
        "1 trace, 1 case: 1 as expected; 0 traces show a bug",
    ]
    ran = toy("run", "--kernel", "v6.2+keeps", "eight-steps")
    assert (ran.status, ran.out) == (4, "")
    ran = toy("run", "--kernel", "v6.2+keepz", SPILL, "eight-steps")
    assert ran.status == 2
    assert "unknown fix 'keepz' (did you mean 'keeps'?)" in ran.err
    ran = toy("run", "--kernel", "v6.3+keeps", SPILL)
    assert "v6.3 already has keeps" in ran.err


def test_matrix_and_audit(toy: Toy) -> None:
    """One table of all traces; the fixes of those architectures that have traces in it."""
    ran = toy("matrix", SPILL, "eight-steps", "--kernel", "v6.2", "--kernel", "v6.2+keeps")
    assert ran.status == 0
    rows = dict(line.rsplit(maxsplit=1) for line in ran.out.splitlines() if "/" in line)
    assert rows["toy/spill"] == "X."
    assert rows["arm64/eight-steps"].endswith("-")
    ran = toy("audit", "-v", SPILL)
    assert "keeps (v6.3): toy/spill\n1 fixes, 0 unnoticed by 1 traces\n" in ran.out
    tree = json.loads(toy("audit", "--json", SPILL).out)
    assert tree["schema"] == "kvm-replay/audit/2"
    assert tree["architectures"]["toy"]["noticed"] == {"keeps": ["toy/spill"]}
    assert list(tree["architectures"]) == ["toy"]


def test_two_fixes_of_one_name(toy: Toy, folder: Path) -> None:
    """Where two catalogues share an id, each row of the audit says whose it is."""
    for path in (folder / "harness/model/toy/__init__.py", folder / SPILL):
        path.write_text(path.read_text().replace("keeps", "fp-type"))
    ran = toy("audit", "-v", SPILL, "eight-steps")
    assert "\ntoy fp-type (v6.3): toy/spill\ntoy: 1 fixes, 0 unnoticed by 1 traces\n" in ran.out
    assert "\narm64 fp-type (" in ran.out
    assert "\nfpmr (" in ran.out
    out = toy("fixes", "fp-type").out
    assert out.startswith("arm64\nfp-type  v6.2, rework\n")
    assert "\ntoy\nfp-type  v6.3, fix\n" in out


def test_listings(toy: Toy) -> None:
    """Each architecture below its name; a fix is found wherever it is."""
    out = toy("kernels").out
    assert "arm64\n" in out
    assert "\n\ntoy\n" in out
    assert toy("fixes", "keeps").out.startswith("keeps  v6.3, fix\n")
    out = toy("fixes", "keeps", "fp-type").out
    assert out.startswith("arm64\nfp-type")
    assert "\n\ntoy\nkeeps" in out
    ran = toy("fixes", "--kernel", "v6.2+keeps")
    assert ran.out.startswith("keeps  v6.3, fix\n")
    assert "kvm-replay: arm64 has no kernel v6.2+keeps: left out\n" in ran.err
    tree = json.loads(toy("fixes", "--arch", "toy", "--json").out)
    assert (tree["schema"], tree["fixes"][0]["id"]) == ("kvm-replay/fixes/1", "keeps")


def test_show_explain_fmt_reglist(toy: Toy) -> None:
    """The commands about one trace, and about one machine."""
    assert "    spill()\n" in toy("show", SPILL, "--kernel", "v6.2").out
    said = toy("explain", SPILL, "--kernel", "v6.2").out
    assert "cause: line 10: cpu0 spill 2\n" in said
    assert "line 10: lost\n    A would read r0 = 0x0, is entitled to 0x5 (A)\n" in said
    assert toy("fmt", "--check", SPILL).status == 0
    out = toy("reglist", "toy bare { kit fast }", "extra", "--kernel", "v6.3").out
    assert out == ("# 2 registers, v6.3, bare\n0x9030000000000000  r0\n0x9020000000000001\n")


WRONG: dict[str, tuple[str, str]] = {
    # what stands in the last line: what is said of it
    "cpu0  smccc": ("14:7", "toy has no event `smccc`: its events are read, spill or write"),
    "A     reed r0": ("14:7", "unknown event 'reed' (did you mean 'read'?)"),
    "A     ptrac get A r0": ("14:7", "unknown event 'ptrac': a task's events are read or write"),
    "expect undef": ("14:1", "toy has no `expect undef`"),
    "A     read r1": ("14:12", "unknown register 'r1': r0"),
    "A     write r0 = 0x100": ("14:18", "r0 has 8 bits"),
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("line", WRONG)
def test_mistakes(toy: Toy, folder: Path, line: str) -> None:
    """Errors speak of the architecture that the trace is of."""
    place, message = WRONG[line]
    with (folder / SPILL).open("a") as file:
        file.write(line + "\n")
    ran = toy("run", SPILL)
    assert ran.status == 2
    assert ran.err.startswith(f"{SPILL}:{place}: {message}"), ran.err


def test_what_only_it_has(toy: Toy, folder: Path) -> None:
    """Its event in a trace of another architecture, and its example where there is none."""
    ran = toy("run", put(folder, SAMPLE + "cpu0 spill\n"))
    assert "x.trace:10:6: arm64 has no event `spill`" in ran.err
    ran = toy("run", put(folder, 'trace "t"\n'))
    assert "such as `machine arm64 vhe { sve 16..64 }`" in ran.err
    assert "or `machine toy bare { depth 1..4; kit fast }`" in ran.err
    ran = toy("run", put(folder, (folder / SPILL).read_text().replace("fast", "fast small")))
    assert "no toy is fast and small" in ran.err


def test_what_it_leaves_out(toy: Toy, folder: Path) -> None:
    """Recordings, probes and images are optional; who asks for them is told."""
    ran = toy("probes", "--arch", "toy", "x")
    assert (ran.status, ran.err) == (
        2,
        "kvm-replay: kernels of toy are not recorded yet, those of arm64 are\n",
    )
    ran = toy("import", "--arch", "toy", "x")
    assert (ran.status, ran.err) == (
        2,
        "kvm-replay: recordings of toy are not read yet, those of arm64 are\n",
    )
    elf = sample_elf()
    elf.machine = 4711
    path = put(folder, bytes(elf), "vmlinux")
    ran = toy("identify", path)
    assert ran.status == 2
    assert "those of arm64 can be identified" in ran.err
