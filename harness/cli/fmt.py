"""`kvm-replay fmt`: the canonical layout of trace files."""

from __future__ import annotations

import argparse
import difflib

from harness.cli.select import find_traces
from harness.cli.term import Terminal
from harness.dsl import read_source, read_trace
from harness.dsl.format import format_lines
from harness.golden import write
from harness.resources import display


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "fmt",
        help="lay trace files out",
        description="Lay trace files out in the one canonical way, comments kept. A file with a "
        "mistake in it is not touched.",
    )
    parser.add_argument("paths", nargs="+", metavar="TRACE", help="files or folders")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 if something would change"
    )
    parser.add_argument(
        "--diff", action="store_true", help="change nothing; print what would change"
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    changed = 0
    for path in find_traces(args.paths):
        read_trace(path)
        lines = read_source(path)
        laid = format_lines(lines)
        text = "\n".join(laid) + "\n"
        if text == "\n".join(lines) + "\n":
            continue
        changed += 1
        if args.diff:
            name = display(path)
            for line in difflib.unified_diff(lines, laid, name, name, lineterm=""):
                out.line(line)
        elif args.check:
            out.line(f"{display(path)}: would change")
        else:
            write(path, text)
            out.line(f"{display(path)}: laid out")
    return 1 if changed and (args.check or args.diff) else 0
