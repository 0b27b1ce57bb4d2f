"""`kvm-replay explain`: why a trace goes wrong."""

from __future__ import annotations

import argparse
import textwrap

from harness.cli.archs import bad_backports
from harness.cli.bisect import words
from harness.cli.show import add_target, head, target
from harness.cli.term import Terminal
from harness.dsl import Trace
from harness.engine import Step
from harness.errors import HarnessError
from harness.model import architecture
from harness.model.base import Violation
from harness.model.catalogue import Kernel
from harness.report.cause import Cause, explain
from harness.report.story import reaction_line, source_of
from harness.search.culprit import along, verdict


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "explain",
        help="say why a trace goes wrong",
        description="Say which event made a violation inevitable, where the value that was read "
        "came from, and where the value that should have been read was last seen.",
    )
    add_target(parser)
    parser.add_argument(
        "-n",
        dest="number",
        type=int,
        metavar="N",
        help="the Nth violation (default: the last wrong value, or the first of an invariant)",
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    trace, kernel, mode = target(args)
    cause = explain(trace, kernel, mode)
    found = [v for step in cause.steps for v in step.violations] if cause else []
    count = len(found)
    if args.number is not None and not 1 <= args.number <= count:
        there = "is 1 violation" if count == 1 else f"are {count or 'no'} violations"
        raise HarnessError(f"-n {args.number}: there {there} on {kernel.name} {mode}")
    head(out, trace, kernel, mode)
    if cause is None:
        out.line("holds: there is nothing to explain")
        return 0
    number = args.number or _telling(found)
    cause = explain(trace, kernel, mode, number)
    assert cause is not None
    _tell(out, trace, cause, number, count)
    _backports(out, trace, kernel, mode, cause.violation.kind)
    return 0


def _backports(out: Terminal, trace: Trace, kernel: Kernel, mode: str, kind: str) -> None:
    """The bad backports in `kernel` without which nothing of this kind goes wrong."""
    catalogue = architecture(trace.arch).catalogue
    pairs = catalogue.bad_backports(kernel)
    for (_, need), sentence in zip(pairs, bad_backports(catalogue, kernel), strict=True):
        mended = catalogue.adding(kernel, need)
        kinds = verdict(trace, mended, mode)
        if kinds is not None and kind not in kinds:
            added = along(catalogue, mended.fixes - kernel.fixes)
            names = " and ".join(fix.id for fix in added) or need
            out.line()
            _wrap(out, f"{sentence}. With {names} the trace {words(kinds)}.")


def _telling(found: list[Violation]) -> int:
    """Which to explain: the last wrong value, else what an invariant saw first, else the last."""
    values = [n for n, v in enumerate(found, 1) if v.got is not None]
    seen = [n for n, v in enumerate(found, 1) if v.kind != "expect"]
    return values[-1] if values else seen[0] if seen else len(found)


def _tell(out: Terminal, trace: Trace, cause: Cause, number: int, count: int) -> None:
    violation = cause.violation
    which = f"violation {number} of {count}, " if count > 1 else ""
    out.line(out.paint(f"{which}line {cause.step.event.line}: {violation.kind}", "red", "bold"))
    _wrap(out, violation.text)
    out.line(f"  at: {source_of(trace, cause.step.event)}")
    out.line()
    if cause.inevitable is not None:
        _step(out, trace, "inevitable since", cause.inevitable)
        who = violation.who
        _wrap(out, f"From there on {who} meets this as soon as it runs, whatever comes between.")
        _reactions(out, cause.inevitable)
    else:
        _step(out, trace, "it is an act of", cause.step)
        _reactions(out, cause.step)
    if cause.got_from:
        assert violation.got is not None
        out.line()
        out.line(f"{violation.got.bits:#x}, what would be read:")
        _wrap(out, cause.got_from)
    if cause.want_from:
        assert violation.want is not None
        out.line()
        out.line(f"{violation.want.bits:#x}, what should be read:")
        _wrap(out, cause.want_from)
        if cause.last_seen is not None:
            where = ", ".join(cause.last_seen.places)
            _wrap(out, f"last seen after line {cause.last_seen.line} in {where}")
        if cause.gone_after is not None:
            _step(out, trace, "  and nowhere since", cause.gone_after)


def _wrap(out: Terminal, text: str) -> None:
    for line in textwrap.wrap(text, 76, break_on_hyphens=False):
        out.line(f"  {line}")


def _step(out: Terminal, trace: Trace, label: str, step: Step) -> None:
    out.line(f"{label} line {step.event.line}: {source_of(trace, step.event)}")


def _reactions(out: Terminal, step: Step) -> None:
    for reaction in step.reactions:
        out.line(out.paint(f"    {reaction_line(reaction)}", "dim"))
