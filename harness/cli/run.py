"""`kvm-replay run`: judge traces, and hold them against verdicts and golden files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from harness.cli import bugs
from harness.cli.archs import by_architecture, left_out
from harness.cli.jobs import add_jobs, worked_out
from harness.cli.select import distinct, find_traces
from harness.cli.term import Progress, Terminal, aside, many
from harness.dsl import Trace, read_trace
from harness.dsl.reader import STDIN, default_root, trace_id
from harness.engine import Judgement, judge_all
from harness.errors import HarnessError, PatchError, SourceError
from harness.files import write
from harness.golden import Result, Status, examine, golden_path, load, update
from harness.model.patch import loaded
from harness.report.formats import (
    as_json,
    as_junit,
    as_ktap,
    broken_entries,
    entries,
    summary,
)
from harness.resources import display

if TYPE_CHECKING:
    from harness.search.bugs import Finding

Judged: TypeAlias = "tuple[list[Judgement], list[Finding]]"
"""What came of a trace, and if a kernel was asked about, what goes wrong there."""

Kernels = dict[str, tuple[str, ...]]
"""The kernels to judge on, by architecture; empty: those that a trace speaks of."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="judge traces on the kernels they speak of",
        description="Replay each trace on each kernel its verdicts name, and hold what the model "
        "does against the verdict and the golden file. Exit status: 0 as expected, 1 not, "
        "2 bad input, 4 nothing ran.",
    )
    parser.add_argument(
        "paths", nargs="*", metavar="TRACE", help="files, folders or names; without any: all"
    )
    parser.add_argument(
        "-k",
        dest="expression",
        metavar="EXPR",
        help="only traces whose name matches: words, and, or, not",
    )
    parser.add_argument(
        "--kernel",
        action="append",
        default=[],
        metavar="K",
        help="judge on K instead (v6.12, v6.12+FIX, v6.14-FIX; v6.12++FIX: with FIX, whatever it "
        "needs)",
    )
    parser.add_argument(
        "--kernel-image",
        metavar="IMAGE",
        help="judge on what `kvm-replay identify IMAGE` finds instead",
    )
    add_jobs(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="only what is not as expected")
    parser.add_argument("--update", action="store_true", help="bring the golden files up to date")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--ktap", action="store_true", help="print KTAP")
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML to FILE as well")
    bugs.add_options(parser)
    parser.set_defaults(command=run)


def _judge(path: Path, kernels: Kernels) -> tuple[Trace, Judged] | HarnessError:
    try:
        trace = read_trace(path, scratch=bool(kernels))
        if kernels and not kernels[trace.arch]:
            return trace, ([], [])
        judged = judge_all(trace, kernels.get(trace.arch, ()))
        if not kernels:
            return trace, (judged, [])
        from harness.search.bugs import findings  # which takes long to import

        return trace, (judged, findings(trace, judged))
    except HarnessError as error:
        return error


def _judge_each(
    paths: list[Path], kernels: Kernels, jobs: int
) -> Generator[tuple[Path, tuple[Trace, Judged] | HarnessError], None, None]:
    progress = Progress(len(paths))
    items = [(path, kernels) for path in paths]
    try:
        with worked_out(jobs, _judge, items) as judged:
            for path in paths:
                progress.step(trace_id(path))
                yield path, next(judged)
    finally:
        progress.end()


