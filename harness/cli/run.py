"""`kvm-replay run`: judge traces, and hold them against verdicts and golden files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

from harness.cli.archs import bad_backports, by_architecture, having, left_out
from harness.cli.proposed import run_proposed
from harness.cli.select import find_traces
from harness.cli.term import Progress, Terminal, aside, many
from harness.dsl import Trace, read_trace
from harness.dsl.reader import STDIN, default_root, trace_id
from harness.engine import Judgement, judge_all
from harness.errors import HarnessError, PatchError, SourceError
from harness.files import write
from harness.golden import Result, Status, examine, golden_path, load, update
from harness.model import architecture
from harness.model.patch import loaded
from harness.processes import WorkerDied, in_processes
from harness.report.formats import as_json, as_junit, as_ktap, summary
from harness.resources import display
from harness.search.culprit import NO_BUG, cures, verdict

Judged = tuple[Trace, list[Judgement]]

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
    parser.add_argument(
        "-j", dest="jobs", type=_jobs, default=1, metavar="N", help="use N processes"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="only what is not as expected")
    parser.add_argument("--update", action="store_true", help="bring the golden files up to date")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--ktap", action="store_true", help="print KTAP")
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML to FILE as well")
    parser.set_defaults(command=run)


def _jobs(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 1 to 256")
    return int(text)


def _judge(path: Path, kernels: Kernels) -> Judged | HarnessError:
    try:
        trace = read_trace(path, scratch=bool(kernels))
        if kernels and not kernels[trace.arch]:
            return trace, []
        return trace, judge_all(trace, kernels.get(trace.arch, ()))
    except HarnessError as error:
        return error


def _judge_each(
    paths: list[Path], kernels: Kernels, jobs: int
) -> Generator[tuple[Path, Judged | HarnessError], None, None]:
    progress = Progress(len(paths))
    many = min(jobs, len(paths))
    every = [kernels] * len(paths)
    judged = in_processes(many, _judge, paths, every) if many > 1 else map(_judge, paths, every)
    try:
        for path in paths:
            progress.step(trace_id(path))
            yield path, next(judged)
    except WorkerDied:
        raise HarnessError(
            "-j: one of the processes was killed, perhaps for lack of memory; "
            "use fewer (-j 1: none)"
        ) from None
    finally:
        if isinstance(judged, Generator):
            judged.close()
        progress.end()


def run(args: argparse.Namespace, out: Terminal) -> int:
    paths = find_traces(args.paths, args.expression)
    if not paths:
        aside("kvm-replay: no trace to run")
        return 4
    if args.kernel_image is not None:
        for option in ("kernel", "update", "ktap", "junit"):
            if getattr(args, option):
                raise HarnessError(f"--kernel-image and --{option} do not go together")
        from harness.cli.identified import run_image  # reads images, which nothing else does

        return run_image(args.kernel_image, paths, args, out)
    patches = loaded()
    if patches and not any(p.fix.id in spec for p in patches for spec in args.kernel):
        for option in ("update", "ktap", "junit"):
            if getattr(args, option):
                raise HarnessError(f"--model without a kernel that has it, and --{option}")
        return max(run_proposed(patch, paths, args, out) for patch in patches)
    asked = tuple(dict.fromkeys(args.kernel))
    kernels = by_architecture(asked) if asked else {}
    seen: set[str] = set()
    # What is said by the way must not spoil what a machine reads.
    beside = Terminal(sys.stderr, args.color) if args.json or args.ktap else out
    grouped: list[tuple[str, list[Result]]] = []
    traces: list[Trace] = []
    broken: list[tuple[str, str]] = []
    with closing(_judge_each(paths, kernels, args.jobs)) as each:
        for path, judged in each:
            try:
                if isinstance(judged, HarnessError):
                    raise judged
                trace, judgements = judged
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
                traces.append(trace)
            except PatchError:
                raise
            except HarnessError as error:
                text = str(error) if isinstance(error, SourceError) else f"kvm-replay: {error}"
                broken.append((trace_id(path), text))
    left_out(asked, sorted(seen))
    if args.json:
        out.line(as_json(grouped, broken))
    elif args.ktap:
        out.line(as_ktap(grouped, broken))
    elif grouped and (not args.update or any(r.status.failed for _, rs in grouped for r in rs)):
        _table(out, grouped, args.quiet, tuple(_open(traces, grouped, asked)), bool(args.paths))
    if args.junit is not None:
        write(Path(args.junit), as_junit(grouped, broken) + "\n", parents=True)
    for _, text in broken:
        aside(text)
    if broken:
        return 2
    total = summary(grouped)
    if total["failed"]:
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


def _open(
    traces: list[Trace], grouped: list[tuple[str, list[Result]]], kernels: tuple[str, ...]
) -> Iterator[str]:
    """For each kernel that was asked about: its known bugs, and what it lacks of their fixes.

    Only what goes wrong counts, not what a trace expects or costs. The fixes are
    those that the trace cites.
    """
    for spec in kernels:
        rows, judged, unbuilt = [], 0, 0
        for trace, (_, results) in zip(traces, grouped, strict=True):
            found = [r.judgement for r in results if r.judgement.case.kernel.name == spec]
            judged += any(j.outcome is not None for j in found)
            unbuilt += any(not j.case.built for j in found)
            bad = [j for j in found if _bugs(j)]
            if bad:
                kinds = sorted({kind for j in bad for kind in _bugs(j)})
                new = _new(spec, trace, bad)
                rows.append(f"  {trace.id}: {', '.join(kinds)}{new}{_lacks(trace, bad)}")
        aside = f"; {unbuilt} are not built there" if unbuilt else ""
        yield f"{spec}: {len(rows)} of {judged} traces show a bug{aside}"
        for arch in sorted({trace.arch for trace in traces} & set(having(spec))):
            catalogue = architecture(arch).catalogue
            yield from (f"  {s}" for s in bad_backports(catalogue, catalogue.kernel(spec)))
        yield from rows


def _bugs(judgement: Judgement) -> set[str]:
    """What goes wrong there; what a trace expects of a kernel, or allows it, is no bug."""
    kinds = judgement.outcome.kinds if judgement.outcome is not None else ()
    return set(kinds) - NO_BUG


def _lacks(trace: Trace, bad: list[Judgement]) -> str:
    """What would end what is shown: the fixes that this kernel lacks, or has to its harm."""
    sets = cures(trace, bad[0].case.kernel, [j.case.mode for j in bad])
    if not sets:
        return "; no fix is known"
    ways = []
    for edits in sets:
        lacks = " and ".join(fix.id for sign, fix in edits if sign == "+")
        has = " and ".join(fix.id for sign, fix in edits if sign == "-")
        ways.append(" and ".join([f"lacks {lacks}"] * bool(lacks) + [f"has {has}"] * bool(has)))
    return f"; it {' or '.join(ways)}"


def _new(spec: str, trace: Trace, bad: list[Judgement]) -> str:
    """Whether nothing goes wrong there on the kernel without what `spec` changes of it."""
    base = architecture(trace.arch).catalogue.unedited(spec)
    if base == spec:
        return ""
    kernel = architecture(trace.arch).catalogue.kernel(base)
    found = [verdict(trace, kernel, j.case.mode) for j in bad]
    return "" if any(set(what or ()) - NO_BUG for what in found) else " (new)"


def _table(
    out: Terminal,
    grouped: list[tuple[str, list[Result]]],
    quiet: bool,
    known: tuple[str, ...],
    named: bool,
) -> None:
    for trace, results in grouped:
        bad = sum(r.status.failed for r in results)
        if quiet and not bad:
            continue
        state = (
            out.paint(f"{bad} of {len(results)} not as expected", "red", "bold")
            if bad
            else out.paint("ok", "green")
        )
        out.line(f"{out.paint(trace, 'bold')}: {state}")
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
    total = summary(grouped)
    good = total["cases"] - total["failed"] - total["skipped"]
    text = f"{many(total['traces'], 'trace')}, {many(total['cases'], 'case')}: {good} as expected"
    skipped = total["skipped"] - total["unbuilt"]
    text += f", {skipped} not judged" if skipped else ""
    text += f", {total['unbuilt']} not built" if total["unbuilt"] else ""
    wrong = total["failed"] - total["missing"]
    text += f", {total['missing']} without golden file" if total["missing"] else ""
    text += f", {wrong} NOT" if wrong else ""
    if not named:
        text += f" (traces: {display(default_root())})"
    for line in known:
        out.line(line)
    out.line(text)


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
