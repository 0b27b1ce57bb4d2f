"""A trace as a selftest of the kernel: one C file."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.drive.arm64 import plan
from harness.drive.arm64.ctext import harmless, identifier
from harness.drive.arm64.kselftest import export
from harness.drive.csource import chunks, used
from harness.drive.undriven import Undriven
from harness.dsl import read_trace
from harness.dsl.reader import parse
from harness.model import architecture

ROOT = Path(__file__).parents[2] / "traces" / "arm64"
TRACES = sorted(path.stem for path in ROOT.glob("*.trace"))
NEW = architecture("arm64").catalogue.kernel("v7.3")
GCC = shutil.which("aarch64-linux-gnu-gcc")

HOSTILE = r"""trace "an end */ int evil; /* and a begin // trigraph ??/ %s \\"
about "*/#error broken out/*"
machine arm64 vhe { cpus 1 }
task A, unix, if

A write v0 = 0xa1
cpu0 switch A -> unix
unix write v1 = 0xb1
cpu0 switch unix -> if
cpu0 switch if -> A
A read v0
"""


@functools.cache
def exported(name: str) -> str:
    return export(read_trace(ROOT / f"{name}.trace"), NEW, "vhe", name)


def of_text(text: str, name: str = "t") -> str:
    return export(parse(Path(name), tuple(text.splitlines()), scratch=True), NEW, "vhe", name)


def code(text: str) -> str:
    """Without comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)


def compiled(text: str, folder: Path) -> str:
    """What the compiler has to say."""
    assert GCC is not None
    source = folder / "t.c"
    source.write_text(text)
    flags = ("-static", "-O2", "-Wall", "-Wextra", "-o", str(folder / "t"))
    done = subprocess.run([GCC, *flags, str(source)], capture_output=True, text=True, check=False)
    return done.stderr


def test_every_trace_that_is_driven_is_exported_or_a_reason_is_given() -> None:
    count, reasons = 0, set()
    for name in TRACES:
        trace = read_trace(ROOT / f"{name}.trace")
        try:
            plan(trace, NEW, "vhe")
        except Undriven:
            continue
        try:
            assert "static void test(void)" in exported(name)
            count += 1
        except Undriven as why:
            reasons.add(str(why))
    assert count >= 114
    assert all(reasons)
    assert len(reasons) <= 4


def test_the_text_is_stable_and_of_no_machine() -> None:
    text = exported("prctl-vl-loses-v")
    trace = read_trace(ROOT / "prctl-vl-loses-v.trace")
    assert text == export(trace, NEW, "vhe", "prctl-vl-loses-v")
    assert text.isascii()
    assert str(ROOT) not in text


def test_its_steps_can_be_read() -> None:
    body = exported("prctl-vl-loses-v").split("static void test(void)\n")[1]
    steps = [" ".join(line.split()) for line in body.splitlines() if "AT(" in line]
    assert steps == [
        "AT(5, write_z(B, 1, 0xa1)); /* B write z1 = 0xa1 */",
        "AT(6, said(task_prctl(B, PR_SVE_SET_VL, 16))); /* B prctl PR_SVE_SET_VL 16 */",
        "AT(7, expect_v(B, 1, 0xa1)); /* B read v1 */",
    ]


def test_its_head_says_what_it_is_about() -> None:
    head = exported("prctl-vl-loses-v").split("*/")[0]
    assert "SPDX-License-Identifier: GPL-2.0-only" in head
    assert " * prctl(PR_SVE_SET_VL) loses V registers\n" in head
    assert "commit 49ce484187f7" in head
    assert " *   7  B read v1\n" in head


def test_only_what_a_trace_uses_is_in_its_file() -> None:
    text = exported("prctl-vl-loses-v")
    for word in ("KVM_", "PTRACE_", "signal_handler", "futex()", "read_z", "SME_VL"):
        assert word not in code(text).replace("in futex()", ""), word


