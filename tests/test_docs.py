"""The documentation says what is there."""

from __future__ import annotations

import importlib
import re
import shlex
import textwrap
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.dsl.syntax import spelled
from harness.model import ARCHITECTURES, architecture

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "reading-a-trace.md").read_text(encoding="utf-8")
VERBS = [(name, verb) for name in ARCHITECTURES for verb in architecture(name).verbs]
INVARIANTS = [(name, kind) for name in ARCHITECTURES for kind in architecture(name).invariants]


def guide(arch: str) -> str:
    """The page on the trace language, with the one on an architecture if it has one."""
    own = ROOT / "docs" / f"{arch}.md"
    return GUIDE + (own.read_text(encoding="utf-8") if own.is_file() else "")


@pytest.mark.parametrize(("arch", "verb"), VERBS)
def test_every_event_is_documented(arch: str, verb: str) -> None:
    """The table of events has a row for each, with its actors and its meaning."""
    says = architecture(arch).verbs[verb]
    word = spelled(verb) + (" TASK NT_" if verb.endswith("regset") else "")
    row = rf"^\| {', '.join(says.actors)} \| `{re.escape(word)}[^|`]*(\\\|[^|`]*)*` \| "
    found = re.search(row + re.escape(says.says), guide(arch), re.M)
    assert found, f"no row for {verb}: {says.says}"


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
