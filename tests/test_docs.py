"""The documentation says what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.dsl.syntax import VERBS as PARSED
from harness.model import architecture

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "reading-a-trace.md").read_text(encoding="utf-8")
ARM64 = architecture("arm64")


@pytest.mark.parametrize("verb", PARSED)
def test_every_event_of_the_grammar_is_documented(verb: str) -> None:
    """The table of events has a row for each, with its actors and its meaning."""
    says = ARM64.verbs[verb]
    word = re.sub("^(one_reg|svcr|frame|ptrace)_", r"\1 ", verb).replace("regset", " TASK NT_")
    row = rf"^\| {', '.join(says.actors)} \| `{re.escape(word)}[^|`]*(\\\|[^|`]*)*` \| "
    found = re.search(row + re.escape(says.says), GUIDE, re.M)
    assert found, f"no row for {verb}: {says.says}"


@pytest.mark.parametrize("invariant", ARM64.invariants)
def test_every_invariant_is_documented(invariant: str) -> None:
    """The table of invariants has a row for each."""
    assert f"| `{invariant}` | {ARM64.invariants[invariant]} |" in GUIDE


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_no_page_points_nowhere(page: Path) -> None:
    """Every file that a page links to or names is there."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    for target in re.findall(r"`((?:harness|traces|tests|grammars|expected)/[\w./-]+)`", text):
        if "NAME" not in target:
            assert (ROOT / target).exists(), target


def test_the_readme_shows_what_explain_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The output in the README is what the command prints."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("kvm-replay explain", 1)[1].split("...", 1)[0].splitlines()
    main(["explain", *shown[0].split()])
    said = capsys.readouterr().out.splitlines()
    lines = [line.removeprefix("    ") for line in shown[1:] if line.strip()]
    assert len(lines) > 3
    assert [line for line in lines if line not in said] == []


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
