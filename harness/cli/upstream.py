"""`kvm-replay upstream`: which commits to the mirrored kernel files nobody has looked at."""

from __future__ import annotations

import argparse
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import harness.model
from harness.cli.archs import add_option, chosen
from harness.cli.term import Terminal, many
from harness.errors import HarnessError
from harness.model import architecture
from harness.upstream import Commit, Mirror, from_git, from_text, looked_at, mirrors
from harness.upstream.changelog import key, subsystems

_MOST = 64 << 20  # bytes of a log


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "upstream",
        help="list the kernel's commits that nobody has looked at",
        description="Go through commits to the kernel files that the model mirrors. Each is in the "
        "catalogue, or in the list of those that were looked at and left out, or it is printed, "
        "with the model's functions that mirror what it changes. With --git the files decide; of "
        "a log (git log, ChangeLog, a Debian changelog, a push list; plain or gzipped) the titles' "
        "subsystems do. "
        "Exit status: 0 if all were looked at, 1 if not, 4 if there was none.",
    )
    parser.add_argument("log", nargs="?", metavar="LOG", help="a file, - for standard input")
    parser.add_argument(
        "--git", nargs=2, metavar=("TREE", "RANGE"), help="a kernel tree, and v7.2..v7.3"
    )
    parser.add_argument(
        "--since", metavar="VERSION", help="of a Debian changelog, what came after this version"
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
    if args.files and (args.log or args.git or args.json):
        raise HarnessError("upstream: --files goes alone, with no log, tree or --json")
    if args.git and args.since:
        raise HarnessError("upstream: --since is for a changelog; --git has a range")
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
    rows, reasons = _Known(), _Known()
    for fix in architecture(name).catalogue.fixes.values():
        for cited in fix.commits:
            rows.add(cited.id, cited.title, fix.id)
    for looked in looked_at(Path(harness.model.__file__).parent / name):
        reasons.add(looked.id, looked.title, looked.reason)
    if args.git is not None:
        commits: Iterable[Commit] = from_git(Path(args.git[0]), args.git[1], files)
    else:
        commits = _once(from_text(_text(args.log), args.since))
    for commit in commits:
        row, reason = rows.of(commit), reasons.of(commit)
        if not (commit.files or row or reason or _concerns(name, commit.title)):
            continue
        mirrors_of = [m for path in commit.files for m in files.values() if m.matches(path)]
        touched = {function for names in commit.files.values() for function in names}
        functions = {f for mirror in mirrors_of for f in mirror.functions} & touched
        generic = [path for path in commit.files if not path.startswith("arch/")]
        if commit.files and len(generic) == len(commit.files) and not functions:
            # Files of all architectures: in code it takes a function that is mirrored.
            header = any(path.endswith(".h") for path in generic)
            if not header or _elsewhere(name, commit.title):
                continue
        yield Met(name, commit, row, reason, tuple(sorted(functions)))


class _Known:
    """What is known of commits: by id, which may be cut short, and by title."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._titles: dict[str, str] = {}

    def add(self, id: str | None, title: str, what: str) -> None:
        if id:
            self._ids[id] = what
        self._titles[key(title)] = what

    def of(self, commit: Commit) -> str | None:
        by_id = {what for id, what in self._ids.items() if commit.id and id.startswith(commit.id)}
        return by_id.pop() if len(by_id) == 1 else self._titles.get(key(commit.title))


def _once(commits: Iterable[Commit]) -> Iterator[Commit]:
    """Each commit once: a changelog names it for each series that it went to."""
    seen: set[tuple[str | None, str]] = set()
    for commit in commits:
        if (named := (commit.id, key(commit.title))) not in seen:
            seen.add(named)
            yield commit


# The words by which titles name the architecture, and the parts of it that are mirrored.
_NAMES = {"arm64": {"arm64"}, "riscv": {"riscv", "risc-v", "riscv64"}}
_OTHERS = {"x86", "svm", "vmx", "s390", "powerpc", "ppc", "mips", "loongarch", "sparc"}
_NOT_THE_KERNEL = {"selftests", "kselftest", "documentation", "doc", "docs", "tools", "perf"}
_PARTS = {
    "arm64": {"kvm", "fp", "fpsimd", "sve", "sme", "ptrace", "signal", "entry", "process",
              "syscall", "suspend", "smccc", "efi", "softirq"},
    "riscv": {"kvm", "fpu", "vector", "ptrace", "signal", "entry", "process", "suspend", "traps",
              "cfi", "usercfi", "pointer", "switch_to", "futex", "uaccess", "cpufeature"},
}  # fmt: skip


# What a title is looked at for that names the architecture alone: "[arm64] Restore the SVE state".
_STATE = re.compile(
    r"kvm|vcpu|guest|hyp\b|hypervisor|el2|nvhe|vhe\b|m[sd]cr|cptr|cpacr"
    r"|\bfp|simd|float|sve\b|sme\b|smstart|smstop|svcr|\bza\b|tpidr2|vl\b"
    r"|\bv extension|vector\b(?! table| base| address)"
    r"|ptrace|regset|signal|sigframe|sigreturn|coredump|core dump"
    r"|envcfg|hstateen|fwft|\bsbi\b|\bcfi\b|shadow stack|landing pad|cbo\.|zic|isa ext"
    r"|pmm\b|pointer mask|tagged addr",
    re.I,
)


def _concerns(arch: str, title: str) -> bool:
    """Whether a title is of a part of the architecture that is mirrored, or speaks of its state."""
    words = subsystems(title)
    if words & _NOT_THE_KERNEL:
        return False
    names = _NAMES.get(arch, set())
    others = words - names - {"arm", "armhf"}
    if others:
        return bool(words & names and others & _PARTS.get(arch, set()))
    return bool(words & names and _STATE.search(title))


def _elsewhere(arch: str, title: str) -> bool:
    """Whether a title names other architectures, and not this one."""
    words = subsystems(title)
    names = _OTHERS.union(*(_NAMES[other] for other in _NAMES if other != arch))
    return bool(words & names) and not words & _NAMES.get(arch, set())


def _text(path: str) -> str:
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_MOST + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(_MOST + 1)
        if data.startswith(b"\x1f\x8b"):
            data = _unpacked(data)
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror}") from None
    except zlib.error as error:
        raise HarnessError(f"{path}: a damaged gzip file ({error})") from None
    if b"\0" in data:
        raise HarnessError(f"{path}: not a text: expected a log or a changelog, plain or gzipped")
    if len(data) > _MOST:
        raise HarnessError(f"{path}: larger than {_MOST >> 20} MiB")
    return data.decode("utf-8", "replace")


def _unpacked(data: bytes) -> bytes:
    """All members of a gzip file, and no more than is read of any. Raises zlib.error."""
    found = b""
    while data and len(found) <= _MOST:
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(data, _MOST + 1 - len(found))
        if not member.eof and len(found) <= _MOST:
            raise zlib.error("it ends in the middle")
        data = member.unused_data
    return found


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
