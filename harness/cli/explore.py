"""`kvm-replay explore`: every legal sequence of events up to a bound."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from harness.cli.reglist import mode_of
from harness.cli.term import Terminal
from harness.dsl.reader import Machine, read_machine
from harness.errors import HarnessError, nearest, one_of
from harness.golden import write
from harness.model.base import Explorable, World
from harness.model.catalogue import Catalogue, Kernel
from harness.search.discovery import lines_of, written
from harness.search.explore import DEEPEST, Bounds, Found, Search, summary
from harness.search.parallel import ParallelSearch
from harness.search.resume import keep, resumed

MOST_TASKS, MOST_VCPUS = 6, 4  # all orders of them are tried, to see what is the same
SECONDS = 10.0  # between two checkpoints, at the least


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "explore",
        help="try every legal sequence of events up to a bound",
        description="Search all that can happen on a kernel within some bounds, breadth first, "
        "for a violation of an invariant: the first one found is one of the shortest. Each is "
        "written as a trace, ready for review. Exit status 0 if there is none, 1 if there is one.",
    )
    parser.add_argument(
        "machine",
        metavar="MACHINE",
        nargs="?",
        default="arm64 vhe { sve 16..64 }",
        help="as in a trace (default: 'arm64 vhe { sve 16..64 }')",
    )
    parser.add_argument("features", nargs="*", metavar="FEATURE", help="of the vcpus, such as sve")
    parser.add_argument("--kernel", required=True, metavar="K")
    parser.add_argument("--mode", metavar="M", help="default: the first of the machine that fits")
    parser.add_argument("--cpus", type=int, metavar="N", help="default: the machine's")
    parser.add_argument("--tasks", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument("--vcpus", type=int, default=1, metavar="N", help="default: 1")
    parser.add_argument("--depth", type=int, default=8, metavar="N", help="events; default: 8")
    parser.add_argument(
        "--events", metavar="GROUP,...", help="the groups of events to try (`help` lists them)"
    )
    parser.add_argument(
        "--budget",
        action="append",
        default=[],
        metavar="COUNTER",
        help="a cost that must not arise, such as reloads; with --with or --without, one that "
        "must not differ",
    )
    parser.add_argument(
        "--except",
        dest="excepted",
        action="append",
        default=[],
        metavar="KIND",
        help="a kind of violation to pass over",
    )
    parser.add_argument(
        "--with", dest="added", metavar="FIX", help="find what tells the kernel from it with FIX"
    )
    parser.add_argument("--without", dest="removed", metavar="FIX", help="the same, without FIX")
    parser.add_argument(
        "--all",
        action="store_true",
        help="go on to the depth: each kind of violation and register once, not the first level "
        "alone",
    )
    parser.add_argument("-o", dest="folder", metavar="DIR", help="write the traces into DIR")
    parser.add_argument("-j", dest="jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="keep there how far the search is, and go on from it if there is such a file",
    )
    parser.add_argument(
        "--no-symmetry", action="store_true", help="take states apart that differ in names alone"
    )
    parser.add_argument(
        "--no-commuting", action="store_true", help="try events of different CPUs in every order"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    machine = read_machine(args.machine, args.features)
    explorable = machine.arch.explorable
    if explorable is None:
        raise HarnessError(f"explore: nobody has said yet which events {machine.arch.name} has")
    if args.events == "help":
        _groups(explorable, out)
        return 0
    bounds = _bounds(args, machine, explorable)
    jobs = _within("-j", args.jobs, 1, 256)
    search = Search(bounds, args.all) if jobs == 1 else ParallelSearch(bounds, args.all, jobs)
    progress = _Progress()
    search.after_batch.append(progress)
    if args.checkpoint is not None:
        path = Path(args.checkpoint)
        resumed(search, path)
        search.after_batch.append(keep(path, SECONDS))
    # Nothing here makes cycles, and there are many objects to look through.
    gc.disable()
    try:
        search.run()
    finally:
        gc.enable()
        progress.end()
    found = search.found()
    texts = ["\n".join(written(bounds, one)) + "\n" for one in found]
    paths = _write(args.folder, found, texts)
    line = summary(bounds, search.tally, len(search.tree))
    if args.json:
        out.line(json.dumps(_plain(bounds, search, found, texts), indent=1, sort_keys=True))
    else:
        _print(out, bounds, found, texts, paths)
        out.line(out.paint(f"{bounds.kernel.name} {bounds.mode}: {line}", "bold"))
    return 1 if found else 0


def _within(name: str, n: int, low: int, high: int) -> int:
    if not low <= n <= high:
        raise HarnessError(f"{name} {n}: expected {low} to {high}")
    return n


def _bounds(args: argparse.Namespace, machine: Machine, explorable: Explorable) -> Bounds:
    arch = machine.arch
    tasks = _within("--tasks", args.tasks, 1, MOST_TASKS)
    vcpus = _within("--vcpus", args.vcpus, 0, MOST_VCPUS)
    settings = dict(machine.world.settings)
    if args.cpus is not None:
        most = arch.settings["cpus"].highest
        settings["cpus"] = (_within("--cpus", args.cpus, 1, min(most, 4)),) * 2
    names = [chr(ord("A") + n) for n in range(tasks)]
    groups = _named("--events", args.events, explorable.groups) or explorable.usual
    world = World(
        settings,
        tuple((name, 0 if n == 0 else -1) for n, name in enumerate(names)),
        ("CHILD",) if "life" in groups else (),
        tuple((f"v{n}", names[n % tasks], tuple(args.features)) for n in range(vcpus)),
        machine.world.words,
    )
    kernel = arch.catalogue.kernel(args.kernel)
    for name in args.budget:
        if name not in arch.counters:
            hint = nearest(name, arch.counters) or f": expected {one_of(arch.counters)}"
            raise HarnessError(f"--budget {name[:40]!r}{hint}")
    for kind in args.excepted:
        if kind not in arch.invariants:
            hint = nearest(kind, arch.invariants) or f": expected {one_of(arch.invariants)}"
            raise HarnessError(f"--except {kind[:40]!r}{hint}")
    other = _other(arch.catalogue, kernel, args)
    mode = mode_of(machine._replace(world=world), kernel, args.mode)
    if other is not None:
        why = arch.unsupported(other, mode, world)
        if why:
            raise HarnessError(f"{other.name} {mode}: {why}")
    return Bounds(
        arch.name,
        kernel,
        mode,
        world,
        groups,
        _within("--depth", args.depth, 1, DEEPEST),
        tuple(args.budget),
        tuple(args.excepted),
        other,
        not args.no_symmetry,
        not args.no_commuting,
    )


def _named(option: str, text: str | None, known: Iterable[str]) -> tuple[str, ...]:
    names = tuple(name for name in (text or "").split(",") if name)
    for name in names:
        if name not in known:
            raise HarnessError(
                f"{option} {name[:40]!r}{nearest(name, known) or f': expected {one_of(known)}'}"
            )
    return names


def _other(catalogue: Catalogue, kernel: Kernel, args: argparse.Namespace) -> Kernel | None:
    """The kernel to compare with."""
    if args.added is None and args.removed is None:
        return None
    name = kernel.name
    for sign, fix in (("+", args.added), ("-", args.removed)):
        if fix is None:
            continue
        undone = ("-" if sign == "+" else "+") + fix
        # v4.15+null-always without null-always is v4.15
        name = name.replace(undone, "", 1) if undone in name else f"{name}{sign}{fix}"
    return catalogue.kernel(name)


def _groups(explorable: Explorable, out: Terminal) -> None:
    width = max(map(len, explorable.groups))
    for name, what in explorable.groups.items():
        usual = "" if name in explorable.usual else " (only if it is named)"
        out.line(f"{name:<{width}}  {what}{usual}")


class _Progress:
    """A line on standard error, if somebody looks at it."""

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty()

    def __call__(self, search: Search) -> None:
        if self.shown:
            tally = search.tally
            done = (tally.at - tally.start) * 100 // max(1, tally.end - tally.start)
            text = f"depth {tally.depth + 1}: {done}%, {len(search.tree)} states"
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def end(self) -> None:
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _write(folder: str | None, found: list[Found], texts: list[str]) -> list[Path]:
    if folder is None:
        return []
    paths: list[Path] = []
    for one, text in zip(found, texts, strict=True):
        what = "".join(c if c.isalnum() else "-" for c in one.violation.what.lower()).strip("-")
        path = Path(folder) / f"{one.violation.kind}-{what}.trace"
        write(path, text)
        paths.append(path)
    return paths


def _print(
    out: Terminal, bounds: Bounds, found: list[Found], texts: list[str], paths: list[Path]
) -> None:
    for n, one in enumerate(found):
        text = f"{one.violation.kind}: {one.violation.text}"
        for at, line in enumerate(textwrap.wrap(text, 78, break_on_hyphens=False)):
            out.line(out.paint(line if at == 0 else f"  {line}", "red", "bold"))
        for line in lines_of(bounds, one.events):
            out.line(f"    {line}")
        if paths:
            out.line(f"  written to {paths[n]}")
        elif n == 0:
            out.line()
            for line in texts[0].splitlines():
                out.line(out.paint(line, "dim"))
        out.line()


def _plain(
    bounds: Bounds, search: Search, found: list[Found], texts: list[str]
) -> dict[str, object]:
    tally = search.tally
    return {
        "schema": "kvm-replay/explore/1",
        "kernel": bounds.kernel.name,
        "other": None if bounds.other is None else bounds.other.name,
        "mode": bounds.mode,
        "depth": tally.depth,
        "exhausted": tally.exhausted,
        "states": len(search.tree),
        "transitions": tally.transitions,
        "seconds": round(tally.seconds, 2),
        "bytes_a_state": round(search.tree.size / len(search.tree), 1),
        "found": [
            {
                "kind": one.violation.kind,
                "what": one.violation.what,
                "text": one.violation.text,
                "events": lines_of(bounds, one.events),
                "trace": text,
            }
            for one, text in zip(found, texts, strict=True)
        ],
    }
