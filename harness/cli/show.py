"""`kvm-replay show`: what happened, step by step."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any

from harness.cli.select import find_traces
from harness.cli.term import Terminal
from harness.dsl import Trace, read_trace
from harness.engine import cases
from harness.errors import HarnessError
from harness.model import architecture
from harness.model.catalogue import Kernel
from harness.report.story import Page, reaction_line, tell
from harness.search.culprit import verdict


def add_target(parser: argparse.ArgumentParser) -> None:
    """The arguments of a command that is about one trace on one kernel."""
    parser.add_argument(
        "trace", metavar="TRACE", help="a file, or the name of one of the project's"
    )
    parser.add_argument(
        "--kernel", metavar="K", help="the kernel (default: the first that is said to fail)"
    )
    parser.add_argument(
        "--mode",
        metavar="M",
        help="how KVM runs, such as vhe (default: the first in which it goes wrong)",
    )


def target(args: argparse.Namespace) -> tuple[Trace, Kernel, str]:
    """The trace, kernel and mode that the arguments name."""
    paths = find_traces([args.trace])
    if len(paths) != 1:
        raise HarnessError(f"{args.trace}: expected one trace, found {len(paths)}")
    trace = read_trace(paths[0], scratch=args.kernel is not None)
    modes = architecture(trace.arch).modes
    if args.mode is not None and args.mode not in modes:
        raise HarnessError(f"unknown mode {args.mode!r}: {', '.join(modes)}")
    if args.mode is not None and args.mode not in trace.modes:
        raise HarnessError(f"{trace.id} is not for {args.mode}: {', '.join(trace.modes)}")
    names = () if args.kernel is None else (args.kernel,)
    fitting = [c for c in cases(trace, names) if args.mode in (None, c.mode)]
    failing = [c for c in fitting if c.verdict and not c.verdict.holds]
    able = [case for case in fitting if not case.unsupported]
    if args.kernel is not None:
        # Nobody may have said of this kernel in which modes it goes wrong.
        failing = [case for case in able if verdict(trace, case.kernel, case.mode)]
    for case in [*failing, *able]:
        if not case.unsupported:
            return trace, case.kernel, case.mode
    why = fitting[0].unsupported if fitting else "no verdict speaks of it"
    raise HarnessError(f"{trace.id} cannot be shown: {why}")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "show",
        help="show what happened, step by step",
        description="Replay one trace on one kernel and print each event, what the model did "
        "because of it, who owns the registers then, what changed and what went wrong.",
    )
    add_target(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=show)


def show(args: argparse.Namespace, out: Terminal) -> int:
    trace, kernel, mode = target(args)
    if args.json:
        tree = {
            "schema": "kvm-replay/show/1",
            "trace": trace.id,
            "title": trace.title,
            "kernel": kernel.name,
            "mode": mode,
            "steps": [_plain(page) for page in tell(trace, kernel, mode)],
        }
        out.line(json.dumps(tree, indent=1))
        return 0
    head(out, trace, kernel, mode)
    bad = 0
    for page in tell(trace, kernel, mode):
        bad += len(page.step.violations)
        _print(out, page)
    out.line(f"{bad} violation{'s' if bad != 1 else ''}" if bad else "holds")
    return 0


def _plain(page: Page) -> dict[str, Any]:
    """One step for JSON."""
    step = page.step
    return {
        "line": step.event.line,
        "event": page.source,
        "skipped": step.skipped or None,
        "reactions": [{"depth": r.depth, "kind": r.kind, "text": r.text} for r in step.reactions],
        "owners": page.owners,
        "changes": page.changes,
        "snapshots": list(step.snapshots),
        "violations": [
            {"invariant": v.kind, "who": v.who, "what": v.what, "text": v.text}
            for v in step.violations
        ],
    }


def head(out: Terminal, trace: Trace, kernel: Kernel, mode: str) -> None:
    """Title and target."""
    out.line(out.paint(f"{trace.id} on {kernel.name} {mode}", "bold"))
    out.line(textwrap.fill(trace.title, 80))
    out.line()


def _print(out: Terminal, page: Page) -> None:
    step = page.step
    out.line(out.paint(f"line {step.event.line}: {page.source}", "cyan", "bold"))
    if step.skipped:
        out.line(f"    skipped: {step.skipped}")
    for reaction in step.reactions:
        out.line(out.paint(f"    {reaction_line(reaction)}", "dim"))
    for owner in page.owners:
        for n, line in enumerate(textwrap.wrap(owner, 76, break_on_hyphens=False)):
            out.line(f"  {line}" if n == 0 else f"    {line}")
    for change in page.changes:
        for n, line in enumerate(textwrap.wrap(change, 74, break_on_hyphens=False)):
            out.line(f"  {'~' if n == 0 else ' '} {line}")
    for name in step.snapshots:
        out.line(f"  snapshot {name!r}")
    for violation in step.violations:
        text = textwrap.wrap(f"{violation.kind}: {violation.text}", 76, break_on_hyphens=False)
        for n, line in enumerate(text):
            out.line(out.paint(f"  {'!' if n == 0 else ' '} {line}", "red", "bold"))
    out.line()
