"""The commits that the catalogues name, compared with a list of what upstream has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.model import ARCHITECTURES, architecture
from harness.model.catalogue import Fix
from tests.model import make_commits
from tests.model.make_commits import GIT, LIST, NONE, UNSEEN, Line, catalogued, made, read, write

STORED = read(LIST.read_text(encoding="utf-8"))
ROWS = [
    (arch, fix)
    for arch in ARCHITECTURES
    for fix in architecture(arch).catalogue.fixes.values()
    if fix.commits
]

# Rows that point at another mail than their commits do: a cover letter, or what was said of it.
OTHER_MAIL = frozenset({"simd-2026", "sme-fgt-vhe", "load-fp-warning"})


def ids(value: object) -> str:
    return value.id if isinstance(value, Fix) else str(value)


def known(fix: Fix) -> list[Line]:
    return [STORED[commit.id] for commit in fix.commits]


# The list ------------------------------------------------------------------------


def test_the_list_has_the_commits_of_the_catalogues() -> None:
    """Each of them once, and no other; it is what the script writes."""
    assert list(STORED) == catalogued()
    assert write(STORED.values()) == LIST.read_text(encoding="utf-8")


@pytest.mark.one_in(4)
@pytest.mark.parametrize("line", STORED.values(), ids=lambda line: line.id)
def test_a_line_says_where_it_was_seen(line: Line) -> None:
    """A column is a value, or none, or not verified; nothing is known of what nobody has seen."""
    assert re.fullmatch(r"[0-9a-f]{12}", line.id)
    assert re.fullmatch(r"v\d+\.\d+|[-?]", line.release)
    assert re.fullmatch(r"[0-9a-f]{7,12}(,[0-9a-f]{7,12})*|[-?]", line.fixes)
    assert re.fullmatch(r"\S+@\S+|[-?]", line.link)
    if line.seen == UNSEEN:
        assert line[1:] == (UNSEEN,) * 5
    else:
        assert line.title != UNSEEN
        kind = line.seen.split()[0].rstrip(":")
        assert kind in (GIT, "mail", "push", "suse", "page", "cited", "note")


# The catalogues, by it -----------------------------------------------------------


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("arch", "fix"), ROWS, ids=ids)
def test_titles(arch: str, fix: Fix) -> None:
    """A commit has upstream's title."""
    for commit, line in zip(fix.commits, known(fix), strict=True):
        assert line.title in (UNSEEN, commit.title)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("arch", "fix"), ROWS, ids=ids)
def test_releases(arch: str, fix: Fix) -> None:
    """A row lands with the last of its commits; what came back lands with the first."""
    releases = [line.release for line in known(fix)]
    if fix.landed is None:
        assert fix.kind == "stable"
    elif UNSEEN not in releases:
        number = [tuple(map(int, r[1:].split("."))) for r in releases]
        last = min(number) if fix.gone else max(number)
        assert fix.landed == f"v{last[0]}.{last[1]}"
    else:
        assert {*releases} <= {UNSEEN, fix.landed}


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("arch", "fix"), ROWS, ids=ids)
def test_what_it_repairs(arch: str, fix: Fix) -> None:
    """A row repairs what the `Fixes:` tags of its commits name, neither more nor less."""
    tags = [line.repaired for line in known(fix)]
    named = list(dict.fromkeys(r for some in tags for r in some or ()))
    if None in tags:
        assert {*named} <= {*fix.repairs}
        assert fix.untagged != "none"
    else:
        assert list(fix.repairs) == named
        assert fix.untagged == ("none" if fix.kind == "fix" and not named else None)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("arch", "fix"), ROWS, ids=ids)
def test_links(arch: str, fix: Fix) -> None:
    """A row points at the mail that one of its commits points at."""
    links = {line.link for line in known(fix)}
    if fix.link is not None and not links & {UNSEEN, NONE} and fix.id not in OTHER_MAIL:
        assert fix.link in links


# The script ----------------------------------------------------------------------


