"""`kvm-replay upstream`: what was looked at, and what was not."""

from __future__ import annotations

import gzip
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


@pytest.mark.one_in(2)
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


@pytest.mark.one_in(2)
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


# What others' trees and logs look like ---------------------------------------------------


def committed(tree: Path, message: str, path: str, text: str) -> None:
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(text)
    who = ("-c", "user.name=x", "-c", "user.email=x@example.invalid")
    subprocess.run(["git", "add", "-A"], cwd=tree, check=True, capture_output=True)
    subprocess.run(
        ["git", *who, "commit", "-qm", message], cwd=tree, check=True, capture_output=True
    )


REVERTS = (
    f'Revert "{KNOWN[1]}"\n\nThis reverts commit {"3" * 40} which is\n'
    f"commit {KNOWN[0]}{'0' * 28} upstream.\n",
    f"KVM: arm64: A follow-up\n\nThe backport of commit {KNOWN[0]} upstream forgot a hunk.\n",
)


@pytest.mark.parametrize("message", REVERTS, ids=["a revert", "a message that names one"])
def test_who_speaks_of_a_commit_is_not_that_commit(
    cli: Cli, tree: Path, tmp_path: Path, message: str
) -> None:
    """With --git, and in a log: the new commit is printed."""
    committed(tree, message, "arch/arm64/kvm/fpsimd.c", "int a;\n")
    ran = cli("upstream", "--arch", "arm64", "--git", tree, "HEAD~1..HEAD")
    assert ran.out.endswith(
        "1 commit: 0 in the catalogue, 0 looked at and left out, 1 not looked at\n"
    )
    logged = subprocess.run(["git", "log", "-1"], cwd=tree, check=True, capture_output=True)
    (tmp_path / "log").write_bytes(logged.stdout)
    assert cli("upstream", "--arch", "arm64", tmp_path / "log").out.count("not looked at") == 1
    assert cli("upstream", "--arch", "arm64", tmp_path / "log").status == 1


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "setting",
    ["diff.noprefix=true", "diff.mnemonicPrefix=true", "diff.orderFile=nowhere",
     "i18n.logOutputEncoding=UTF-16", "color.ui=always", "log.decorate=full"],
)  # fmt: skip
def test_a_users_configuration_changes_nothing(cli: Cli, tree: Path, setting: str) -> None:
    usual = cli("upstream", "--git", tree, "start..HEAD")
    name, _, value = setting.partition("=")
    subprocess.run(["git", "config", name, value], cwd=tree, check=True)
    assert cli("upstream", "--git", tree, "start..HEAD") == usual
    assert cli("upstream", "--git", tree / "arch", "start..HEAD") == usual


def test_a_patch_is_no_commit(cli: Cli, tree: Path) -> None:
    """NULs, and lines that look like git's own, in a mirrored file."""
    text = "int a;\n" * 2000 + f"\0{'1' * 40}\0KVM: arm64: invented\0\0\ncommit {'2' * 40}\n"
    committed(tree, "KVM: arm64: one", "arch/arm64/kvm/fpsimd.c", text)
    ran = cli("upstream", "--arch", "arm64", "--git", tree, "HEAD~1..HEAD", "--json")
    assert [c["title"] for c in json.loads(ran.out)["commits"]] == ["KVM: arm64: one"]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("path", "title", "listed"),
    [
        ("arch/arm64/kvm/handle_exit.c", "KVM: arm64: x", True),
        ("arch/arm64/include/asm/fpsimd.h", "arm64: x", True),
        ("arch/arm64/mm/proc.S", "arm64: x", True),
        ("include/uapi/linux/kvm.h", "KVM: x", True),
        ("include/uapi/linux/kvm.h", "KVM: x86: x", False),
        ("kernel/fork.c", "fork: x", False),
        ("arch/arm64/kvm/vgic/vgic.c", "KVM: arm64: vgic: x", False),
    ],
)
def test_which_files_are_mirrored(
    cli: Cli, tree: Path, path: str, title: str, listed: bool
) -> None:
    committed(tree, title, path, "int b;\n")
    ran = cli("upstream", "--arch", "arm64", "--git", tree, "HEAD~1..HEAD")
    assert ran.status == (1 if listed else 4)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "form",
    ["--oneline", "--format=fuller", "--oneline --decorate=short", "--oneline --color=always",
     "--pretty=reference", "--format=%h,%s", "--format=%s", "--pretty=email -p",
     "--format=medium -p"],
)  # fmt: skip
def test_forms_of_a_log(cli: Cli, tree: Path, tmp_path: Path, form: str) -> None:
    """Each names the same commits."""
    committed(tree, "KVM: arm64: " + "a long title of a commit " * 5, "x.c", "int a;\n")
    logged = subprocess.run(
        ["git", "log", *form.split(), "start..HEAD"], cwd=tree, check=True, capture_output=True
    )
    (tmp_path / "log").write_bytes(logged.stdout)
    ran = cli("upstream", "--arch", "arm64", tmp_path / "log", "--json")
    found = [(c["title"].strip()[:20], c["row"]) for c in json.loads(ran.out)["commits"]]
    assert found[0][0] == "KVM: arm64: a long t"
    assert (KNOWN[1][:20], "save-and-flush") in found
    assert ("KVM: arm64: a new on", None) in found


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"- KVM: arm64: x\n" * 500, mtime=0)[:-12], "it ends in the middle"),
        (b"\x1f\x8b\x08\0", "it ends in the middle"),
        (b"\xfd7zXZ\0\0", "not a text"),
        ("KVM: arm64: x\n".encode("utf-16"), "not a text"),
    ],
    ids=["cut off", "a head", "xz", "UTF-16"],
)
def test_what_is_no_log(cli: Cli, tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "log").write_bytes(data)
    ran = cli("upstream", tmp_path / "log")
    assert ran.status == 2
    assert message in ran.err


def test_two_gzip_members_are_both_read(cli: Cli, tmp_path: Path) -> None:
    parts = [gzip.compress(f"KVM: arm64: {x}\n".encode()) for x in "ab"]
    (tmp_path / "log").write_bytes(b"".join(parts))
    assert "2 commits:" in cli("upstream", "--arch", "arm64", tmp_path / "log").out


def test_a_known_commit_counts_whatever_its_title_is(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("\ufeff405290be962b riscv: futex: untag it\n")
    assert cli("upstream", tmp_path / "log").status == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"zzz\ta\tb\n", "'zzz' is no id"),
        (b"-\t \tb\n", "expected id"),
        (b"-\t\xff\tb\n", "not UTF-8"),
    ],
)
def test_a_bad_list(tmp_path: Path, line: bytes, message: str) -> None:
    (tmp_path / "looked-at.tsv").write_bytes(line)
    with pytest.raises(HarnessError, match=message):
        looked_at(tmp_path)


def test_since(cli: Cli, tmp_path: Path) -> None:
    """Of a Debian changelog, what is newer; of anything else nobody knows."""
    head = "linux (6.1.9-1) stable; urgency=low\n\n  * New upstream stable update:\n"
    items = [f"    https://kernel.org/ChangeLog-6.1.{n}\n    - [arm64] KVM: x{n}\n" for n in (8, 9)]
    log = tmp_path / "log"
    log.write_text(head + "".join(items))
    ran = cli("upstream", "--arch", "arm64", log, "--since", "6.1.8")
    assert ran.out.splitlines()[0].endswith("KVM: x9")
    assert "1 commit:" in ran.out
    log.write_text("KVM: arm64: x\n")
    assert cli("upstream", log, "--since", "6.1.8").status == 2
