"""`kvm-replay reduce`: the shortest trace that violates the same invariant in the same way."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from harness.cli.show import add_target, target
from harness.cli.term import Bar, Terminal, aside
from harness.dsl import Trace
from harness.dsl.check import Checker
from harness.dsl.format import format_lines
from harness.dsl.heading import header
from harness.dsl.nodes import fits
from harness.engine import Case, Replay
from harness.errors import HarnessError, SourceError, nearest, one_of
from harness.files import write
from harness.model import architecture
from harness.model.catalogue import Kernel
from harness.search.culprit import MOST_TOGETHER, closed, cured, verdict
from harness.search.play import play, units
from harness.search.reduce import Reducer
from harness.search.shortest import Tried, shorten


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "reduce",
        help="reduce a trace to the shortest that goes wrong in the same way",
        description="Take out events, make actors and CPUs one, take from the machine, and make "
        "values and names short, as long as the same invariant is violated on K, of the same kind "
        "of register, and nothing of the kind on a good kernel. A failed `expect` stays the same "
        "one, with the same answer. Then look for one that is shorter "
        "still among all that such events can make. Each line that is left says what comes of the "
        "trace without it. Ctrl-C ends it with the best so far. Exit status 1 if nothing is "
        "violated to begin with.",
    )
    add_target(parser)
    parser.add_argument(
        "--violation", metavar="KIND", help="the invariant (default: the first that is violated)"
    )
    parser.add_argument(
        "--good",
        metavar="K2",
        help="a kernel where what is left has to hold (default: the newest that the header says "
        "holds, and K with the smallest set of fixes that ends it)",
    )
    parser.add_argument(
        "--search",
        type=int,
        default=20,
        metavar="SECONDS",
        help="how long to look for one that is shorter still (default: 20; 0: not at all)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with the trace in it")
    parser.add_argument("-o", dest="output", metavar="FILE", help="write the trace there")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    trace, kernel, mode = target(args)
    known = architecture(trace.arch).invariants
    if args.violation is not None and args.violation not in known:
        hint = nearest(args.violation, known) or f": {one_of(known)}"
        raise HarnessError(f"unknown invariant {args.violation[:40]!r}{hint}")
    Replay(trace, kernel, mode).run()  # raises SourceError for an event that cannot happen
    bar = Bar()

    def progress(stage: str, n: int) -> None:
        bar.show(f"{stage}: {n} events")

    good, bad = _others(trace, kernel, mode, args.good)
    reducer = Reducer(trace, kernel, mode, args.violation, good, progress, bad)
    if reducer.way is None:
        what = args.violation or "invariant"
        aside(f"{trace.id}: no {what} is violated on {kernel.name} {mode}")
        return 1
    if args.good is not None and reducer.way.kind in (verdict(trace, good[0], mode) or ()):
        raise HarnessError(f"--good {args.good}: {reducer.way.kind} is violated there, too")
    reducer.good = tuple(k for k in good if reducer.way.kind not in (verdict(trace, k, mode) or ()))
    start, tried, whole = len(units(trace)), Tried(), True
    try:
        reducer.run()
        if args.search > 0:
            tried = shorten(reducer, args.search)
    except KeyboardInterrupt:
        whole = False
        bar.end()
        aside("interrupted; this is the best so far")
    else:
        bar.end()
    lines = story(reducer, kernel, mode)
    _check(reducer, lines)
    if args.output is not None:
        write(Path(args.output), "".join(line + "\n" for line in lines))
    if args.json:
        tree = _plain(reducer, lines, start, tried) | {"output": args.output, "whole": whole}
        out.line(json.dumps(tree, indent=1, sort_keys=True))
    elif args.output is None:
        for line in lines:
            out.line(line)
    text = f"{start} events -> {len(units(reducer.trace))}: {reducer.way.kind}"
    none = f"; none of its events with {tried.deep} or fewer" if tried.deep else ""
    if tried.all:
        none = "; with its tasks, vcpus and CPUs no shorter one exists"
        if reducer.good:
            none += f" that holds on {' and '.join(kernel.name for kernel in reducer.good)}"
        none += f" (events {','.join(tried.groups)})"
    aside(f"{text} on {kernel.name} {mode}{none}")
    return 0


def _others(
    trace: Trace, kernel: Kernel, mode: str, asked: str | None
) -> tuple[list[Kernel], list[Kernel]]:
    """The kernels on which what is left has to hold, and those on which it has to go wrong.

    It holds on the newest that the header says, and with the smallest cure. Without a part of that
    cure it goes wrong: else the rest of the cure would end another bug.
    """
    catalogue = architecture(trace.arch).catalogue
    if asked is not None:
        good = catalogue.kernel(asked)
        if verdict(trace, good, mode) is None:
            why = Case(trace, good, mode, None).unsupported or "an event of it cannot happen"
            raise HarnessError(f"--good {asked}: the trace cannot be judged there: {why}")
        return [good], []
    said = [v.kernel for v in trace.verdicts if v.holds and v.mode in (None, mode)]
    newest = [catalogue.kernel(name) for name in sorted(said, key=catalogue.order)]
    goods = [next((k for k in reversed(newest) if verdict(trace, k, mode) == ()), None)]
    cures = cured(trace, kernel, [mode], frozenset()) or cured(trace, kernel, [mode])
    bads: list[Kernel] = []
    if cures:
        cure = cures[0]
        goods.append(cure.kernel)
        if 1 < len(cure.edits) <= MOST_TOGETHER:
            change = cure.kernel.fixes ^ kernel.fixes
            for _, fix in cure.edits:
                rest = frozenset(f.id for _, f in cure.edits) - {fix.id}
                part = closed(catalogue, kernel.fixes, rest, change)
                if part is not None and fix.id not in part ^ kernel.fixes:
                    bads.append(Kernel(f"{kernel.name} without {fix.id}", part))
    found = {k.fixes: k for k in goods if k is not None}
    return list(found.values()), bads


def story(reducer: Reducer, kernel: Kernel, mode: str) -> list[str]:
    """The reduced trace as a file, with its verdict and what each event is for."""
    trace = reducer.trace
    kinds = Replay(trace, kernel, mode).run().kinds
    said = f"verdict {kernel.name} violates {', '.join(kinds)}"
    head = [said if line.startswith("verdict ") else line for line in header(trace)]
    shows = reducer.origin.shows
    if shows is not None and fits(shows, kinds):
        at = next(n for n, line in enumerate(head) if line.startswith("machine "))
        head.insert(at, f"class {shows}")
    if not any(line.startswith(("link ", "mail ", "commit ", "recording ")) for line in head):
        head.insert(1, f'recording "{trace.id}"')
    comments = iter(reducer.why())
    body = [
        line if line.startswith("expect ") else f"{line}  # {next(comments)}"
        for line in reducer.lines()
    ]
    return format_lines([*head, "", *body])


def _check(reducer: Reducer, lines: list[str]) -> None:
    """Raise HarnessError if what is to be printed is no trace, or goes wrong in another way."""
    trace, kernel = reducer.trace, reducer.kernel
    try:
        again = Checker(trace.path, trace.id).read(lines)
        ran = play(again, units(again), kernel, reducer.mode, reducer.way)
        why = "it goes wrong in another way" if ran.violation is None or ran.refused else ""
        Replay(again, kernel, reducer.mode).run()
    except SourceError as error:
        why = error.diagnostics[0].message
    if why:
        raise HarnessError(
            f"{trace.id}: the reduced trace cannot be printed: {why}; report this with the trace"
        )


def _plain(reducer: Reducer, lines: list[str], start: int, tried: Tried) -> dict[str, Any]:
    assert reducer.way is not None
    trace, why = reducer.trace, reducer.why()
    texts = [line for line in reducer.lines() if not line.startswith("expect ")]
    return {
        "schema": "kvm-replay/reduce/1",
        "trace": trace.id,
        "kernel": reducer.kernel.name,
        "mode": reducer.mode,
        "invariant": reducer.way.kind,
        "what": reducer.way.what,
        "good": [kernel.name for kernel in reducer.good],
        "bad": [kernel.name for kernel in reducer.bad],
        "before": start,
        "after": len(units(trace)),
        "none_with": tried.deep,
        "shortest": tried.all,
        "tried": list(tried.groups),
        "events": [{"text": text, "without": each} for text, each in zip(texts, why, strict=True)],
        "text": "".join(line + "\n" for line in lines),
    }
