"""Make the list that the catalogues are compared with, from a clone of the kernel.

    python tests/model/make_commits.py CLONE

It goes to tests/model/data/commits.tsv. For each commit of the catalogues: the first release that
has it, what its `Fixes:` tags name, the Message-ID that its `Link:` tag names, its title, and where
that was seen. The clone is only read. It needs its tags and its whole history (`git fetch
--unshallow --tags`); a clone with the stable branches knows more commits. What it does not have
keeps the line that the list has now, and a new commit gets one of which nothing is known; so does
every new commit without a clone.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from harness.model import ARCHITECTURES, architecture

HERE = Path(__file__).parent
LIST = HERE / "data" / "commits.tsv"
UNSEEN = "?"  # nobody has looked
NONE = "-"  # there is none
GIT = "git"  # `seen` of what a clone said

HEAD = """\
# The commits of the catalogues, as upstream has them. tests/model/make_commits.py makes this
# file from a clone of the kernel. Columns: id, first release, Fixes, Message-ID of the Link,
# title, seen. `-`: there is none. `?`: not verified. `seen` is `git` for what a clone said. Else
# it is where the line was read: mail, a Message-ID; push, a mail in which kernel.org lists what
# was pushed; suse, a patch of openSUSE's kernel-source, with its Git-commit; page, a site that
# shows commits; cited, the message of another commit; note, a public copy of `git log`.
"""


class Line(NamedTuple):
    """What is known of one commit."""

    id: str
    release: str
    fixes: str
    link: str
    title: str
    seen: str

    @property
    def repaired(self) -> tuple[str, ...] | None:
        """The commits that its tags name; None if nobody has read its message."""
        if self.fixes == UNSEEN:
            return None
        return () if self.fixes == NONE else tuple(self.fixes.split(","))


def read(text: str) -> dict[str, Line]:
    """The list, by id. Raises ValueError for a line that is none, or an id that is twice."""
    found: dict[str, Line] = {}
    for number, text_line in enumerate(text.splitlines(), 1):
        if text_line.startswith("#"):
            continue
        columns = text_line.split("\t")
        if len(columns) != len(Line._fields):
            raise ValueError(f"line {number}: {len(columns)} columns, expected {len(Line._fields)}")
        line = Line(*columns)
        if line.id in found:
            raise ValueError(f"line {number}: {line.id} is there twice")
        found[line.id] = line
    return found


def write(lines: Iterable[Line]) -> str:
    """The list as text."""
    return HEAD + "".join("\t".join(line) + "\n" for line in lines)


def catalogued() -> list[str]:
    """The commits of all catalogues, each once, in the order of their rows."""
    fixes = (fix for arch in ARCHITECTURES for fix in architecture(arch).catalogue.fixes.values())
    return list(dict.fromkeys(commit.id for fix in fixes for commit in fix.commits))


def git(clone: Path, *args: str, text: str = "") -> str:
    """What git says of a clone; it writes nothing there."""
    return subprocess.run(
        ("git", "--no-optional-locks", "-C", clone, *args),
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
    ).stdout


def lines_of(clone: Path, ids: list[str]) -> Iterator[Line]:
    """A line for each of these commits that the clone has."""
    asked = "".join(f"{i}^{{commit}}\n" for i in ids)
    kinds = git(clone, "cat-file", "--batch-check=%(objecttype)", text=asked).splitlines()
    have = [i for i, kind in zip(ids, kinds, strict=True) if kind == "commit"]
    if not have:
        return
    named = git(clone, "name-rev", "--tags", "--refs=v[0-9]*", *have).splitlines()
    releases = dict(line.split(" ", 1) for line in named)
    log = git(clone, "log", "--no-walk=unsorted", "--format=%s%x00%B%x01", *have)
    for i, entry in zip(have, log.split("\x01\n"), strict=False):
        title, message = entry.split("\x00", 1)
        fixes = re.findall(r"^Fixes:\s*([0-9a-f]{7,12})", message, re.M | re.I)
        links = re.findall(r"^Link:\s*https?://\S+/([^/\s]+@[^/\s]+?)/?\s*$", message, re.M | re.I)
        release = _release(releases[i])
        yield Line(i, release, ",".join(fixes) or NONE, links[-1] if links else NONE, title, GIT)


def _release(name: str) -> str:
    """`tags/v6.9-rc3~5^2` is v6.9's; what stands in a stable branch alone is in no release."""
    found = re.fullmatch(r"(?:tags/)?(v\d+\.\d+)(?:-rc\d+)?(?:[~^].*)?", name)
    return found[1] if found else NONE


def made(clone: Path | None, ids: list[str], old: dict[str, Line]) -> list[Line]:
    """A line for each id: from the clone, else as it was, else with nothing known."""
    new = {line.id: line for line in lines_of(clone, ids)} if clone else {}
    unknown = {i: Line(i, UNSEEN, UNSEEN, UNSEEN, UNSEEN, UNSEEN) for i in ids}
    return [(unknown | old | new)[i] for i in ids]


def main(argv: list[str] | None = None) -> int:
    """Bring the list up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "clone", type=Path, nargs="?", metavar="CLONE", help="a clone of the kernel"
    )
    parser.add_argument("--list", type=Path, default=LIST, help="the list to bring up to date")
    args = parser.parse_args(argv)
    old = read(args.list.read_text(encoding="utf-8")) if args.list.exists() else {}
    lines = made(args.clone, catalogued(), old)
    # The old list has to be whole until the new one is: what no clone knows is in it alone.
    args.list.write_text(write(lines), encoding="utf-8")
    said = sum(line.seen == GIT for line in lines)
    unknown = sum(line.seen == UNSEEN for line in lines)
    print(f"{len(lines)} commits: {said} from a clone, {unknown} of which nothing is known")
    return 0


if __name__ == "__main__":
    sys.exit(main())
