"""Commits that a tree or a log tells of: ids, titles, files, functions.

A tree is read by git with everything off that it could bring along: hooks, replaced objects,
attributes, external diffs (gitattributes(5), git-replace(1)).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import HarnessError
from harness.upstream.changelog import is_changelog, titles

_SAFE = (
    "--no-replace-objects",
    "--no-optional-locks",
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.attributesFile=/dev/null"),
    *("-c", "diff.external="),
    *("-c", "log.showSignature=false"),
)
_HUNK = re.compile(r"^@@ -\d\S* \+\d\S* @@ (?:.*?[ *])?(\w+)\(")
_ID = re.compile(r"\b[0-9a-f]{12,40}\b")
# `commit X upstream`, `[ Upstream commit X ]`, `(cherry picked from commit X)`: whose it is.
_UPSTREAM = re.compile(
    r"commit ([0-9a-f]{12,40}) upstream|Upstream commit ([0-9a-f]{12,40})"
    r"|cherry picked from commit ([0-9a-f]{12,40})",
    re.I,
)
_ITEM = re.compile(r"\s*(?:[-*+] )?(?:([0-9a-f]{7,40}) )?(?:Subject: )?\s*(.*?)\s*")


@dataclass(slots=True)
class Commit:
    """One commit: its upstream id if that is known, its title, and what it changes."""

    id: str | None
    title: str
    files: dict[str, set[str]] = field(default_factory=dict)  # the functions that hunks name


def from_git(tree: Path, revisions: str, paths: Iterable[str]) -> Iterator[Commit]:
    """The commits of a range that touch these paths, oldest first. Raises HarnessError."""
    if revisions.startswith("-"):
        raise HarnessError(f"--git: {revisions!r} is no revision or range")
    only = [f":(glob){path}" for path in paths]
    listed = _git(
        tree, "log", "--reverse", "--no-merges", "--format=%x00%H%x00%s%x00%b%x00", "-p", "-U0",
        "--no-ext-diff", "--no-textconv", "--no-color", revisions, "--", *only,
    )  # fmt: skip
    parts = listed.split("\0")
    for n in range(1, len(parts) - 3, 4):
        sha, title, body, patch = parts[n : n + 4]
        upstream = _UPSTREAM.search(body)
        named = next((found for found in upstream.groups() if found), sha) if upstream else sha
        yield Commit(named[:12], title, _files(patch))


def _files(patch: str) -> dict[str, set[str]]:
    """The files of a patch, and the functions that its hunks are in."""
    found: dict[str, set[str]] = {}
    functions: set[str] = set()
    for line in patch.splitlines():
        if line.startswith("+++ ") or (line.startswith("--- ") and line != "--- /dev/null"):
            path = line[4:].partition("\t")[0]
            if path != "/dev/null":
                functions = found.setdefault(path.partition("/")[2], set())
        elif match := _HUNK.match(line):
            functions.add(match[1])
    return found


def _git(tree: Path, *args: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env |= {"LC_ALL": "C", "GIT_ATTR_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", *_SAFE, "-C", str(tree), *args]
    try:
        ran = subprocess.run(command, capture_output=True, env=env, check=False)
    except FileNotFoundError:
        raise HarnessError("git is not installed") from None
    if ran.returncode:
        said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
        raise HarnessError(f"--git {tree}: {said[-1] if said else ran.returncode}")
    return ran.stdout.decode("utf-8", "replace")


def from_text(text: str) -> Iterator[Commit]:
    """The commits that a ChangeLog, a push list or a changelog names, in its order.

    A line with an id and a title is one (`git log --oneline`); a title alone is one, and so is an
    item of a Debian changelog. Of a whole `git log` the id of a stable tree's commit gives way to
    the upstream id in its message. Raises HarnessError for a changelog that is damaged.
    """
    if is_changelog(text):
        for title in titles(text):
            yield Commit(None, title.text)
        return
    pending: Commit | None = None
    for line in text.splitlines():
        if line.startswith("commit ") and (match := _ID.search(line)):
            if pending is not None and pending.title:
                yield pending
            pending = Commit(match[0][:12], "")
            continue
        if pending is not None:
            text = line.strip()
            if upstream := _UPSTREAM.search(text):
                pending.id = next(found for found in upstream.groups() if found)[:12]
            elif line.startswith("    ") and text and not pending.title:
                pending.title = text
            continue
        item = _ITEM.fullmatch(line)
        if item and item[2]:
            yield Commit(item[1] and item[1][:12], item[2])
    if pending is not None and pending.title:
        yield pending
