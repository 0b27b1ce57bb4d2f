"""`kvm-replay fmt`: the canonical layout of trace files."""

from __future__ import annotations

import argparse
import difflib
import json
from pathlib import Path
from typing import Any

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
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    files, broken = [], 0
    for path in find_traces(args.paths):
        try:
            files.append(_format(args, out, path))
        except HarnessError as error:
            broken += 1
            text = str(error) if isinstance(error, SourceError) else f"kvm-replay: {error}"
            files.append({"file": _name(path), "state": "broken", "message": text})
            if not args.json:
                aside(text)
    if args.json:
        out.line(json.dumps({"schema": "kvm-replay/fmt/1", "files": files}, indent=1))
    if broken:
        return 2
    return 1 if any(f["state"] == "would change" for f in files) else 0


def _name(path: Path) -> str:
    return "stdin" if path == STDIN else display(path)


def _format(args: argparse.Namespace, out: Terminal, path: Path) -> dict[str, Any]:
    """Lay one file out, or say how it would be; what there was to do."""
    lines = read_source(path, repair=True)
    parse(path, lines, scratch=True)
    laid = format_lines(lines)
    text = "\n".join(laid) + "\n"
    name, only_told = _name(path), args.check or args.diff
    same = tuple(laid) == lines if path == STDIN else path.read_bytes() == text.encode()
    if path == STDIN and not only_told:
        if args.json:
            return {"file": name, "state": "unchanged" if same else "laid out", "text": text}
        out.stream.write(text)
        return {"file": name, "state": "unchanged"}
    if same:
        return {"file": name, "state": "unchanged"}
    told: dict[str, Any] = {"file": name, "state": "would change" if only_told else "laid out"}
    if args.diff:
        told["diff"] = list(difflib.unified_diff(lines, laid, name, name, lineterm=""))
    if not only_told:
        write(path, text)
    if not args.json:
        for line in told.get("diff") or [f"{name}: {told['state']}"]:
            out.line(line)
    return told
