"""`kvm-replay upstream`: what was looked at, and what was not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.model import ARCHITECTURES
from harness.upstream import from_git, from_text, looked_at, mirrors
from harness.upstream.mirror import named
from tests.cli.conftest import Cli

ROOT = Path(__file__).resolve().parents[2]
# Modules of the kernel's layers that mirror no file: state, and what is common.
WITHOUT = {"__init__", "base", "state", "task", "sbi"}
STABLE = f"commit {'1' * 40}\nAuthor: x\n\n    {{title}}\n    \n    {{body}}\n"
KNOWN = ("fbc7e61195e2", "KVM: arm64: Unconditionally save+flush host FPSIMD/SVE/SME state")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with four commits: one is in the catalogue by its title, one by its message."""
    root = tmp_path / "linux"
    files = root / "arch/arm64/kvm"
    files.mkdir(parents=True)
    (root / "kernel").mkdir()

    def git(*args: str) -> None:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.invalid")
        subprocess.run(["git", *who, *args], cwd=root, check=True, capture_output=True)

    def commit(message: str, path: Path, text: str) -> None:
        path.write_text(text)
        git("add", "-A")
        git("commit", "-qm", message)

    git("init", "-q")
    body = "void kvm_arch_vcpu_load_fp(void)\n{\n\ta();\n\tb();\n\tc();\n\td();\n\te();\n}\n"
    commit("start", files / "fpsimd.c", body)
    git("tag", "start")
    commit(KNOWN[1], files / "fpsimd.c", body.replace("c()", "x()"))
    commit(
        f"something of a stable tree\n\ncommit {KNOWN[0]}{'0' * 28} upstream.\n",
        files / "fpsimd.c",
        body.replace("d()", "y()"),
    )
    commit("KVM: arm64: a new one", files / "fpsimd.c", body.replace("e()", "z()"))
    commit("fork: not ours", root / "kernel/fork.c", "int a;\n")
    commit("not a file of ours", root / "kernel/other.c", "int a;\n")
    return root


def test_a_tree(cli: Cli, tree: Path) -> None:
    """Commits to mirrored files: by title, by the upstream id, and one that is new."""
    ran = cli("upstream", "--arch", "arm64", "--git", tree, "start..HEAD")
    assert ran.status == 1
    lines = ran.out.splitlines()
    assert lines[0].split(maxsplit=2)[2] == "KVM: arm64: a new one"
    assert lines[1].strip() == "arch/arm64/kvm/fpsimd.c: kvm_arch_vcpu_load_fp"
    assert lines[2:] == ["3 commits: 2 in the catalogue, 0 looked at and left out, 1 not looked at"]


def test_what_a_tree_brings_along_is_not_run(tree: Path, tmp_path: Path) -> None:
    """A hook, a diff driver and a replaced object of the tree's own."""
    ran = tmp_path / "ran"
    config = tree / ".git/config"
    config.write_text(
        config.read_text()
        + f'[diff "x"]\n\tcommand = touch {ran}\n\ttextconv = touch {ran}\n'
        + f"[core]\n\tfsmonitor = touch {ran}\n\tpager = touch {ran}\n"
        + f"[diff]\n\texternal = touch {ran}\n"
    )
    (tree / ".gitattributes").write_text("*.c diff=x\n")
    found = list(from_git(tree, "start..HEAD", mirrors("arm64")))
    assert [commit.title for commit in found][-2:] == ["KVM: arm64: a new one", "fork: not ours"]
    assert not ran.exists()


def test_all_looked_at(cli: Cli, tree: Path) -> None:
    ran = cli("upstream", "--arch", "arm64", "--git", tree, "start..HEAD~3")
    assert (ran.status, ran.out.count("\n")) == (0, 1)


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["--git", "{tree}", "nope..HEAD"], 2, "--git"),
        (["--git", "{tree}", "--output=x"], 2, "expected 2 arguments"),
        (["--git", "/nowhere", "a..b"], 2, "--git /nowhere"),
        (["/nowhere"], 2, "/nowhere: No such file"),
        ([], 2, "expected a LOG"),
    ],
)
def test_bad_input(cli: Cli, tree: Path, args: list[str], status: int, message: str) -> None:
    ran = cli("upstream", *(arg.replace("{tree}", str(tree)) for arg in args))
    assert ran.status == status
    assert message in ran.err


