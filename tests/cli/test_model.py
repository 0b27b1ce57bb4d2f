"""`--model FILE`: a change of one's own as a fix."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model import architecture
from harness.model.patch import MAX_BYTES, forget
from tests.cli.conftest import Cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "trying-a-patch.md"


@pytest.fixture(autouse=True)
def _taken_back() -> Iterator[None]:
    yield
    forget()


@pytest.fixture
def patch(tmp_path: Path) -> Path:
    """The file that the page shows."""
    text = PAGE.read_text(encoding="utf-8")
    shown = re.search(r'(    """A softirq.*?)\n\n`Patch` stands', text, re.S)
    assert shown is not None
    path = tmp_path / "my_patch.py"
    path.write_text(textwrap.dedent(shown[1]) + "\n", encoding="utf-8")
    return path


def test_what_the_page_says_is_so(cli: Cli, patch: Path) -> None:
    ran = cli("run", "--kernel", "v7.2", "--model", patch)
    assert (ran.status, ran.err) == (0, "")
    page = textwrap.dedent(PAGE.read_text(encoding="utf-8").split("my_patch.py\n", 1)[1])
    assert [re.sub(r"[0-9]+ cases", "N cases", line) for line in ran.out.splitlines()] == [
        re.sub(r"[0-9]+ cases", "N cases", line.strip() if n != 1 else line[4:])
        for n, line in enumerate(page.splitlines()[:3])
    ]


def test_the_fix_is_one_like_others(cli: Cli, patch: Path) -> None:
    name = "softirq-in-a-vcpu-thread"
    ran = cli("run", name, "--model", patch, "--kernel", "v7.2+softirq-saves-guest")
    assert "holds" in ran.out
    ran = cli("fixes", "softirq-saves-guest")
    assert ran.out.startswith("softirq-saves-guest")
    forget()
    assert "softirq-saves-guest" not in architecture("riscv").catalogue.fixes


def test_json(cli: Cli, patch: Path) -> None:
    tree = json.loads(cli("run", "--model", patch, "--kernel", "v6.9", "--json").out)
    assert tree["schema"] == "kvm-replay/run-model/1"
    assert [(c["trace"], c["now"]) for c in tree["changes"]] == [
        ("riscv/softirq-in-a-vcpu-thread", "holds")
    ]


WORSE = """\
from harness.model.catalogue import Fix
ARCH = "riscv"
FIX = Fix("worse", "variant", None, "FP is saved -> is not")
class Patch:
    def kvm_riscv_vcpu_guest_fp_save(self, vcpu):
        pass
"""


def test_a_change_for_the_worse_is_an_exit_status(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "worse.py"
    path.write_text(WORSE, encoding="utf-8")
    ran = cli("run", "guest-keeps-fp", "--model", path)
    assert ran.status == 1
    assert "1 for the worse" in ran.out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ARCH = 'arm63'", "expected ARCH = 'arm64' or 'riscv'"),
        ("ARCH = 'riscv'", "expected FIX = Fix("),
        ("1 / 0", "x.py:1: the file raised ZeroDivisionError: division by zero"),
        ("def", "SyntaxError"),
        (WORSE.replace("class Patch", "class Path"), "expected a class `Patch`"),
        (WORSE.replace('"worse"', '"fwft-base"'), "there is a fix of this name"),
        (WORSE.replace("None,", "'v7.2',"), "expected FIX = Fix("),
    ],
)
def test_what_is_no_patch(cli: Cli, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "x.py"
    path.write_text(text, encoding="utf-8")
    ran = cli("run", "--model", path)
    assert ran.status == 2
    assert says in ran.err


def test_a_file_that_exits_is_no_success(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("raise SystemExit(0)", encoding="utf-8")
    ran = cli("run", "--model", path)
    assert ran == (2, "", f"kvm-replay: {path}:1: the file raised SystemExit: 0\n")


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{}['x']", ":6: Patch.kvm_riscv_vcpu_guest_fp_save raised KeyError: 'x'"),
        ("raise SystemExit(0)", ":6: Patch.kvm_riscv_vcpu_guest_fp_save raised SystemExit: 0"),
        (
            "self.helper()\n    def helper(self): 1 / 0",
            ":7: Patch.helper raised ZeroDivisionError: ",
        ),
        ("super().no_such()", ":6: Patch.kvm_riscv_vcpu_guest_fp_save raised AttributeError: "),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ("run", "guest-keeps-fp"),
        ("run", "guest-keeps-fp", "--kernel", "v7.2+worse"),
        ("run", "guest-keeps-fp", "guest-keeps-vectors", "--kernel", "v7.2+worse", "-j", "2"),
        ("show", "guest-keeps-fp", "--kernel", "v7.2+worse"),
        ("explore", "riscv rv64 { isa f d }", "--kernel", "v7.2+worse", "--depth", "4"),
    ],
    ids=" ".join,
)
def test_an_exception_in_a_patch_is_the_patch_s(
    cli: Cli, tmp_path: Path, command: tuple[str, ...], body: str, says: str
) -> None:
    """One sentence names the file and the function; it is bad input, not an internal error."""
    path = tmp_path / "x.py"
    path.write_text(WORSE.replace("pass", body), encoding="utf-8")
    ran = cli(*command, "--model", path)
    assert (ran.status, len(ran.err.splitlines())) == (2, 1)
    assert f"kvm-replay: {path}{says}" in ran.err


