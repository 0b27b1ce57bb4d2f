"""`kvm-replay reduce`: the shortest trace that violates the same invariant in the same way."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.show import add_target, target
from harness.cli.term import Bar, Terminal, aside
from harness.dsl import Trace
from harness.dsl.format import format_lines
from harness.engine import Case, Replay
from harness.errors import HarnessError, nearest, one_of
from harness.files import write
from harness.model import architecture
from harness.model.catalogue import Kernel
from harness.search.culprit import verdict
from harness.search.play import units
from harness.search.reduce import Reducer, header
from harness.search.shortest import shorten


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "reduce",
        help="reduce a trace to the shortest that goes wrong in the same way",
        description="Take out events, make actors and CPUs one, take from the machine, and make "
        "values and names short, as long as the same invariant is violated on K, of the same kind "
        "of register, and nothing of the kind on a good kernel. Then look for one that is shorter "
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
        help="a kernel where what is left has to hold (default: the newest that is said to)",
    )
    parser.add_argument(
        "--search",
        type=int,
        default=20,
        metavar="SECONDS",
        help="how long to look for one that is shorter still (default: 20; 0: not at all)",
    )
    parser.add_argument("-o", dest="output", metavar="FILE", help="write the trace there")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    trace, kernel, mode = target(args)
    known = architecture(trace.arch).invariants
    if args.violation is not None and args.violation not in known:
        hint = nearest(args.violation, known) or f": {one_of(known)}"
        raise HarnessError(f"unknown invariant {args.violation[:40]!r}{hint}")
    bar = Bar()

    def progress(stage: str, n: int) -> None:
        bar.show(f"{stage}: {n} events")

    reducer = Reducer(trace, kernel, mode, args.violation, _good(trace, args.good, mode), progress)
    if reducer.way is None:
        what = args.violation or "invariant"
        aside(f"{trace.id}: no {what} is violated on {kernel.name} {mode}")
        return 1
    if args.good is not None and reducer.good is not None:
        what = verdict(trace, reducer.good, mode) or ()
        if reducer.way.kind in what:
            raise HarnessError(f"--good {args.good}: {reducer.way.kind} is violated there, too")
    start, deep = len(units(trace)), 0
    try:
        reducer.run()
        if args.search > 0:
            deep = shorten(reducer, args.search)
    except KeyboardInterrupt:
        bar.end()
        aside("interrupted; this is the best so far")
    else:
        bar.end()
    lines = story(reducer, kernel, mode)
    if args.output is None:
        for line in lines:
            out.line(line)
    else:
        write(Path(args.output), "".join(line + "\n" for line in lines))
    text = f"{start} events -> {len(units(reducer.trace))}: {reducer.way.kind}"
    none = f"; none of its events with {deep} or fewer" if deep else ""
    aside(f"{text} on {kernel.name} {mode}{none}")
    return 0


def _good(trace: Trace, asked: str | None, mode: str) -> Kernel | None:
    catalogue = architecture(trace.arch).catalogue
    if asked is not None:
        good = catalogue.kernel(asked)
        what = verdict(trace, good, mode)
        if what is None:
            why = Case(trace, good, mode, None).unsupported or "an event of it cannot happen"
            raise HarnessError(f"--good {asked}: the trace cannot be judged there: {why}")
        return good
    said = [v.kernel for v in trace.verdicts if v.holds and v.mode in (None, mode)]
    good_ones = [catalogue.kernel(name) for name in sorted(said, key=catalogue.order)]
    return next((k for k in reversed(good_ones) if verdict(trace, k, mode) == ()), None)


def story(reducer: Reducer, kernel: Kernel, mode: str) -> list[str]:
    """The reduced trace as a file, with its verdict and what each event is for."""
    trace = reducer.trace
    kinds = Replay(trace, kernel, mode).run().kinds
    said = f"verdict {kernel.name} violates {', '.join(kinds)}"
    head = [said if line.startswith("verdict ") else line for line in header(trace)]
    if not any(line.startswith(("link ", "mail ", "commit ", "recording ")) for line in head):
        head.insert(1, f'recording "{trace.id}"')
    comments = iter(reducer.why())
    body = [
        line if line.startswith("expect ") else f"{line}  # {next(comments)}"
        for line in reducer.lines()
    ]
    return format_lines([*head, "", *body])