def test_a_range_that_would_be_an_option(tree: Path) -> None:
    with pytest.raises(HarnessError, match="is no revision or range"):
        list(from_git(tree, "--output=x", ["kernel/fork.c"]))


def test_nothing_of_ours_is_no_verdict(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("- net: something else\n")
    ran = cli("upstream", log)
    assert (ran.status, ran.out) == (
        4,
        "0 commits: 0 in the catalogue, 0 looked at and left out, 0 not looked at\n",
    )


@pytest.mark.parametrize(
    "text",
    [
        f"{KNOWN[0]} {KNOWN[1]}\n",
        f"    - {KNOWN[1]}\n",
        f"  * {KNOWN[1]}\n",
        STABLE.format(title=KNOWN[1], body=f"commit {KNOWN[0]}{'0' * 28} upstream."),
        STABLE.format(title="KVM: arm64: x", body=f"[ Upstream commit {KNOWN[0]} ]"),
        f"Subject: [PATCH 6.6 3/9] {KNOWN[1]}\n",
    ],
    ids=["oneline", "changelog", "item", "ChangeLog", "Upstream commit", "mail"],
)
def test_logs(cli: Cli, tmp_path: Path, text: str) -> None:
    """However a log is written, the row is found."""
    log = tmp_path / "log"
    log.write_text(text)
    ran = cli("upstream", "--arch", "arm64", log)
    assert ran.out == "1 commit: 1 in the catalogue, 0 looked at and left out, 0 not looked at\n"
    assert ran.status == 0


def test_json(cli: Cli, tree: Path) -> None:
    ran = cli("upstream", "--arch", "arm64", "--git", tree, "start..HEAD", "--json")
    tree_ = json.loads(ran.out)
    assert [c["row"] for c in tree_["commits"]] == ["save-and-flush", "save-and-flush", None]
    assert tree_["commits"][2]["functions"] == ["kvm_arch_vcpu_load_fp"]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_module_names_its_file(arch: str) -> None:
    """Of the host's and KVM's layers, but for those that hold state."""
    known = {module for mirror in mirrors(arch).values() for module in mirror.modules}
    for layer in ("host", "kvm"):
        for path in (ROOT / "harness/model" / arch / layer).glob("*.py"):
            assert path.stem in WITHOUT or f"{layer}/{path.stem}" in known, path


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("arch/arm64/kvm/guest.c, reset.c and sys_regs.c: x", ["guest.c", "reset.c", "sys_regs.c"]),
        ("arch/arm64/kvm/vcpu_*.c: x", ["vcpu_*.c"]),
        ("nothing.c alone: nobody knows where", []),
    ],
)
def test_files_in_a_docstring(text: str, paths: list[str]) -> None:
    assert named("arm64", text) == [f"arch/arm64/kvm/{path}" for path in paths]


def test_headers_of_the_architecture() -> None:
    assert named("riscv", "asm/vector.h") == ["arch/riscv/include/asm/vector.h"]


def test_the_list_of_what_was_looked_at(tmp_path: Path) -> None:
    (tmp_path / "looked-at.tsv").write_text("# c\n-\ta title\tno state of it is modelled\n")
    (found,) = looked_at(tmp_path)
    assert (found.id, found.title) == (None, "a title")
    (tmp_path / "looked-at.tsv").write_text("0123456789ab a title\n")
    with pytest.raises(HarnessError, match=r"looked-at\.tsv:1: expected id"):
        looked_at(tmp_path)
    for arch in ARCHITECTURES:
        looked_at(ROOT / "harness/model" / arch)


def test_titles_of_a_text() -> None:
    """A stable commit's own id gives way to the upstream one."""
    text = f"commit {'1' * 40}\n\n    title\n\n    (cherry picked from commit {'2' * 40})\n"
    (found,) = from_text(text)
    assert (found.id, found.title) == ("2" * 12, "title")
