"""`kvm-replay matrix`: traces x kernels. `kvm-replay audit`: does the corpus notice every fix?"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from harness.cli.archs import add_option, chosen, left_out
from harness.cli.jobs import add_jobs, worked_out
from harness.cli.select import find_traces
from harness.cli.term import Progress, Terminal
from harness.dsl import Trace, read_trace
from harness.engine.audit import Noticed, branches, noticed, verdict
from harness.engine.judge import unbuilt
from harness.errors import HarnessError
from harness.model import architecture
from harness.model.catalogue import RELEASES, KernelError, releases_with_changes

TOGETHER = 6  # fixes that landed one after the other are noticed on the same kernels


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    matrix = commands.add_parser(
        "matrix",
        help="print traces x kernels",
        description="Judge every trace on every release in which a fix landed (or on the kernels "
        "named) and print one character for each: . holds, X violates, and where the modes differ "
        "the first letter of the mode that violates; - cannot be judged, / is not built (the "
        "kernel has the code, and its configuration cannot be selected).",
    )
    matrix.add_argument("paths", nargs="*", metavar="TRACE")
    matrix.add_argument("-k", dest="expression", metavar="EXPR", help="only traces that match")
    matrix.add_argument("--kernel", action="append", default=[], metavar="K")
    add_jobs(matrix)
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
    add_jobs(check)
    check.add_argument("--json", action="store_true", help="print JSON")
    add_option(check)
    check.set_defaults(command=run_audit)


def cell(trace: Trace, spec: str) -> tuple[str, dict[str, str]]:
    """One character for a trace on a kernel, and the verdict in each mode.

    None where the trace's architecture has no such kernel.
    """
    try:
        kernel = architecture(trace.arch).catalogue.kernel(spec)
    except KernelError:
        return "-", {}
    verdicts = {mode: verdict(trace, kernel, mode) for mode in trace.modes}
    judged = {m: v for m, v in verdicts.items() if v == "holds" or v.startswith("violates")}
    bad = [m for m, v in judged.items() if v != "holds"]
    if not judged:
        return ("/" if unbuilt(trace, kernel) else "-"), verdicts
    if not bad:
        return ".", verdicts
    return ("X" if len(bad) == len(judged) else bad[0][0]), verdicts


def run_matrix(args: argparse.Namespace, out: Terminal) -> int:
    traces = _read(find_traces(args.paths, args.expression))
    if not traces:
        raise HarnessError("no trace")
    archs = sorted({trace.arch for trace in traces})
    left_out(args.kernel, archs)
    changed = {r for a in archs for r in releases_with_changes(architecture(a).catalogue)}
    kernels = args.kernel or [release for release in RELEASES if release in changed]
    progress = Progress(len(traces))

    def cells(n: int) -> list[tuple[str, dict[str, str]]]:
        return [cell(traces[n], name) for name in kernels]

    rows: dict[str, list[tuple[str, dict[str, str]]]] = {}
    with worked_out(args.jobs, cells, [(n,) for n in range(len(traces))]) as each:
        for trace in traces:
            progress.step(trace.id)
            rows[trace.id] = next(each)
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
            out.paint(c, "yellow") if c not in ".-/" else out.paint(c, "dim") for c, _ in row
        )
        out.line(f"{name:<{width}}{marks}")
    return 0


def upright(names: list[str]) -> list[str]:
    """Names written downwards, one a column, standing on the same line."""
    height = max(len(n) for n in names)
    padded = [n.rjust(height) for n in names]
    return ["".join(n[row] for n in padded).rstrip() for row in range(height)]


@dataclass(frozen=True, slots=True)
class _Audit:
    """What was found of one architecture."""

    traces: int
    found: list[Noticed]
    refactors: list[str]
    branches: int
    one_way: list[tuple[str, str, bool]]  # where, which fix, whether always on

    @property
    def unnoticed(self) -> list[str]:
        return [n.fix.id for n in self.found if not n.traces]

    def tree(self) -> dict[str, object]:
        return {
            "noticed": {n.fix.id: n.traces for n in self.found},
            "refactors": self.refactors,
            "branches": self.branches,
            "one_way": [{"at": at, "fix": fix, "always": on} for at, fix, on in self.one_way],
        }


def _audit(arch: str, traces: list[Trace], progress: Progress, jobs: int) -> _Audit:
    catalogue = architecture(arch).catalogue
    switches = [fix for fix in catalogue.fixes.values() if fix.switch]
    found: list[Noticed] = []

    def some(first: int) -> list[Noticed]:
        return [noticed(arch, fix, traces) for fix in switches[first : first + TOGETHER]]

    with worked_out(jobs, some, [(n,) for n in range(0, len(switches), TOGETHER)]) as each:
        for those in each:
            for one in those:
                progress.step(one.fix.id)
                found.append(one)
    sides: dict[tuple[str, int, str], set[bool]] = {}
    with worked_out(
        jobs, lambda n: branches(traces[n : n + 1]), [(n,) for n in range(len(traces))]
    ) as sides_of:
        for of_one in sides_of:
            for place, answers in of_one.items():
                sides.setdefault(place, set()).update(answers)
    one_way = sorted(
        (f"{Path(path).name}:{line}", fix, answers == {True})
        for (path, line, fix), answers in sides.items()
        if len(answers) == 1
    )
    refactors = [fix.id for fix in catalogue.fixes.values() if not fix.switch]
    return _Audit(len(traces), found, refactors, len(sides), one_way)


def run_audit(args: argparse.Namespace, out: Terminal) -> int:
    traces = _read(find_traces(args.paths))
    # Traces that are named are those of the architectures in question.
    names = [n for n in chosen(args) if any(t.arch == n for t in traces) or not args.paths]
    if not any(t.arch in names for t in traces):
        raise HarnessError("no trace")
    switches = [f.id for n in names for f in architecture(n).catalogue.fixes.values() if f.switch]
    progress = Progress(len(switches))
    audits = {n: _audit(n, [t for t in traces if t.arch == n], progress, args.jobs) for n in names}
    progress.end()
    status = 1 if any(a.unnoticed or a.one_way for a in audits.values()) else 0
    if args.json:
        trees = {name: one.tree() for name, one in audits.items()}
        if args.arch:
            document = {"schema": "kvm-replay/audit/1", **trees[args.arch]}
        else:
            document = {"schema": "kvm-replay/audit/2", "architectures": trees}
        out.line(json.dumps(document, indent=1, sort_keys=True))
        return status
    shared = {fix for fix, n in Counter(switches).items() if n > 1}
    for name, one in audits.items():
        _print_audit(name, one, shared, len(audits) > 1, args.all, out)
    return status


def _print_audit(
    arch: str, one: _Audit, shared: set[str], several: bool, everything: bool, out: Terminal
) -> None:
    def label(fix: str) -> str:
        return f"{arch} {fix}" if fix in shared else fix

    if everything:
        for n in one.found:
            out.line(f"{label(n.fix.id)} ({n.kernel}): {', '.join(n.traces) or 'nobody'}")
    for fix in one.unnoticed:
        out.line(f"{label(fix)}: no trace notices that it is off")
    for at, fix, on in one.one_way:
        out.line(f"{at}: {label(fix)} is always {'on' if on else 'off'} there")
    head = f"{arch}: " if several else ""
    out.line(f"{head}{len(one.found)} fixes, {len(one.unnoticed)} unnoticed by {one.traces} traces")
    out.line(f"{head}{one.branches} branches on a fix, {len(one.one_way)} reached one way only")
    if one.refactors:
        names = ", ".join(one.refactors)
        out.line(f"{head}without a switch (no step that is modelled changes): {names}")


def _read(paths: list[Path]) -> list[Trace]:
    return [read_trace(path, scratch=True) for path in paths]
