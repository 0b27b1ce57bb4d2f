"""Compare a distribution's kernel in the catalogue with the changelog of its package.

    python tests/model/compare_changelog.py CHANGELOG KERNEL [--arch ARCH] [--version V] [--extract]

CHANGELOG is in Debian's format, plain or gzipped; `-` is standard input. KERNEL is the name of an
entry, such as debian-6.1.192; if several architectures have it, --arch says which. What counts is
every title under a stable version of the kernel's series, up to the kernel's own or up to V, and
every item of the packages themselves. If a title was reverted or reapplied, the last line about it
decides. The script prints a line for each row of the catalogue where changelog and entry disagree.
The entry explains a difference by a source that is not a changelog; data/changelog-explained.tsv
gives the reasons for others. The exit status is 0 if every difference is explained, 1 if one is
not, and 2 for bad input. `--extract` prints the lines whose titles the catalogue has, as a
changelog: so the files in data/ were made.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from harness.errors import HarnessError
from harness.model import ARCHITECTURES, architecture
from harness.model.catalogue import Catalogue, Fix, Hybrid
from harness.upstream.changelog import Title, Version, key, titles, version_of

EXPLAINED = Path(__file__).parent / "data" / "changelog-explained.tsv"

_GZIP = b"\x1f\x8b"


class Difference(NamedTuple):
    """A row where changelog and entry disagree, and why, if that is known."""

    kind: str
    row: str
    detail: str
    reason: str | None


def spelled(version: Version) -> str:
    return ".".join(map(str, version))


class Log:
    """Which titles a changelog has, up to a version of one series."""

    def __init__(self, items: Iterable[Title], series: Version, last: Version) -> None:
        in_series = [t for t in items if t.version[:2] == series]
        newest = max((t.version for t in in_series), default=())
        if newest < last:
            found = f"ends at {spelled(newest)}" if newest else "has nothing of that series"
            raise HarnessError(f"the changelog {found}, and {spelled(last)} is wanted")
        # Packages stand newest first, the titles of each oldest first.
        in_series.sort(key=lambda t: (t.version, -t.package))
        self.versions: dict[str, Version | None] = {}  # None: reverted
        for title in in_series:
            if title.version > last:
                continue
            verb, _, plain = key(title.text).rpartition(" ")
            if verb:
                self.versions[f"{verb} {plain}"] = title.version
                self.versions[plain] = title.version if verb == "reapply" else None
            elif self.versions.get(plain) is None:
                self.versions[plain] = title.version

    def has(self, title: str) -> Version | None:
        """The version that a commit of this title came with, if it is still in."""
        return self.versions.get(key(title))

    def reverted(self, title: str) -> bool:
        return self.versions.get(key(title), ()) is None


def found(fix: Fix, log: Log) -> tuple[list[Version], int]:
    """The versions that its commits came with, and how many there are; stable's have one title."""
    names = {key(c.title): c.title for c in fix.commits}
    versions = [v for title in names.values() if (v := log.has(title))]
    return sorted(versions), len(names)


def differences(
    catalogue: Catalogue, hybrid: Hybrid, log: Log, explained: dict[str, str]
) -> Iterator[Difference]:
    """Every row where the changelog and the entry disagree, in the catalogue's order."""
    sources = {b.fix: b.source for b in hybrid.backports}
    base = catalogue.landed_by(hybrid.base)
    used = set()
    for fix in catalogue.fixes.values():
        for kind, detail, reason in _compared(fix, sources.get(fix.id), fix.id in base, log):
            if reason is None and fix.id in explained:
                used.add(fix.id)
                reason = explained[fix.id]
            yield Difference(kind, fix.id, detail, reason)
    for row in sorted(explained.keys() - used):
        yield Difference("explained without need", row, explained[row], None)


def _compared(
    fix: Fix, source: str | None, in_base: bool, log: Log
) -> Iterator[tuple[str, str, str | None]]:
    if in_base:
        for commit in fix.commits:
            if log.reverted(commit.title):
                yield "reverted in the changelog, in the entry", commit.title, None
        return
    versions, most = found(fix, log)
    last = spelled(versions[-1]) if versions else ""
    other = source if source and not source.startswith("changelog ") else None
    if versions and len(versions) < most:
        kind = f"partly in the changelog, {'' if source else 'not '}in the entry"
        yield kind, f"{last}, {len(versions)} of {most} commits", other
    elif versions and source is None:
        yield "in the changelog, not in the entry", f"{last} {fix.commits[-1].title}", None
    elif source and not versions:
        yield "in the entry, not in the changelog", source, other
    if source and versions and other is None and source != f"changelog {last}":
        yield "in another version of the changelog", f"{last}, the entry says: {source}", None


