"""Where this machine gets Debian's packages from: its own apt sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_SUITE = re.compile(
    r"(bullseye|bookworm|trixie|forky|sid|(old)*stable|testing|unstable)"
    r"(-(updates|backports|proposed-updates|security)|/updates)?/?"
)
_ONE_LINE = re.compile(r"deb\s+(\[[^]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")
_MOST = 1 << 20  # bytes of a file


class Mirrors(NamedTuple):
    """The archive, and the one of security updates; '' for one that this machine does not name."""

    main: str = ""
    security: str = ""


class Source(NamedTuple):
    """One place of one suite."""

    uri: str
    suite: str
    components: tuple[str, ...]


def mirrors(folder: Path = Path("/etc/apt")) -> Mirrors:
    """The mirrors of Debian that this machine uses."""
    found: dict[str, str] = {}
    for source in _of_machine(folder):
        # Other archives call their suites after Debian's as well.
        name = source.uri.rstrip("/").rpartition("/")[2].removesuffix(".list")
        kind = {"debian": "main", "debian-security": "security"}.get(name)
        if kind and "main" in source.components and _SUITE.fullmatch(source.suite):
            found.setdefault(kind, source.uri.rstrip("/"))
    return Mirrors(**found)


def one_line(text: str) -> Iterator[Source]:
    """The sources of a file in the one-line style of sources.list(5)."""
    for line in text.splitlines():
        if found := _ONE_LINE.fullmatch(line.partition("#")[0].strip()):
            yield Source(found["uri"], found["suite"], tuple(found["components"].split()))


def deb822(text: str) -> Iterator[Source]:
    """The sources of a file in the deb822 style of sources.list(5)."""
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, list[str]] = {}
        words: list[str] = []
        for line in stanza.splitlines():
            if line[:1] in (" ", "\t"):
                words += line.split()
            else:
                name, _, value = line.partition(":")
                words = fields.setdefault(name.strip().lower(), [])
                words += value.split()
        if "deb" not in fields.get("types", ()) or fields.get("enabled") in (["no"], ["false"]):
            continue
        for uri in fields.get("uris", ()):
            for suite in fields.get("suites", ()):
                yield Source(uri, suite, tuple(fields.get("components", ())))


def _of_machine(folder: Path) -> Iterator[Source]:
    parts = folder / "sources.list.d"
    try:
        files = [folder / "sources.list", *sorted(parts.iterdir() if parts.is_dir() else ())]
    except OSError:
        files = []
    for path in files:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read(_MOST)
        except OSError:  # there need be none
            continue
        if path.suffix == ".list":
            yield from one_line(text)
        elif path.suffix == ".sources":
            yield from deb822(text)
