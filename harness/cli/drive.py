"""`kvm-replay drive`: traces as a script for a real machine."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.cli.drive_export import FORMATS, export
from harness.cli.select import distinct, find_traces
from harness.cli.term import Terminal, aside
from harness.drive import known, of
from harness.drive.script import Driven, Skipped, written
from harness.drive.undriven import Undriven
from harness.dsl import read_trace
from harness.errors import HarnessError, one_of
from harness.files import write
from harness.model import architecture
from harness.model.catalogue import Kernel, releases_with_changes


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "drive",
        help="make traces a script that runs on a real machine",
        description="Make of each trace a test that kvm-replay-runner (runner/) carries out on a "
        "real kernel. A trace that no program can carry out is skipped, with the reason. Exit "
        "status 4 if every one is. For example: kvm-replay drive arm64 -o script.txt",
    )
    parser.add_argument("paths", nargs="+", metavar="TRACE", help="files, folders or names")
    parser.add_argument("-k", dest="expression", metavar="EXPR", help="of those, by their names")
    parser.add_argument(
        "--kernel",
        metavar="K",
        help="the kernel that it is to run on, as well as it is known (default: the newest): who "
        "would be killed there does nothing more",
    )
    parser.add_argument("--mode", metavar="MODE", help="of KVM there (default: vhe)")
    parser.add_argument(
        "--export",
        choices=FORMATS,
        metavar="FORMAT",
        help="kselftest: write a C file for each trace into the folder -o",
    )
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="SCRIPT|FOLDER", help="default: print the script"
    )
    parser.add_argument(
        "--show", action="store_true", help="print what is driven of each trace instead"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    if args.export:
        return _export(args, out)
    if args.json and args.output is None:
        raise HarnessError("--json tells what is driven: give -o for the script")
    paths = find_traces(args.paths, args.expression)
    distinct(paths)
    arch = known()[0]
    kernel = kernel_of(arch, args.kernel)
    mode = mode_of(arch, args.mode)
    tests = [test_of(path, kernel, mode) for path in paths]
    driven = [test for test in tests if isinstance(test, Driven)]
    lines = [*written(tests, f"{kernel.name} {mode}")]
    if args.show:
        for test in driven:
            out.line("\n".join((f"# {test.id}", *test.source, "")))
    elif args.output is None:
        out.line("\n".join(lines))
    else:
        write(args.output, "\n".join(lines) + "\n")
    if args.json:
        out.line(json.dumps(_tree(kernel, mode, tests), indent=1))
    else:
        _told(args, out, kernel, mode, tests)
    return 0 if driven else 4


def _export(args: argparse.Namespace, out: Terminal) -> int:
    if args.output is None:
        raise HarnessError("--export: expected -o FOLDER, for the files")
    if args.show or args.json:
        raise HarnessError("--export cannot be combined with --show or --json")
    arch = known()[0]
    kernel, mode = kernel_of(arch, args.kernel), mode_of(arch, args.mode)
    found = export(find_traces(args.paths, args.expression), kernel, mode, args.output)
    skipped = [one for one in found if isinstance(one, Skipped)]
    count = len(found) - len(skipped)
    out.line(f"{count} of {len(found)} traces are exported, for {kernel.name} {mode}")
    _reasons(skipped, out.line)
    return 0 if count else 4


def kernel_of(arch: str, name: str | None) -> Kernel:
    catalogue = architecture(arch).catalogue
    return catalogue.kernel(name or releases_with_changes(catalogue)[-1])


def mode_of(arch: str, name: str | None) -> str:
    modes = architecture(arch).modes
    if name is not None and name not in modes:
        raise HarnessError(f"--mode {name}: expected {one_of(modes)}")
    return name or modes[0]


def test_of(path: Path, kernel: Kernel, mode: str) -> Driven | Skipped:
    """A trace file as a test."""
    trace = read_trace(path, scratch=True)
    if trace.arch not in known():
        return Skipped(trace.id, f"traces of {trace.arch} are not driven yet")
    try:
        test: Driven = of(trace.arch).plan(trace, kernel, mode)
    except Undriven as why:
        return Skipped(trace.id, str(why))
    return test


def _told(
    args: argparse.Namespace,
    out: Terminal,
    kernel: Kernel,
    mode: str,
    tests: list[Driven | Skipped],
) -> None:
    """On standard error if the script, or what is driven, is on standard output."""
    skipped = [test for test in tests if isinstance(test, Skipped)]
    say = out.line if args.output is not None and not args.show else aside
    say(f"{len(tests) - len(skipped)} of {len(tests)} traces are driven, for {kernel.name} {mode}")
    _reasons(skipped, say)


def _reasons(skipped: list[Skipped], say: Callable[[str], None]) -> None:
    for why, count in Counter(test.why for test in skipped).most_common():
        names = [test.id for test in skipped if test.why == why]
        say(f"  {count:3} not: {why} ({', '.join(names[:3])}{', ...' if count > 3 else ''})")


def _tree(kernel: Kernel, mode: str, tests: list[Driven | Skipped]) -> dict[str, Any]:
    return {
        "schema": "kvm-replay/drive/1",
        "kernel": kernel.name,
        "mode": mode,
        "traces": [
            {"trace": t.id, "driven": False, "why": t.why}
            if isinstance(t, Skipped)
            else {"trace": t.id, "driven": True, "machine": t.machine, "commands": len(t.commands)}
            for t in tests
        ],
    }
