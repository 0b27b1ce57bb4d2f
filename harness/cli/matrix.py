"""`kvm-replay matrix`: traces x kernels. `kvm-replay audit`: does the corpus notice every fix?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from harness.cli.select import find_traces
from harness.cli.term import Progress, Terminal
from harness.dsl import Trace, read_trace
from harness.engine.audit import audit, branches, verdict
from harness.errors import HarnessError
from harness.model import ARCHITECTURES, architecture
from harness.model.catalogue import releases_with_changes


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    matrix = commands.add_parser(
        "matrix",
        help="print traces x kernels",
        description="Judge every trace on every release in which a fix landed (or on the kernels "
        "named) and print one character for each: . holds, X violates, and where the modes differ "
        "the first letter of the mode that violates; - cannot be judged.",
    )
    matrix.add_argument("paths", nargs="*", metavar="TRACE")
    matrix.add_argument("-k", dest="expression", metavar="EXPR", help="only traces that match")
    matrix.add_argument("--kernel", action="append", default=[], metavar="K")
    matrix.add_argument("--json", action="store_true", help="print JSON")
    matrix.set_defaults(command=run_matrix)
    check = commands.add_parser(
        "audit",
        help="list the fixes that no trace notices",
        description="Switch every fix off in turn and list those that no trace's verdict depends "
        "on, then the branches of the model that the corpus reaches one way only. Exit status 1 "
        "if there is any.",
    )
    check.add_argument("paths", nargs="*", metavar="TRACE")
    check.add_argument(
        "-v", "--verbose", action="store_true", dest="all", help="every fix, with its traces"
    )
    check.add_argument("--json", action="store_true", help="print JSON")
    check.add_argument("--arch", default=ARCHITECTURES[0], choices=ARCHITECTURES)
    check.set_defaults(command=run_audit)


def cell(trace: Trace, spec: str) -> tuple[str, dict[str, str]]:
    """One character for a trace on a kernel, and the verdict in each mode."""
    kernel = architecture(trace.arch).catalogue.kernel(spec)
    verdicts = {mode: verdict(trace, kernel, mode) for mode in trace.modes}
    judged = {m: v for m, v in verdicts.items() if v == "holds" or v.startswith("violates")}
    bad = [m for m, v in judged.items() if v != "holds"]
    if not judged:
        return "-", verdicts
    if not bad:
        return ".", verdicts
    return ("X" if len(bad) == len(judged) else bad[0][0]), verdicts


def run_matrix(args: argparse.Namespace, out: Terminal) -> int:
    traces = _read(find_traces(args.paths, args.expression))
    if not traces:
        raise HarnessError("no trace")
    catalogue = architecture(traces[0].arch).catalogue
    kernels = args.kernel or releases_with_changes(catalogue)
    for name in kernels:
        catalogue.kernel(name)
    progress = Progress(len(traces))
    rows: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for trace in traces:
        progress.step(trace.id)
        rows[trace.id] = [cell(trace, name) for name in kernels]
    progress.end()
    if args.json:
        tree = {
            trace: {name: verdicts for name, (_, verdicts) in zip(kernels, row, strict=True)}
            for trace, row in rows.items()
        }
        out.line(
            json.dumps({"schema": "kvm-replay/matrix/1", "traces": tree}, indent=1, sort_keys=True)
        )
        return 0
    width = max(len(name) for name in rows) + 2
    for line in upright(kernels):
        out.line(" " * width + line)
    for name, row in rows.items():
        marks = "".join(
            out.paint(c, "yellow") if c not in ".-" else out.paint(c, "dim") for c, _ in row
        )
        out.line(f"{name:<{width}}{marks}")
    return 0


def upright(names: list[str]) -> list[str]:
    """Names written downwards, one a column, standing on the same line."""
    height = max(len(n) for n in names)
    padded = [n.rjust(height) for n in names]
    return ["".join(n[row] for n in padded).rstrip() for row in range(height)]


def run_audit(args: argparse.Namespace, out: Terminal) -> int:
    traces = [t for t in _read(find_traces(args.paths)) if t.arch == args.arch]
    if not traces:
        raise HarnessError("no trace")
    catalogue = architecture(args.arch).catalogue
    found = []
    progress = Progress(sum(f.switch for f in catalogue.fixes.values()))
    for noticed in audit(args.arch, traces):
        progress.step(noticed.fix.id)
        found.append(noticed)
    progress.end()
    unnoticed = [n.fix.id for n in found if not n.traces]
    sides = branches(traces)
    one_way = sorted(
        (f"{Path(path).name}:{line}", fix, answers == {True})
        for (path, line, fix), answers in sides.items()
        if len(answers) == 1
    )
    refactors = [f.id for f in catalogue.fixes.values() if not f.switch]
    if args.json:
        document = {
            "schema": "kvm-replay/audit/1",
            "noticed": {n.fix.id: n.traces for n in found},
            "refactors": refactors,
            "branches": len(sides),
            "one_way": [{"at": at, "fix": fix, "always": on} for at, fix, on in one_way],
        }
        out.line(json.dumps(document, indent=1, sort_keys=True))
        return 1 if unnoticed or one_way else 0
    if args.all:
        for n in found:
            out.line(f"{n.fix.id} ({n.kernel}): {', '.join(n.traces) or 'nobody'}")
    for fix in unnoticed:
        out.line(f"{fix}: no trace notices that it is off")
    for at, fix, on in one_way:
        out.line(f"{at}: {fix} is always {'on' if on else 'off'} there")
    out.line(f"{len(found)} fixes, {len(unnoticed)} unnoticed by {len(traces)} traces")
    out.line(f"{len(sides)} branches on a fix, {len(one_way)} reached one way only")
    out.line(f"without a switch (no step that is modelled changes): {', '.join(refactors)}")
    return 1 if unnoticed or one_way else 0


def _read(paths: list[Path]) -> list[Trace]:
    return [read_trace(path) for path in paths]
