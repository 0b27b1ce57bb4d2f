"""Commits that a tree or a log tells of: ids, titles, files, functions.

A tree is read by git with everything off that it, or its user's configuration, could bring along:
hooks, replaced objects, attributes, external diffs, forms of a diff (gitattributes(5),
git-replace(1), diff.noprefix).
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from email.parser import HeaderParser
from pathlib import Path

from harness.errors import HarnessError
from harness.upstream.changelog import is_changelog, titles, version_of

_SAFE = (
    "--no-replace-objects",
    "--no-optional-locks",
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.attributesFile=/dev/null"),
    *("-c", "core.quotePath=false"),
    *("-c", "diff.external="),
    *("-c", "log.showSignature=false"),
)
_HUNK = re.compile(r"^@@ -\d\S* \+\d\S* @@ (?:.*?[ *])?(\w+)\(")
_SHA = r"[0-9a-f]{7,40}"
# A line that says whose commit it is: the whole line, since a message may speak of others.
_UPSTREAM = re.compile(
    r"\s*(?:commit ([0-9a-f]{12,40}) upstream\.?|\[ Upstream commit ([0-9a-f]{12,40}) \]"
    r"|\(cherry picked from commit ([0-9a-f]{12,40})\))\s*",
    re.I,
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OF_A_LOG = re.compile(rf"commit ({_SHA})(?: \(.*\))?")
_OF_A_MBOX = re.compile(r"From ([0-9a-f]{40}) .*")
_PATCH = re.compile(r"^(?:\[[^\]]*\] ?)+")
# `id (title, date)` is git's --pretty=reference; a group before a title names branches and tags.
_REFERENCE = re.compile(rf"\s*({_SHA}) \((.*), \d{{4}}-\d\d-\d\d\)\s*")
_ITEM = re.compile(
    rf"\s*(?:[-*+] )?(?:({_SHA})[ \t,|:]\s*(?:\([^()]*\) )?)?(?:Subject: )?\s*(.*?)\s*"
)


@dataclass(slots=True)
class Commit:
    """One commit: its upstream id (of 7 to 12 digits) if that is known, its title, its files."""

    id: str | None
    title: str
    files: dict[str, set[str]] = field(default_factory=dict)  # the functions that hunks name


def from_git(tree: Path, revisions: str, paths: Iterable[str]) -> Iterator[Commit]:
    """The commits of a range that touch these paths, oldest first. Raises HarnessError.

    Merges are left out: what they merge is looked at.
    """
    if revisions.startswith("-"):
        raise HarnessError(f"--git: {revisions!r} is no revision or range")
    only = [f":(top,glob){path}" for path in paths]
    mark = f"commit {secrets.token_hex(16)}"  # which nothing in a patch can be
    listed = _git(
        tree, "log", "--reverse", "--no-merges", f"--format={mark}%n%H%n%s%n%B", "-p", "-U0",
        "--no-ext-diff", "--no-textconv", "--no-color", "--encoding=UTF-8", "--no-renames",
        "--src-prefix=a/", "--dst-prefix=b/", "-O/dev/null", revisions, "--", *only,
    )  # fmt: skip
    for told in listed.split(f"{mark}\n")[1:]:
        sha, title, rest = told.split("\n", 2)
        body, _, patch = rest.partition("\ndiff --git ")
        yield Commit(_whose(sha, title, body.splitlines()), title, _files(patch))


def _whose(sha: str, title: str, body: Iterable[str]) -> str:
    """The upstream id of a commit, by its message; a revert is nobody else's."""
    if not title.startswith("Revert "):
        for line in body:
            if upstream := _UPSTREAM.fullmatch(line):
                return next(found for found in upstream.groups() if found)[:12]
    return sha[:12]


def _files(patch: str) -> dict[str, set[str]]:
    """The files of a patch, and the functions that its hunks are in."""
    found: dict[str, set[str]] = {}
    functions: set[str] = set()
    for line in patch.splitlines():
        if line.startswith(("+++ b/", "--- a/")):
            functions = found.setdefault(line[6:].partition("\t")[0], set())
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


def from_text(text: str, since: str | None = None) -> Iterator[Commit]:
    """The commits that a ChangeLog, a push list, an mbox or a changelog names, in its order.

    A line with an id and a title is one (`git log --oneline`); a title alone is one, and so is an
    item of a Debian changelog, from after version `since` if that is given. Of a whole `git log`
    the id of a stable tree's commit gives way to the upstream id in its message. Raises
    HarnessError for a changelog that is damaged.
    """
    text = _COLOUR.sub("", text.removeprefix("\ufeff"))
    if is_changelog(text):
        after = version_of(since) if since else ()
        yield from (Commit(None, title.text) for title in titles(text) if title.version > after)
        return
    if since:
        raise HarnessError("--since: this is not a Debian changelog, which has versions")
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    if _OF_A_MBOX.fullmatch(first):
        yield from (_mail(mail) for mail in _parts(lines, _OF_A_MBOX))
    elif _OF_A_LOG.fullmatch(first):
        yield from (_logged(part) for part in _parts(lines, _OF_A_LOG))
    else:
        for line in lines:
            item = _REFERENCE.fullmatch(line) or _ITEM.fullmatch(line)
            if item and item[2]:
                yield Commit(item[1] and item[1][:12], item[2])


def _parts(lines: Iterable[str], head: re.Pattern[str]) -> Iterator[tuple[str, list[str]]]:
    """The id in each line that is a `head`, and the lines up to the next."""
    part: tuple[str, list[str]] | None = None
    for line in lines:
        if match := head.fullmatch(line):
            if part is not None:
                yield part
            part = (match[1], [])
        elif part is not None:
            part[1].append(line)
    if part is not None:
        yield part


def _logged(part: tuple[str, list[str]]) -> Commit:
    sha, lines = part
    message = [line[4:] for line in lines if line.startswith("    ")]
    title = next((line.strip() for line in message if line.strip()), "")
    return Commit(_whose(sha, title, message), title)


def _mail(part: tuple[str, list[str]]) -> Commit:
    sha, lines = part
    mail = HeaderParser().parsestr("\n".join(lines))
    subject = " ".join(str(make_header(decode_header(mail["Subject"] or ""))).split())
    title = _PATCH.sub("", subject)
    return Commit(_whose(sha, title, lines), title)
