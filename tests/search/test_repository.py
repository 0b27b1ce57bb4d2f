"""Bisecting the project's own history."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.search.repository import Question, bisect, git, root_of

SAYS = """\
import json
verdict = {verdict!r}
if verdict == "crash":
    raise SystemExit("this commit does not run")
case = dict(kernel="v6.1", mode="vhe", verdict=verdict)
print(json.dumps(dict(cases=[case])))
"""


def commit(root: Path, verdict: str, n: int) -> str:
    """A commit of a project whose model says this."""
    (root / "harness").mkdir(exist_ok=True)
    (root / "harness" / "__init__.py").touch()
    (root / "harness" / "__main__.py").write_text(SAYS.format(verdict=verdict) + f"# {n}\n")
    git(root, "add", "-A")
    git(root, "-c", "user.name=x", "-c", "user.email=x@example.invalid", "commit", "-qm", f"c{n}")
    return git(root, "rev-parse", "HEAD").strip()


def project(tmp_path: Path, *verdicts: str) -> tuple[Path, list[str]]:
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "-q")
    return root, [commit(root, verdict, n) for n, verdict in enumerate(verdicts)]


QUESTION = Question(Path("x.trace"), "v6.1", "vhe")


def test_the_first_commit_that_says_something_else(tmp_path: Path) -> None:
    root, commits = project(tmp_path, *["holds"] * 5, *["violates lost"] * 4)
    found = bisect(root, commits[0], commits[-1], QUESTION)
    assert found.first == commits[5]
    assert (found.good, found.bad, found.skipped) == (commits[0], commits[-1], 0)


def test_a_commit_that_cannot_judge_is_skipped(tmp_path: Path) -> None:
    root, commits = project(tmp_path, "holds", "holds", "violates lost", "crash", "violates lost")
    found = bisect(root, commits[0], commits[-1], QUESTION)
    assert found.first == commits[2]


def test_it_says_so_where_only_those_are_left(tmp_path: Path) -> None:
    """It never guesses."""
    root, commits = project(tmp_path, "holds", "crash", "not judged: x", "violates lost")
    found = bisect(root, commits[0], commits[-1], QUESTION)
    assert found.first is None
    assert set(found.candidates) == set(commits[1:])


def test_both_ends_are_asked_first(tmp_path: Path) -> None:
    root, commits = project(tmp_path, "holds", "violates lost", "holds", "crash")
    with pytest.raises(HarnessError, match="say the same: holds"):
        bisect(root, commits[0], commits[2], QUESTION)
    with pytest.raises(HarnessError, match="cannot judge"):
        bisect(root, commits[0], commits[3], QUESTION)
    with pytest.raises(HarnessError, match="rev-parse"):
        bisect(root, "nonsense", commits[3], QUESTION)


def test_the_checkout_is_not_touched(tmp_path: Path) -> None:
    """Nor is anything of the bisection left behind."""
    root, commits = project(tmp_path, "holds", "holds", "violates lost")
    (root / "mine.txt").write_text("not committed")
    bisect(root, commits[0], commits[-1], QUESTION)
    assert git(root, "rev-parse", "HEAD").strip() == commits[-1]
    assert git(root, "status", "--short").strip() == "?? mine.txt"
    assert len(git(root, "worktree", "list").splitlines()) == 1


def test_only_in_a_clone_of_this_project(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="not a git repository"):
        root_of(tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    with pytest.raises(HarnessError, match="not a clone of kvm-replay"):
        root_of(tmp_path)