def test_as_many_results_are_planned_as_there_are() -> None:
    for name in ("prctl-vl-loses-v", "eight-steps", "vcpu-life", "ptrace-streaming-registers"):
        text = exported(name)
        body = text.split("static void test(void)\n")[1].split("\n}\n")[0]
        planned = int(re.findall(r"#define PLANNED\s(\d+)", text)[0])
        assert len(re.findall(r"\bexpect_\w+\(", body)) == planned > 0


def test_what_no_program_sees_is_refused() -> None:
    with pytest.raises(Undriven, match="would always pass"):
        of_text('trace "t"\nmachine arm64 vhe { cpus 1 }\ntask A\n\nA write v0 = 0xa1\nA syscall\n')


def test_an_exec_is_refused() -> None:
    with pytest.raises(Undriven, match=r"exec\(\)"):
        exported("fpmr-survives-exec")


def test_a_hostile_title_stays_in_its_comment() -> None:
    text = of_text(HOSTILE, 'a b"$(x)`*/')
    for word in ("evil", "broken", "trigraph"):
        assert word not in code(text)
        assert word in text
    assert "unix" not in re.findall(r"\w+", code(re.sub(r'"[^"\n]*"', "", text)))


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("a */ b", "a * / b"),
        ("/* /*/ **/", "/ * / * / * * /"),
        ("two\nlines\r\nand\x0bmore\x1b[31m", "two lines and more?[31m"),
        ("caf\xe9 \u2028 end\\", "caf? end"),
        ("//", "/ /"),
    ],
)
def test_text_of_a_comment(text: str, becomes: str) -> None:
    assert harmless(text) == becomes


def test_a_task_has_no_name_of_a_macro() -> None:
    assert [identifier(n) for n in ("A", "v0", "linux", "if", "EOF", "v0x")] == [
        *("A", "v0", "linux_", "if_", "EOF_", "v0x_")
    ]


def test_definitions_of_a_source() -> None:
    text = "#define N 3\n\n/* One. */\nstatic int f(int a)\n{\n\treturn a + N;\n}\n\nint x[N], y;\n"
    found = list(chunks(text))
    assert [sorted(chunk.defines) for chunk in found] == [["N"], ["f"], ["x", "y"]]
    assert found[1].text.startswith("/* One. */\n")
    assert used(found, {"f"}) >= {"f", "N"}
    assert "x" not in used(found, {"f"})


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    paths = [str(ROOT / f"{name}.trace") for name in ("prctl-vl-loses-v", "exec-nothing")][:1]
    assert main(["drive", *paths, "--export", "kselftest", "-o", str(out)]) == 0
    assert "1 of 1 traces are exported" in capsys.readouterr().out
    assert [path.name for path in out.iterdir()] == ["prctl-vl-loses-v.c"]


def test_the_command_needs_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drive", "eight-steps", "--export", "kselftest"]) == 2
    assert "expected -o FOLDER" in capsys.readouterr().err


def test_nothing_exported_has_a_status_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(ROOT / "fpmr-survives-exec.trace")
    assert main(["drive", path, "--export", "kselftest", "-o", str(tmp_path)]) == 4
    assert "1 not: exec()" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_two_files_of_one_name_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "prctl-vl-loses-v.trace").read_text()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.trace").write_text(text)
    paths = [str(tmp_path / folder / "same.trace") for folder in ("a", "b")]
    assert main(["drive", *paths, "--export", "kselftest", "-o", str(tmp_path / "out")]) == 2
    assert "both would be same.c" in capsys.readouterr().err


@pytest.mark.one_in(3)
@pytest.mark.skipif(GCC is None, reason="no cross compiler")
@pytest.mark.parametrize("name", ["prctl-vl-loses-v", "ptrace-streaming-registers", "hostile"])
def test_a_file_compiles_without_a_warning(name: str, tmp_path: Path) -> None:
    text = of_text(HOSTILE) if name == "hostile" else exported(name)
    assert compiled(text, tmp_path) == ""


@pytest.mark.long
@pytest.mark.skipif(GCC is None, reason="no cross compiler")
@pytest.mark.parametrize("name", TRACES)
def test_every_file_compiles_without_a_warning(name: str, tmp_path: Path) -> None:
    try:
        text = exported(name)
    except Undriven:
        return
    assert compiled(text, tmp_path) == ""
