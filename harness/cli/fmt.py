"""`kvm-replay fmt`: the canonical layout of trace files."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path

from harness.cli.select import find_traces
from harness.cli.term import Terminal, aside
from harness.dsl import read_source
from harness.dsl.format import format_lines
from harness.dsl.reader import STDIN, parse
from harness.errors import HarnessError, SourceError
from harness.files import write
from harness.resources import display


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "fmt",
        help="lay trace files out",
        description="Format trace files canonically; comments are preserved. A byte order mark and "
        "carriage returns at the ends of lines are removed. A file with a mistake in it is not "
        "changed.",
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
    changed, broken = 0, 0
    for path in find_traces(args.paths):
        try:
            changed += _format(args, out, path)
        except HarnessError as error:
            broken += 1
            text = str(error) if isinstance(error, SourceError) else f"kvm-replay: {error}"
            aside(text)
    if broken:
        return 2
    return 1 if changed and (args.check or args.diff) else 0


def _format(args: argparse.Namespace, out: Terminal, path: Path) -> bool:
    """Lay one file out, or say how it would be; whether there was anything to do."""
    lines = read_source(path, repair=True)
    parse(path, lines, scratch=True)
    laid = format_lines(lines)
    text = "\n".join(laid) + "\n"
    if path == STDIN and not (args.check or args.diff):
        out.stream.write(text)
        return False
    if path != STDIN and path.read_bytes() == text.encode():
        return False
    if path == STDIN and tuple(laid) == lines:
        return False
    name = "stdin" if path == STDIN else display(path)
    if args.diff:
        for line in difflib.unified_diff(lines, laid, name, name, lineterm=""):
            out.line(line)
    elif args.check:
        out.line(f"{name}: would change")
    else:
        write(path, text)
        out.line(f"{name}: laid out")
    return True
