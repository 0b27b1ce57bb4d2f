"""How others name kernels and commits, and what is meant by it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

COMMIT = re.compile(r"[0-9a-f]{7,40}")
COMMIT_LIKE = re.compile(r"[0-9a-fA-F]{7,}")
# How others name kernels: v6.6.110, 6.6.110-generic, v6.13-rc5, linux-6.6.y.
_OTHERS = re.compile(
    r"(?:v|linux-)?(\d{1,3})\.(\d{1,3})(?:(\.\d+|\.y)?(-[^+]*)?|-?(rc\d+)(?![^+-]).*)"
)


def _patch(hybrid: str) -> int:
    """The last number of a name such as debian-6.1.192."""
    last = hybrid.rpartition(".")[2]
    return int(last) if last.isdigit() else 0


def commit_mistake(word: str) -> str:
    """Why a word cannot name a commit, '' if it can."""
    if not re.fullmatch(r"[0-9a-fA-F]+", word):
        return "it is not made of hex digits"
    if len(word) > 40:
        return f"it has {len(word)} hex digits, and a commit has 40"
    if len(word) < 7:
        return f"it has {len(word)} hex digits, and 7 are the least that name a commit"
    return "" if word == word.lower() else f"write it in lower case: {word.lower()}"


def known_elsewhere(spec: str, releases: Sequence[str], hybrids: Mapping[str, str]) -> str:
    """What to say of a name that others have for a kernel, '' if it is none.

    `hybrids` are the distributions' kernels that there are, and the release of each.
    """
    match = _OTHERS.fullmatch(spec.partition("+")[0])
    if match is None:
        return ""
    major, minor, patch, build, candidate = match.groups()
    base, word = f"v{int(major)}.{int(minor)}", spec.partition("+")[0][:40]
    if base not in releases:
        first, last = releases[0], releases[-1]
        asked = int(major), int(minor)
        old = asked < tuple(map(int, first[1:].split(".")))
        new = asked > tuple(map(int, last[1:].split(".")))
        where = f"older than {first}, the first" if old else f"newer than {last}, the last"
        if old or new:
            near = first if old else last
            return (
                f"unknown kernel {word!r} (did you mean {near!r}?): it is {where} that is modelled"
            )
        return ""
    number = int(patch[1:]) if patch and patch[1:].isdigit() else None
    near = next(
        (
            name
            for name, release in hybrids.items()
            # One that is much newer has fixes that this cannot have.
            if release == base and (number is None or number >= _patch(name))
        ),
        base,
    )
    if candidate or re.fullmatch(r"-rc\d+(-.*)?", build or ""):
        what, near = "a release candidate", base
    elif not patch:
        return ""
    elif patch == ".y":
        what = "a stable branch"
    else:
        what = "a distribution's build" if build else "a stable release"
    return (
        f"unknown kernel {word!r} (did you mean {near!r}?): it is {what}. Start from {near}, "
        f"and add or remove fixes: `{near}+FIX-FIX`; `kvm-replay identify VMLINUX` finds the "
        "fixes of a build"
    )
