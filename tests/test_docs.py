"""The documentation says what is there."""

from __future__ import annotations

import importlib
import re
import shlex
import textwrap
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.dsl.nodes import Trace
from harness.dsl.reader import read_trace
from harness.model import ARCHITECTURES, architecture
from tests.events import PAGES, with_events

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "reading-a-trace.md").read_text(encoding="utf-8")
INVARIANTS = [(name, kind) for name in ARCHITECTURES for kind in architecture(name).invariants]


def guide(arch: str) -> str:
    """The page on the trace language, with the one on an architecture if it has one."""
    own = ROOT / "docs" / f"{arch}.md"
    return GUIDE + (own.read_text(encoding="utf-8") if own.is_file() else "")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_event_is_documented(arch: str) -> None:
    """`python -m tests.events` writes the tables anew."""
    page = PAGES / f"{arch}.md"
    assert with_events(page.read_text(encoding="utf-8"), arch) == page.read_text(encoding="utf-8")


@pytest.mark.parametrize(("arch", "invariant"), INVARIANTS)
def test_every_invariant_is_documented(arch: str, invariant: str) -> None:
    """The table of invariants has a row for each."""
    assert f"| `{invariant}` | {architecture(arch).invariants[invariant]} |" in guide(arch)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_no_page_points_nowhere(page: Path) -> None:
    """Every file that a page links to or names is there."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    for target in re.findall(r"`((?:harness|traces|tests|grammars|expected)/[\w./-]+)`", text):
        if "NAME" not in target:
            for arch in ARCHITECTURES:
                assert (ROOT / target.replace("ARCH", arch)).exists(), target


def test_the_readme_shows_what_explain_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The output in the README is what the command prints."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("kvm-replay explain", 1)[1].split("...", 1)[0].splitlines()
    main(["explain", *shown[0].split()])
    said = capsys.readouterr().out.splitlines()
    lines = [line.removeprefix("    ") for line in shown[1:] if line.strip()]
    assert len(lines) > 3
    assert [line for line in lines if line not in said] == []


def test_the_guide_shows_what_commands_print(capsys: pytest.CaptureFixture[str]) -> None:
    """The examples on `explain`, `bisect` and `reduce` (part of an output, or all of it)."""
    examples = re.findall(
        r"`kvm-replay ((?:explain|bisect|reduce) [^`]*)`:\n\n((?:    .*\n|\n)+)", GUIDE
    )
    assert {command.split()[0] for command, _ in examples} == {"explain", "bisect", "reduce"}
    for command, shown in examples:
        assert main(shlex.split(command)) == 0
        assert textwrap.dedent(shown).strip() in capsys.readouterr().out


def test_the_page_on_arm64_shows_what_reglist_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The end of the list, as the page has it."""
    (command, shown) = re.findall(
        r"    \$ kvm-replay (reglist .*) \| tail -4\n((?:    0x.*\n)+)",
        (ROOT / "docs" / "arm64.md").read_text(encoding="utf-8"),
    )[0]
    assert main(shlex.split(command)) == 0
    told = capsys.readouterr().out.splitlines()[-4:]
    assert told == textwrap.dedent(shown).splitlines()


def test_the_readme_has_two_set_up_commands() -> None:
    """One runs the main job, one passes the tests; `.ci/run` runs the same lines."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    (pip install .*?)\s+#", readme, re.M)
    assert len(commands) == 2
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in commands:
        plain = command.replace("install ", "install -q ").replace(
            "kvm-replay run", "kvm-replay run -q"
        )
        assert plain in gate


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_no_invariant_sees_is_documented(arch: str) -> None:
    """Each made patch that goes unnoticed is listed."""
    losing = importlib.import_module(f"tests.model.{arch}.losing")
    page = (ROOT / "docs" / "oracle.md").read_text(encoding="utf-8")
    assert [p for p in losing.UNSEEN if f"\n- `{p}`: " not in page] == []


STATEMENTS = (ROOT / "docs" / "statements.md").read_text(encoding="utf-8")
KINDS = {
    kind: int(count)
    for kind, count in re.findall(r"^\| (\w+) \| (\d+) \| ", STATEMENTS.split("\n## ")[0], re.M)
}


def statements(section: str) -> list[tuple[str, str]]:
    """The rows of a section: what is said, and what judges it or why nothing does."""
    rows = re.findall(r"^\| (.+) \| (.+) \| (.*) \|$", section, re.M)[1:]
    return [(what, judged) for _, what, judged in rows if set(what) != {"-"}]


def traces_in(cell: str) -> list[str]:
    return re.findall(rf"`((?:{'|'.join(ARCHITECTURES)})/[\w-]+)`", cell)


def sources(trace: Trace) -> set[str]:
    """What a trace cites, as a section of the page spells it."""
    mails = {f"{date} {who}" for date, who, _ in trace.mails}
    return mails | set(trace.links) | {commit for commit, _ in trace.commits}


@pytest.mark.parametrize("section", STATEMENTS.split("\n## ")[1:], ids=lambda s: s.split(":")[0])
def test_every_statement_of_the_first_threads_is_judged(section: str) -> None:
    """Each row has traces that exist and cite the thread, or a reason of a known kind."""
    cited = re.search(r"^Cited as: (.*)\.$", section, re.M)
    assert cited
    thread = set(re.findall(r"`([^`]+)`", cited[1]))
    rows = statements(section)
    assert rows
    for what, cell in rows:
        named = traces_in(cell)
        reason = re.search(r"(?:^|; )(\w+): \S", cell)
        assert named or reason, what
        assert reason is None or reason[1] in KINDS, cell
        for name in named:
            path = ROOT / "traces" / f"{name}.trace"
            assert path.is_file(), f"{what}: {name}"
            assert sources(read_trace(path)) & thread, f"{what}: {name} does not cite the thread"


def test_the_statements_are_counted() -> None:
    """The numbers at the top of the page are those of its rows."""
    rows = [row for section in STATEMENTS.split("\n## ")[1:] for row in statements(section)]
    judged = [cell for _, cell in rows if traces_in(cell)]
    part = [cell for cell in judged if "`; " in cell]
    said = f"{len(rows)} statements: {len(judged)} judged by traces ({len(part)} of them in part), "
    assert said + f"{len(rows) - len(judged)} not." in STATEMENTS
    alone = [cell.split(":")[0] for _, cell in rows if not traces_in(cell)]
    assert {kind: alone.count(kind) for kind in KINDS} == KINDS
