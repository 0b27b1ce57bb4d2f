"""Titles of commits as changelogs have them, and how they compare with upstream's.

A distribution puts a tag before a title, a note behind it, and may take the subsystem away:
`[arm64] fpsimd: Fix it (CVE-2026-1)` is `arm64/fpsimd: Fix it`. Debian's deb-changelog(5) also
wraps them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from harness.errors import HarnessError

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+ \((\S+)\) .*;")
_STABLE = re.compile(r"\s+https?://\S*/ChangeLog-(\d[\d.]*)\s*")
_ITEM = re.compile(r"(\s+)([*+-]) (.*)")
# What a distribution puts around a title.
_TAGS = re.compile(r"^(?:\[[^\]]*\]\s*|(?:UPSTREAM|BACKPORT|FROMGIT|FROMLIST):\s*)+")
_NOTES = re.compile(r"(?:\s*\((?:CVE-|Closes:|regression |see )[^()]*\))+$")
_AREA = re.compile(r"^(?:KVM:\s*|(?:arm/)?arm64[:/]\s*|risc-?v[:/]\s*)+", re.I)
_UNDONE = re.compile(r'^(Revert|Reapply) "(.*)"$')
# A tag that says what kind of mail it is, or whose patch: no part of the kernel.
_MAIL = re.compile(r"(?:rfc|patch|resend|backport|upstream|stable)\b")
_PREFIX = re.compile(r"([\w][\w/+&, -]*): ")

Version = tuple[int, ...]


class Title(NamedTuple):
    """One item of a changelog: the version it came with, its package from the newest, its text."""

    version: Version
    package: int
    text: str


def version_of(text: str) -> Version:
    """6.1.192-3 and 6.1.192~rc1-1 are 6.1.192. Raises HarnessError."""
    found = re.match(r"\d+(?:\.\d+)+", text)
    if found is None:
        raise HarnessError(f"{text!r} is not a version (expected, e.g., 6.1.192)")
    return tuple(map(int, found[0].split(".")))


def is_changelog(text: str) -> bool:
    """Whether the first line that is not empty begins a package of a Debian changelog."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return _PACKAGE.match(first) is not None


def titles(text: str) -> Iterator[Title]:
    """The items of a changelog, as they stand there, each on one line. Raises HarnessError."""
    packages = 0
    package: Version | None = None
    stable: Version | None = None  # the one whose titles follow
    version: Version = ()
    item: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        head, update, bullet = _PACKAGE.match(line), _STABLE.fullmatch(line), _ITEM.match(line)
        if not (head or update or bullet) and line.startswith("   ") and item:
            item.append(line.strip())
            continue
        if item:
            yield Title(version, packages, " ".join(item))
            item = []
        if head:
            packages, package, stable = packages + 1, version_of(head[1]), None
        elif update:
            stable = version_of(update[1])
        elif bullet:
            if package is None:
                raise HarnessError(f"line {number}: an item before the first package")
            if bullet[2] == "*":
                stable = None
            version, item = stable or package, [bullet[3].strip()]
    if item:
        yield Title(version, packages, " ".join(item))
    if package is None:
        raise HarnessError("no package in it: this is not a Debian changelog")


def bare(title: str) -> str:
    """A title without what a distribution puts around it."""
    return _NOTES.sub("", _TAGS.sub("", title.strip()))


def key(title: str) -> str:
    """What is left of a title by which a distribution's and upstream's can be compared."""
    text = bare(title)
    undone = _UNDONE.match(_AREA.sub("", text))
    if undone:
        inner = key(undone[2])
        if undone[1] == "Revert" and inner.startswith("revert "):
            return f"reapply {inner.removeprefix('revert ')}"
        return f"{undone[1].lower()} {inner}"
    return re.sub(r"\s+", "", _AREA.sub("", text)).lower()


def subsystems(title: str) -> frozenset[str]:
    """The words that say what a title is about: its tags, and what stands before its colons."""
    words: set[str] = set()
    text = title.strip()
    if tags := _TAGS.match(text):
        for tag in re.findall(r"\[([^\]]*)\]", tags[0].lower()):
            words |= set(re.split(r"[, ]+", tag)) if not _MAIL.match(tag) else set()
        text = text[tags.end() :]
    if undone := _UNDONE.match(text):
        return frozenset(words) | subsystems(undone[2])
    while prefix := _PREFIX.match(text):
        words |= set(re.split(r"[/+&, ]+", prefix[1].lower()))
        text = text[prefix.end() :]
    return frozenset(words)