def reasons(text: str, kernel: str, catalogue: Catalogue) -> dict[str, str]:
    """The explained rows of one architecture's kernel. Raises HarnessError."""
    rows = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != 3:
            raise HarnessError(f"line {number}: {len(columns)} columns, expected 3")
        if columns[0] == kernel and columns[1] in catalogue.fixes:
            rows[columns[1]] = columns[2]
    return rows


def entry(name: str, arch: str = "") -> tuple[Catalogue, Hybrid]:
    """The distribution's kernel of this name. Raises HarnessError."""
    every = {a: architecture(a).catalogue for a in ([arch] if arch else ARCHITECTURES)}
    found = [a for a, catalogue in every.items() if name in catalogue.hybrids]
    if not found:
        names = dict.fromkeys(n for catalogue in every.values() for n in catalogue.hybrids)
        raise HarnessError(f"{name!r} is not an entry: {', '.join(names)}")
    if len(found) > 1:
        raise HarnessError(f"{name} is an entry of {' and of '.join(found)}: add --arch {found[0]}")
    return every[found[0]], every[found[0]].hybrids[name]


def extract(text: str, catalogue: Catalogue, series: Version) -> str:
    """A changelog of the titles that the catalogue has, which reads as the whole one does."""
    wanted = {key(c.title) for fix in catalogue.fixes.values() for c in fix.commits}
    folder = f"https://www.kernel.org/pub/linux/kernel/v{series[0]}.x"
    lines: list[str] = []
    in_series = [t for t in titles(text) if t.version[:2] == series]
    newest = max((t.version for t in in_series), default=series)
    for version, _, title in sorted(in_series, key=lambda t: (t.version, -t.package)):
        word = key(title)
        if {word, word.rpartition(" ")[2]} & wanted:
            heading = f"    {folder}/ChangeLog-{spelled(version)}"
            if heading not in lines:
                lines.append(heading)
            lines.append(f"    - {title}")
    lines += [f"    {folder}/ChangeLog-{spelled(newest)}", f"    - Linux {spelled(newest)}"]
    head = f"linux ({spelled(newest)}-1) extract; urgency=low\n\n  * New upstream stable update:\n"
    return head + "".join(f"{line}\n" for line in lines)


def text_of(name: str) -> str:
    """A changelog's text. Raises OSError and HarnessError."""
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        return (gzip.decompress(data) if data.startswith(_GZIP) else data).decode()
    except (EOFError, zlib.error, UnicodeDecodeError) as error:
        raise HarnessError(f"{name}: {error}") from None


def run(args: argparse.Namespace) -> int:
    """Print what differs. Raises OSError and HarnessError."""
    catalogue, hybrid = entry(args.kernel, args.arch)
    series = version_of(hybrid.base.removeprefix("v"))
    last = version_of(args.version or hybrid.name.rpartition("-")[2])
    if last[:2] != series:
        raise HarnessError(f"{hybrid.name} is of {spelled(series)}, and {spelled(last)} is not")
    text = text_of(args.changelog)
    if args.extract:
        print(extract(text, catalogue, series), end="")
        return 0
    explained = reasons(EXPLAINED.read_text(encoding="utf-8"), hybrid.name, catalogue)
    log = Log(titles(text), series, last)
    open_ = 0
    for kind, row, detail, reason in differences(catalogue, hybrid, log, explained):
        open_ += reason is None
        why = "" if reason in (None, detail) else f" ({reason})"
        mark = "NOT EXPLAINED" if reason is None else "explained"
        print(f"{mark}: {row}: {kind}: {detail}{why}")
    count = sum(1 for f in catalogue.fixes.values() if found(f, log)[0])
    print(
        f"{hybrid.name}: {len(hybrid.backports)} rows in the entry, {count} in the changelog up to "
        f"{spelled(last)}, {open_} unexplained difference{'s' * (open_ != 1)}"
    )
    return 1 if open_ else 0


def main(argv: list[str] | None = None) -> int:
    """Compare; 0, 1 or 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("changelog", metavar="CHANGELOG", help="plain or gzipped; - for stdin")
    parser.add_argument("kernel", metavar="KERNEL", help="an entry, such as debian-6.1.192")
    parser.add_argument("--arch", choices=ARCHITECTURES, default="", help="whose entry KERNEL is")
    parser.add_argument("--version", metavar="V", help="the last version (default: KERNEL's)")
    parser.add_argument("--extract", action="store_true", help="print the catalogue's titles only")
    args = parser.parse_args(argv)
    try:
        return run(args)
    except (OSError, HarnessError) as error:
        print(f"compare_changelog: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