def run(args: argparse.Namespace, out: Terminal) -> int:
    paths = find_traces(args.paths, args.expression)
    if not paths:
        aside("kvm-replay: no trace to run")
        return 4
    if args.kernel or args.kernel_image or args.json or args.ktap or args.junit:
        distinct(paths)
    gate = bugs.Gate(args)
    if args.kernel_image is not None:
        for option in ("kernel", "update"):
            if getattr(args, option):
                raise HarnessError(f"--kernel-image and --{option} do not go together")
        from harness.cli.identified import run_image  # reads images, which nothing else does

        return run_image(args.kernel_image, paths, args, gate, out)
    patches = loaded()
    if patches and not any(p.fix.id in spec for p in patches for spec in args.kernel):
        for option in ("update", "ktap", "junit"):
            if getattr(args, option):
                raise HarnessError(f"--model without a kernel that has it, and --{option}")
        from harness.cli.proposed import run_proposed

        return max(run_proposed(patch, paths, args, out) for patch in patches)
    asked = tuple(dict.fromkeys(args.kernel))
    kernels = by_architecture(asked) if asked else {}
    seen: set[str] = set()
    # What is said by the way must not spoil what a machine reads.
    beside = Terminal(sys.stderr, args.color) if args.json or args.ktap else out
    grouped: list[tuple[str, list[Result]]] = []
    found: dict[tuple[str, str], Finding] = {}
    broken: list[tuple[str, str]] = []
    with closing(_judge_each(paths, kernels, args.jobs)) as each:
        for path, judged in each:
            try:
                if isinstance(judged, HarnessError):
                    raise judged
                trace, (judgements, wrong) = judged
                seen.add(trace.arch)
                if not judgements:
                    continue  # of an architecture that has no such kernel
                golden_file = golden_path(path)
                if args.update and path == STDIN:
                    raise HarnessError("--update: standard input has no golden file")
                results = examine(judgements, None if path == STDIN else load(golden_file))
                if args.update:
                    results = _update(beside, trace, results, golden_file, whole=not kernels)
                grouped.append((trace.id, results))
                found |= {(trace.id, each.kernel.name): each for each in wrong}
            except PatchError:
                raise
            except HarnessError as error:
                text = str(error) if isinstance(error, SourceError) else f"kvm-replay: {error}"
                broken.append((trace_id(path), text))
    left_out(asked, sorted(seen))
    known = gate.tolerated(found.values())
    suites = [(name, entries(results, found, known)) for name, results in grouped]
    suites += broken_entries(broken)
    if args.json:
        bugs_of = [each for each in found.values() if each.bug]
        counted = {"bugs": len(bugs_of), "counted": sum(map(gate.fails, bugs_of))}
        out.line(as_json(grouped, broken, asked, found if asked else None, counted))
    elif args.ktap:
        out.line(as_ktap(suites))
    elif grouped and (not args.update or any(r.status.failed for _, rs in grouped for r in rs)):
        _table(out, grouped, args)
        for spec in asked:
            there = [each for each in found.values() if each.kernel.name == spec]
            for line in bugs.lines(spec, grouped, there, gate):
                out.line(line)
        any_judged = any(r.judgement.outcome is not None for _, results in grouped for r in results)
        tally = f"; {gate.tally(found.values())}" if asked and any_judged else ""
        out.line(_total(grouped, args) + tally)
    if args.junit is not None:
        write(Path(args.junit), as_junit(suites) + "\n", parents=True)
    for _, text in broken:
        aside(text)
    if broken:
        return 2
    total = summary(grouped)
    if total["failed"] or any(map(gate.fails, found.values())):
        return 1
    return 4 if total["cases"] == total["skipped"] else 0


def _update(
    out: Terminal, trace: Trace, results: list[Result], path: Path, whole: bool
) -> list[Result]:
    """Update one golden file, unless a verdict disagrees with the model."""
    if any(r.status is Status.VERDICT for r in results):
        out.line(f"{trace.id}: not updated, a verdict is wrong")
        return results
    judgements = [r.judgement for r in results]
    changed = update(trace, judgements, path, whole)
    if changed:
        out.line(f"{trace.id}: {changed}")
    return examine(judgements, load(path))


def _table(
    out: Terminal, grouped: list[tuple[str, list[Result]]], args: argparse.Namespace
) -> None:
    quiet = args.quiet
    for trace, results in grouped:
        bad = sum(r.status.failed for r in results)
        if quiet and not bad:
            continue
        state = (
            out.paint(f"{bad} of {len(results)} not as expected", "red", "bold")
            if bad
            else out.paint("ok", "green")
        )
        name = trace.replace("\n", "\\n")  # a file's name can have anything in it
        out.line(f"{out.paint(name, 'bold')}: {state}")
        for row in _rows(results):
            first = row[0]
            case = first.judgement.case
            if quiet and not first.status.failed:
                continue
            modes = " ".join(r.judgement.case.mode for r in row)
            kernel = case.kernel.name
            text = first.judgement.text
            style = "red" if first.status.failed else "yellow" if text.startswith("viol") else "dim"
            mark = f"  [{first.status.value}]" if first.status.failed else ""
            # A long kernel name pushes its line out, it never loses a letter.
            out.line(f"  {kernel:<28} {modes:<9} {out.paint(text, style)}{mark}")
            if first.status.failed:
                for detail in first.details:
                    out.line(f"      {detail}")


def _total(grouped: list[tuple[str, list[Result]]], args: argparse.Namespace) -> str:
    """The last line: how many were as expected."""
    total = summary(grouped)
    good = total["cases"] - total["failed"] - total["skipped"]
    text = f"{many(total['traces'], 'trace')}, {many(total['cases'], 'case')}: {good} as expected"
    skipped = total["skipped"] - total["unbuilt"]
    text += f", {skipped} not judged" if skipped else ""
    text += f", {total['unbuilt']} not built" if total["unbuilt"] else ""
    wrong = total["failed"] - total["missing"]
    text += f", {total['missing']} without golden file" if total["missing"] else ""
    text += f", {wrong} NOT" if wrong else ""
    return text if args.paths else f"{text} (traces: {display(default_root())})"


def _rows(results: list[Result]) -> list[list[Result]]:
    """Results that differ in their mode alone stand in one row."""
    rows: list[list[Result]] = []
    for result in results:
        same = rows and rows[-1][0]
        if (
            same
            and same.judgement.case.kernel.name == result.judgement.case.kernel.name
            and (same.judgement.text, same.status, same.details)
            == (result.judgement.text, result.status, result.details)
        ):
            rows[-1].append(result)
        else:
            rows.append([result])
    return rows
