"""Bisecting the project's own history."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.search.repository import PREFIX, Question, bisect, git, prune, root_of

SAYS = """\
import json
verdict = {verdict!r}
if verdict == "crash":
    raise SystemExit("this commit does not run")
case = dict(kernel="v6.1", mode="vhe", verdict=verdict)
if verdict == "not judged":
    del case["verdict"]  # as `run --json` has it
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
    for odd in ("crash", "not judged"):
        here = tmp_path / odd
        here.mkdir()
        root, commits = project(here, "holds", "holds", "violates lost", odd, "violates lost")
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


BISECT = """
import sys
from pathlib import Path
from harness.processes import Terminated, heeding_sigterm
from harness.search.repository import Question, bisect
try:
    with heeding_sigterm():
        bisect(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Question(Path("x"), "v6.1", "vhe"))
except Terminated:
    sys.exit(143)
"""


def work_trees(root: Path) -> int:
    return len(git(root, "worktree", "list").splitlines()) - 1


def stopped(tmp_path: Path, number: int) -> tuple[Path, list[str], int]:
    """A bisection that got a signal while it asked a commit, which never answers."""
    root, commits = project(tmp_path, "holds", "holds", "violates lost")
    (root / "harness" / "__main__.py").write_text("import time; time.sleep(60)")
    git(root, "-c", "user.name=x", "-c", "user.email=x@example.invalid", "commit", "-qam", "slow")
    args = [sys.executable, "-c", BISECT, str(root), commits[0], "HEAD"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(args, env=environment, start_new_session=True)
    deadline = time.monotonic() + 20
    while not any(tmp_path.glob(f"{PREFIX}*/tree/harness/__main__.py")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert work_trees(root) == 1
    assert prune(root) == []  # somebody is at work in it
    (os.kill if number == signal.SIGTERM else os.killpg)(process.pid, number)
    return root, commits, process.wait(timeout=20)


def test_sigterm_leaves_no_work_tree(tmp_path: Path) -> None:
    root, _, status = stopped(tmp_path, signal.SIGTERM)
    assert status == 143
    assert work_trees(root) == 0
    assert list(tmp_path.iterdir()) == [root]


def test_the_next_one_clears_up(tmp_path: Path) -> None:
    """What a killed bisection left behind, and nothing else."""
    root, commits, _ = stopped(tmp_path, signal.SIGKILL)
    git(root, "worktree", "add", "--quiet", "--detach", str(tmp_path / "mine" / "tree"), commits[0])
    assert work_trees(root) == 2
    assert bisect(root, commits[0], commits[2], QUESTION).first == commits[2]
    assert work_trees(root) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "project"]


def test_a_work_tree_whose_folder_is_gone(tmp_path: Path) -> None:
    root, _, _ = stopped(tmp_path, signal.SIGKILL)
    for folder in tmp_path.glob(f"{PREFIX}*"):
        shutil.rmtree(folder)
    assert work_trees(root) == 1
    prune(root)
    assert work_trees(root) == 0


def test_only_in_a_clone_of_this_project(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="not a git repository"):
        root_of(tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    with pytest.raises(HarnessError, match="not a clone of kvm-replay"):
        root_of(tmp_path)