class Clone:
    """A small repository with a history like the kernel's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q", "-b", "master")

    def git(self, *args: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ("git", "-C", self.root, *who, *args), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, message: str, tag: str = "") -> str:
        self.git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-m", message)
        if tag:
            self.git("tag", "-a", "-m", tag, tag)
        return self.git("rev-parse", "--short=12", "HEAD")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    root = tmp_path / "linux"
    root.mkdir()
    return Clone(root)


def test_a_line_of_a_clone(clone: Clone) -> None:
    """Title, tags wherever they stand, the last link, and the first release with the commit."""
    clone.commit("start", "v6.1")
    first = clone.commit('arm64/sve: A feature, "quoted" and\nfolded')
    second = clone.commit(
        "KVM: arm64: A fix\n\nWhat went wrong.\n\n"
        f'Fixes: {first}0f7d ("arm64/sve: A feature")\nFixes: 0123456789abcdef ("another")\n'
        "Link: https://example.org/a/page\nReported-by: B <b@example.org>\n\n"
        "[will: moved]\nLink: https://lore.kernel.org/r/20220101.1-2-a@example.org\n",
        "v6.2-rc3",
    )
    third = clone.commit("riscv: Later\n\nLink: https://patch.msgid.link/m-1@example.org", "v6.2")
    fourth = clone.commit("riscv: In no release yet")
    lines = made(clone.root, [third, second, fourth, first], {})
    assert lines == [
        Line(third, "v6.2", NONE, "m-1@example.org", "riscv: Later", GIT),
        Line(
            second,
            "v6.2",
            f"{first},0123456789ab",
            "20220101.1-2-a@example.org",
            "KVM: arm64: A fix",
            GIT,
        ),
        Line(fourth, NONE, NONE, NONE, "riscv: In no release yet", GIT),
        Line(first, "v6.2", NONE, NONE, 'arm64/sve: A feature, "quoted" and folded', GIT),
    ]
    assert read(write(lines)) == {line.id: line for line in lines}


def test_what_a_clone_lacks_stays_as_it_was(clone: Clone) -> None:
    """A line that was known is kept, one that was not says so; a tree is no commit."""
    here = clone.commit("start", "v6.1")
    tree = clone.git("rev-parse", "--short=12", "HEAD^{tree}")
    kept = Line("0" * 12, "v5.2", NONE, UNSEEN, "A title", "mail a@example.org")
    old = {kept.id: kept, here: kept._replace(id=here)}
    lines = made(clone.root, [kept.id, here, tree], old)
    assert lines[0] == kept
    assert lines[1] == Line(here, "v6.1", NONE, NONE, "start", GIT)
    assert lines[2] == Line(tree, *[UNSEEN] * 5)


def test_a_stable_branch_is_no_release(clone: Clone) -> None:
    """A commit that only v6.1.7 has is in no mainline release."""
    clone.commit("start", "v6.1")
    clone.git("checkout", "-q", "-b", "stable")
    backport = clone.commit("KVM: A backport\n\ncommit abc upstream.", "v6.1.7")
    assert made(clone.root, [backport], {})[0].release == NONE


@pytest.mark.parametrize("with_clone", [True, False], ids=["clone", "no clone"])
def test_the_script_keeps_what_it_cannot_know(
    clone: Clone, capsys: pytest.CaptureFixture[str], tmp_path: Path, with_clone: bool
) -> None:
    """Where no clone knows better, lines stay; a new commit gets one of which nothing is known."""
    clone.commit("start", "v6.1")
    short = tmp_path / "commits.tsv"
    *lines, last = STORED.values()
    short.write_text(write(lines), encoding="utf-8")
    assert make_commits.main([*[str(clone.root)] * with_clone, "--list", str(short)]) == 0
    unknown = Line(last.id, *[UNSEEN] * 5)
    assert short.read_text(encoding="utf-8") == write([*lines, unknown])
    empty = sum(line.seen == UNSEEN for line in (*lines, unknown))
    said = f"{len(STORED)} commits: 0 from a clone, {empty} of which nothing is known\n"
    assert capsys.readouterr() == (said, "")


def test_the_script_by_itself(clone: Clone, tmp_path: Path) -> None:
    """It runs as its docstring says, and leaves the clone alone."""
    clone.commit("start", "v6.1")
    there = tmp_path / "copy.tsv"
    there.write_bytes(LIST.read_bytes())
    before = clone.git("status", "--porcelain", "--ignored")
    command = (sys.executable, make_commits.__file__, str(clone.root), "--list", str(there))
    root = Path(make_commits.__file__).parents[2]
    subprocess.run(command, cwd=root, capture_output=True, check=True)
    assert there.read_bytes() == LIST.read_bytes()
    assert clone.git("status", "--porcelain", "--ignored") == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0123456789ab\tv6.1\n", "line 1: 2 columns, expected 6"),
        ("# a\n" + "a\tb\tc\td\te\tf\n" * 2, "line 3: a is there twice"),
    ],
    ids=["columns", "twice"],
)
def test_a_bad_list(text: str, message: str) -> None:
    """A line that is not one is an error with its place."""
    with pytest.raises(ValueError, match=re.escape(message)):
        read(text)
