"""`kvm-replay upstream`: which commits to the mirrored kernel files nobody has looked at."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import harness.model
from harness.cli.archs import add_option, chosen
from harness.cli.term import Terminal, many
from harness.errors import HarnessError
from harness.model import architecture
from harness.upstream import Commit, Mirror, from_git, from_text, looked_at, mirrors

_MOST = 64 << 20  # bytes of a log


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "upstream",
        help="list the kernel's commits that nobody has looked at",
        description="Go through commits to the kernel files that the model mirrors. Each is in the "
        "catalogue, or in the list of those that were looked at and left out, or it is printed, "
        "with the model's functions that mirror what it changes. With --git the files decide; of "
        "a log (git log, ChangeLog, a Debian changelog, a push list) the titles' subsystems do. "
        "Exit status: 0 if all were looked at, 1 if not, 4 if there was none.",
    )
    parser.add_argument("log", nargs="?", metavar="LOG", help="a file, - for standard input")
    parser.add_argument(
        "--git", nargs=2, metavar=("TREE", "RANGE"), help="a kernel tree, and v7.2..v7.3"
    )
    parser.add_argument("--files", action="store_true", help="print the files that are mirrored")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_option(parser)
    parser.set_defaults(command=run)


class Met(NamedTuple):
    """A commit that concerns an architecture, and what is known of it."""

    arch: str
    commit: Commit
    row: str | None  # the catalogue's
    reason: str | None  # why it was left out
    functions: tuple[str, ...]  # of the model, which mirror what it changes


def run(args: argparse.Namespace, out: Terminal) -> int:
    mirrored = {name: mirrors(name) for name in chosen(args)}
    if args.files:
        for name, files in mirrored.items():
            for path, mirror in files.items():
                out.line(f"{name:<6} {path:<52} {', '.join(mirror.modules)}")
        return 0
    if (args.log is None) == (args.git is None):
        raise HarnessError("upstream: expected a LOG (- for standard input), or --git TREE RANGE")
    met = [each for name, files in mirrored.items() for each in _met(args, name, files)]
    unlooked = [each for each in met if each.row is None and each.reason is None]
    if args.json:
        tree = {"schema": "kvm-replay/upstream/1", "commits": [_plain(each) for each in met]}
        out.line(json.dumps(tree, indent=1))
    else:
        for each in unlooked:
            out.line(f"{each.arch:<6} {each.commit.id or '-':<12} {each.commit.title}")
            for path, names in sorted(each.commit.files.items()):
                shared = sorted(names & set(each.functions))
                out.line(f"       {path}" + (f": {', '.join(shared)}" if shared else ""))
        rows = sum(each.row is not None for each in met)
        left = sum(each.reason is not None for each in met)
        out.line(
            f"{many(len(met), 'commit')}: {rows} in the catalogue, {left} looked at and left out, "
            f"{len(unlooked)} not looked at"
        )
    return 4 if not met else 1 if unlooked else 0


def _met(args: argparse.Namespace, name: str, files: dict[str, Mirror]) -> Iterator[Met]:
    catalogue = architecture(name).catalogue
    titles = {c.title: fix.id for fix in catalogue.fixes.values() for c in fix.commits}
    looked = looked_at(Path(harness.model.__file__).parent / name)
    ids = {each.id: each for each in looked if each.id}
    by_title = {each.title: each for each in looked}
    if args.git is not None:
        commits: Iterable[Commit] = from_git(Path(args.git[0]), args.git[1], files)
    else:
        commits = (c for c in from_text(_lines(args.log)) if _area(name, c.title))
    for commit in commits:
        mirrors_of = [m for path in commit.files for m in files.values() if m.matches(path)]
        touched = {function for names in commit.files.values() for function in names}
        functions = {f for mirror in mirrors_of for f in mirror.functions} & touched
        everywhere = all(not path.startswith("arch/") for path in commit.files)
        if commit.files and everywhere and not functions:
            continue  # a file of all architectures, in a place that is not mirrored
        row = next(iter(catalogue.cited([commit.id])), None) if commit.id else None
        row = row or titles.get(commit.title)
        known = ids.get(commit.id or "") or by_title.get(commit.title)
        yield Met(name, commit, row, known.reason if known else None, tuple(sorted(functions)))


_AREAS = {
    "arm64": ("kvm: arm64", "arm64/fp", "arm64/sve", "arm64/sme", "arm64: fp", "arm64: sve",
              "arm64: sme", "arm64: ptrace", "arm64: signal", "arm64: kvm", "arm64/ptrace",
              "arm64/signal", "kvm: arm/arm64", "arm64: entry"),
    "riscv": ("risc-v: kvm", "kvm: risc-v", "riscv: kvm", "riscv: vector", "riscv: ptrace",
              "riscv: signal", "riscv: process", "riscv: pointer", "riscv: fpu", "kvm: riscv"),
}  # fmt: skip


def _area(arch: str, title: str) -> bool:
    """Whether a title is of a subsystem whose files are mirrored."""
    return title.lower().startswith(_AREAS.get(arch, ()))


def _lines(path: str) -> list[str]:
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_MOST + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(_MOST + 1)
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror}") from None
    if len(data) > _MOST:
        raise HarnessError(f"{path}: larger than {_MOST >> 20} MiB")
    return data.decode("utf-8", "replace").splitlines()


def _plain(met: Met) -> dict[str, Any]:
    return {
        "arch": met.arch,
        "id": met.commit.id,
        "title": met.commit.title,
        "files": {path: sorted(names) for path, names in sorted(met.commit.files.items())},
        "row": met.row,
        "left_out": met.reason,
        "functions": list(met.functions),
    }
