"""`kvm-replay run --model FILE`: what a change of somebody's own makes of the corpus."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from harness.cli.term import Progress, Terminal
from harness.dsl import read_trace
from harness.engine.judge import Case, judge
from harness.errors import HarnessError, SourceError
from harness.model import architecture
from harness.model.catalogue import RELEASES, Catalogue, Kernel
from harness.model.patch import Patch


class Change(NamedTuple):
    """A trace that says something else of a kernel with the change than of it without."""

    trace: str
    kernel: str
    mode: str
    was: str
    now: str
    worse: bool


def run_proposed(
    patch: Patch, paths: Iterable[Path], args: argparse.Namespace, out: Terminal
) -> int:
    """Exit status 1 if a trace violates more with the change than without."""
    catalogue = architecture(patch.arch).catalogue
    pairs = [_pair(catalogue, spec, patch) for spec in args.kernel or [RELEASES[-1]]]
    traces = [t for t in map(read_trace, paths) if t.arch == patch.arch]
    progress = Progress(len(traces))
    changes, judged = [], 0
    for trace in traces:
        progress.step(trace.id)
        for before, after in pairs:
            for mode in trace.modes:
                cases = [Case(trace, kernel, mode, None) for kernel in (before, after)]
                if all(case.unsupported for case in cases):
                    continue
                (was, had), (now, has) = (_said(case) for case in cases)
                judged += 1
                if was != now:
                    worse = bool(has - had) or (now.startswith("cannot") and not had)
                    changes.append(Change(trace.id, before.name, mode, was, now, worse))
    progress.end()
    worsened = sum(change.worse for change in changes)
    if args.json:
        tree = {
            "schema": "kvm-replay/run-model/1",
            "fix": patch.fix.id,
            "kernels": [before.name for before, _ in pairs],
            "judged": judged,
            "changes": [change._asdict() for change in changes],
        }
        out.line(json.dumps(tree, indent=1, sort_keys=True))
        return 1 if worsened else 0
    for change in changes:
        style = "red" if change.worse else "green"
        out.line(f"{out.paint(change.trace, 'bold')} on {change.kernel} {change.mode}")
        out.line(f"  {change.was} -> {out.paint(change.now, style)}")
    names = ", ".join(before.name for before, _ in pairs)
    s = "" if len(changes) == 1 else "s"
    text = f"{patch.fix.id} on {names}: {judged} cases, {len(changes)} change{s}"
    out.line(f"{text}, {worsened} for the worse")
    return 1 if worsened else 0


def _pair(catalogue: Catalogue, spec: str, patch: Patch) -> tuple[Kernel, Kernel]:
    before = catalogue.kernel(spec)
    if patch.fix.id in before.fixes:
        raise HarnessError(f"{spec} has {patch.fix.id}; name the kernel without it")
    return before, catalogue.kernel(f"{spec}+{patch.fix.id}")


def _said(case: Case) -> tuple[str, frozenset[str]]:
    """What comes of a case, and the invariants that are violated."""
    try:
        judgement = judge(case)
    except SourceError as error:
        return f"cannot happen: {error.diagnostics[0].message}", frozenset()
    outcome = judgement.outcome
    return judgement.text, frozenset(outcome.kinds if outcome else ())
