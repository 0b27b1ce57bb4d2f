"""`kvm-replay conform`: the model held against what a kernel was recorded to do."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from harness.capture.evidence import Evidence, Tally, gather
from harness.capture.text import Recording
from harness.capture.verdict import Agreement, Verdict
from harness.cli.conform_log import conform_log, is_log
from harness.cli.recorded import (
    architecture_of,
    check_built,
    mode_of,
    options,
    refuse_foreign,
    settings_of,
    too_little,
    unsaid,
    watched,
)
from harness.cli.term import Terminal
from harness.errors import HarnessError
from harness.model import architecture


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    hold = commands.add_parser(
        "conform",
        help="hold the model against what a kernel was recorded to do",
        description="Replay the stimuli of a recording and compare what the model's functions "
        "call, and its state at each, with what was recorded. Or, for a log of kvm-replay-runner: "
        "what programs and guests read there, errnos and signals. Exit status 1 if they differ "
        "anywhere, or if too little of the recording was understood or compared; 2 if it is "
        "another tool's or another architecture's.",
    )
    options(hold)
    hold.add_argument("--kernel", required=True, metavar="K", help="the kernel of the recording")
    hold.add_argument("-n", dest="most", type=int, default=8, help="kinds of divergence to show")
    hold.add_argument(
        "--seconds", type=float, default=20.0, help="how long to look for fixes that would agree"
    )
    hold.add_argument("--json", action="store_true", help="print JSON")
    hold.set_defaults(command=run_conform)


def run_conform(args: argparse.Namespace, out: Terminal) -> int:
    if is_log(args.capture):
        return conform_log(args, out)
    arch, tools = architecture_of(args)
    catalogue = architecture(arch).catalogue
    kernel = catalogue.kernel(args.kernel)
    if args.capture == "-":
        raise HarnessError("conform reads a recording twice: give a file, not -")
    survey = tools.survey(Recording(args.capture))
    refuse_foreign(args, survey.foreign)
    shown = mode_of(args, tools, survey.mode)
    mode = tools.MODES[0] if shown == tools.UNKNOWN else shown
    settings = settings_of(arch, tools, args.machine, survey.settings())
    check_built(catalogue, [kernel], settings)
    config = tools.config(settings, mode)
    recording = Recording(args.capture)
    follower = tools.Follower(watched(recording, "conforming"), survey.states)
    items = list(follower.items())
    verdict = tools.Conformer(kernel, mode, config, survey.names).feed(items)
    agreements = tools.explain(
        catalogue, kernel, mode, config, survey.names, items, verdict, args.seconds
    )
    verdict.mode = shown
    missing = unsaid(tools, shown)
    evidence = gather(recording, follower.tally, verdict.stimuli, verdict.events, missing)
    if args.json:
        tree = _tree(args, verdict, agreements, follower.tally, recording, evidence)
        out.line(json.dumps(tree, indent=1))
    else:
        _report(out, args, verdict, agreements, follower.tally, recording, evidence)
    return 1 if verdict.divergences or evidence.reasons else 0


def _report(
    out: Terminal,
    args: argparse.Namespace,
    verdict: Verdict,
    agreements: list[Agreement],
    tally: Tally,
    recording: Recording,
    evidence: Evidence,
) -> None:
    out.line(
        f"{args.capture}: {recording.number} lines, {verdict.events} events, "
        f"{verdict.stimuli} stimuli, {verdict.compared} fields compared"
    )
    if tally.unknown:
        words = ", ".join(f"{name} {n}" for name, n in tally.unknown.most_common(8))
        out.line(f"  unknown events: {words}")
    for odd in recording.odd[:5]:
        out.line(f"  {odd.number}: {odd.kind}: {odd.text}")
    by_line = sorted(verdict.first.values(), key=lambda d: d.line)
    for found in by_line[: args.most]:
        n = verdict.counts[found.signature]
        again = f", {n} times" if n > 1 else ""
        out.line()
        out.line(
            out.paint(f"line {found.line}, cpu{found.cpu}: {found.where}: {found.what}", "bold")
            + again
        )
        out.line(f"  after   {found.stimulus}")
        out.line("  kernel  " + out.paint(found.kernel, "green"))
        out.line("  model   " + out.paint(found.model, "red"))
    if len(by_line) > args.most:
        out.line(f"\nand {len(by_line) - args.most} more kinds (-n shows more)")
    if agreements:
        out.line("\nfixes that would make them agree better, one at a time:")
        for a in agreements[:6]:
            share = f"{100 * a.verdict.share:.2f}%"
            out.line(f"  {share:>8} {a.verdict.divergences:6} divergences  {a.change}")
    out.line()
    out.line(evidence.sentence())
    for reason in too_little(evidence):
        out.line(out.paint(reason, "red"))
    style = "green" if not (verdict.divergences or evidence.reasons) else "red"
    out.line(
        out.paint(
            f"{verdict.kernel} {verdict.mode}: {verdict.explained} of {verdict.events} events "
            f"explained ({100 * verdict.share:.2f}%), {verdict.divergences} divergences",
            style,
        )
    )
    out.line(f"{len(verdict.asked)} of {verdict.model_functions} functions of the model exercised")


def _tree(
    args: argparse.Namespace,
    verdict: Verdict,
    agreements: list[Agreement],
    tally: Tally,
    recording: Recording,
    evidence: Evidence,
) -> dict[str, Any]:
    return {
        "schema": "kvm-replay/conform/1",
        "capture": args.capture,
        "kernel": verdict.kernel,
        "mode": verdict.mode,
        "lines": recording.number,
        "events": verdict.events,
        "explained": verdict.explained,
        "stimuli": verdict.stimuli,
        "fields": verdict.compared,
        "divergences": verdict.divergences,
        "unknown": dict(tally.unknown),
        "odd": [o._asdict() for o in recording.odd],
        "evidence": evidence.tree(),
        "functions": {"exercised": sorted(verdict.asked), "of": verdict.model_functions},
        "first": [
            asdict(d) | {"times": verdict.counts[d.signature]}
            for d in sorted(verdict.first.values(), key=lambda d: d.line)
        ],
        "would_agree": [
            {
                "change": a.change,
                "explained": a.verdict.explained,
                "divergences": a.verdict.divergences,
            }
            for a in agreements
        ],
    }