def test_the_messages_on_the_page(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What docs/trust.md shows is what is printed."""
    monkeypatch.chdir(tmp_path)
    text = WORSE.partition("    def")[0] + "    def guest_entr(self, vcpu):\n        pass\n"
    text += "    def guest_enter(self, vcpu):\n        {}['x']\n"
    Path("my_patch.py").write_text(text, encoding="utf-8")
    ran = cli("run", "guest-keeps-fp", "--model", "my_patch.py")
    page = (PAGE.parent / "trust.md").read_text(encoding="utf-8")
    shown = re.findall(r"^ +(kvm-replay: .*my_patch\.py.*)$", page, re.M)
    assert len(shown) == 2
    assert sorted(ran.err.splitlines()) == sorted(shown)


def test_a_patch_of_another_signature(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(WORSE.replace("(self, vcpu)", "(self)"), encoding="utf-8")
    ran = cli("run", "guest-keeps-fp", "--model", path)
    assert ran.status == 2
    assert f"{path}: Patch.kvm_riscv_vcpu_guest_fp_save raised TypeError: " in ran.err


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("_fp_save", "_fp_svae", "(did you mean 'kvm_riscv_vcpu_guest_fp_save'?): it changes"),
        ("def kvm_riscv_vcpu_guest_fp_save(self, vcpu):", "", "class Patch has no function of"),
        ("pass", "self.mine()\n    def mine(self): pass", ""),
        ("pass", "pass\n    def mine(self): pass", "Patch.mine: the model has no function of this"),
    ],
    ids=["misspelt", "empty", "a helper", "unused"],
)
def test_a_patch_that_changes_nothing(
    cli: Cli, tmp_path: Path, old: str, new: str, says: str
) -> None:
    """A function that the model does not have, and that nothing uses, is a mistake."""
    path = tmp_path / "x.py"
    path.write_text(WORSE.replace(old, new), encoding="utf-8")
    ran = cli("run", "guest-keeps-fp", "--model", path)
    assert ran.status in (0, 1)
    assert (f"kvm-replay: warning: {path}: " in ran.err) is bool(says)
    assert says in ran.err


def test_a_file_out_of_bounds(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.touch()
    os.truncate(path, MAX_BYTES + 1)
    assert "x.py: is larger than 1 MiB" in cli("run", "--model", path).err
    path.unlink()
    os.mkfifo(path)
    assert "x.py: no such file of Python" in cli("run", "--model", path).err


def test_no_such_file(cli: Cli) -> None:
    assert cli("show", "eight-steps", "--model", "nope.py").status == 2
