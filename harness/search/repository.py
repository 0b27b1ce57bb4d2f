"""When did this repository's own model change its mind: `git bisect` in a work tree of its own.

Each commit is asked by its own code, in a process of its own, so that nothing of the
present one is mixed in. The user's checkout is not touched.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from harness.errors import HarnessError
from harness.files import folder as temporary

PREFIX = "kvm-replay-bisect-"  # of the folders that work trees are in
LOCK = "lock"
_TIMEOUT = 120  # seconds that one commit may take
_FIRST_BAD = re.compile(r"^([0-9a-f]{40}) is the first bad commit", re.M)
_SKIPPED = "only 'skip'ped commits left to test"


class Question(NamedTuple):
    """What each commit is asked: a trace file, on one kernel, in one mode."""

    trace: Path
    kernel: str
    mode: str


class Answer(NamedTuple):
    """The commits between which the verdict changed, and how often one was asked.

    `first` is the first with the other verdict; where some could not be judged there are
    several `candidates` instead.
    """

    good: str
    bad: str
    first: str | None
    candidates: tuple[str, ...]
    asked: int
    skipped: int


def git(root: Path, *args: str) -> str:
    """What a git command prints. Raises HarnessError with what it complains of."""
    command = ["git", "-C", str(root), *args]
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {"LC_ALL": "C"}
    try:
        ran = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    except FileNotFoundError:
        raise HarnessError("git is not installed") from None
    if ran.returncode:
        said = (ran.stderr or ran.stdout).strip().splitlines()
        raise HarnessError(f"git {args[0]}: {said[-1] if said else ran.returncode}")
    return ran.stdout


def root_of(folder: Path) -> Path:
    """The repository of this project that `folder` is in."""
    root = Path(git(folder, "rev-parse", "--show-toplevel").strip())
    if not (root / "harness" / "__main__.py").is_file():
        raise HarnessError(f"{root}: this is not a clone of kvm-replay")
    return root


@contextmanager
def work_tree(root: Path, commit: str) -> Iterator[Path]:
    """A work tree at `commit`, which is gone afterwards."""
    with temporary(PREFIX) as name:
        folder = Path(name)
        tree = folder / "tree"
        with (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends, however it does
            try:
                git(root, "worktree", "add", "--quiet", "--detach", str(tree), commit)
                yield tree
            finally:
                _remove(root, tree)


def _remove(root: Path, tree: Path) -> None:
    """Take back `git worktree add`, however far it came.

    What git cannot take back now, the next run prunes: an error here would hide why we end.
    """
    shutil.rmtree(tree, ignore_errors=True)
    with suppress(HarnessError):
        if str(tree) in _work_trees(root):
            # Twice: it is locked while it is being added.
            git(root, "worktree", "remove", "--force", "--force", str(tree))
        return
    with suppress(HarnessError):
        git(root, "worktree", "prune")


def _work_trees(root: Path) -> list[str]:
    told = git(root, "worktree", "list", "--porcelain", "-z").split("\0")
    return [line.removeprefix("worktree ") for line in told if line.startswith("worktree ")]


def prune(root: Path) -> list[Path]:
    """Remove the work trees of earlier bisections that were killed; says which.

    It removes only a tree that this user's `work_tree` has made and that no process uses.
    """
    gone = []
    for name in _work_trees(root):
        tree = Path(name)
        folder = tree.parent
        if tree.name == "tree" and folder.name.startswith(PREFIX) and _stale(folder):
            _remove(root, tree)
            shutil.rmtree(folder, ignore_errors=True)
            gone.append(tree)
    return gone


def _stale(folder: Path) -> bool:
    """Whether whoever has made this folder is gone."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return False
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False  # not made by this version
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def ask(tree: Path, question: Question) -> str | None:
    """What the code in `tree` says of the question, None if it cannot judge."""
    command = [sys.executable, "-m", "harness", "run", str(question.trace), "--json"]
    command += ["--kernel", question.kernel]
    env = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ran = subprocess.run(
            command,
            cwd=tree,
            env=env,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        cases = json.loads(ran.stdout)["cases"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return None
    for case in cases:
        if (case["kernel"], case["mode"]) == (question.kernel, question.mode):
            said = case.get("verdict")  # none where it was not judged
            return said if isinstance(said, str) and not said.startswith("not judged") else None
    return None


def bisect(
    root: Path,
    good: str,
    bad: str,
    question: Question,
    progress: Callable[[str, str], None] = lambda commit, says: None,
) -> Answer:
    """The first commit after `good` that says of the question what `bad` says."""
    good, bad = (git(root, "rev-parse", "--verify", f"{c}^{{commit}}").strip() for c in (good, bad))
    asked = skipped = 0
    prune(root)
    with work_tree(root, bad) as tree:

        def says(commit: str) -> str | None:
            nonlocal asked
            asked += 1
            found = ask(tree, question)
            progress(commit, found or "cannot be judged")
            return found

        on_bad = says(bad)
        git(tree, "checkout", "--quiet", "--detach", good)
        on_good = says(good)
        for commit, found in ((good, on_good), (bad, on_bad)):
            if found is None:
                raise HarnessError(f"{commit[:12]} cannot judge {question.trace.name}")
        if on_good == on_bad:
            raise HarnessError(f"{good[:12]} and {bad[:12]} say the same: {on_good}")
        out = git(tree, "bisect", "start", bad, good)
        while True:
            first = _FIRST_BAD.search(out)
            if first or _SKIPPED in out:
                break
            found = says(git(tree, "rev-parse", "HEAD").strip())
            word = "good" if found == on_good else "bad" if found == on_bad else "skip"
            skipped += word == "skip"
            out = _step(tree, word)
        candidates = () if first else tuple(re.findall(r"^[0-9a-f]{40}$", out, re.M))
        git(tree, "bisect", "reset")
    return Answer(good, bad, first[1] if first else None, candidates, asked, skipped)


def _step(tree: Path, word: str) -> str:
    """`git bisect WORD`; it ends with status 2 where only skipped commits are left."""
    command = ["git", "-C", str(tree), "bisect", word]
    env = os.environ | {"LC_ALL": "C"}
    ran = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    said = ran.stdout + ran.stderr
    if ran.returncode and _SKIPPED not in said:
        raise HarnessError(f"git bisect {word}: {said.strip()}")
    return said
