"""`kvm-replay import`: a trace of what a kernel was recorded to do."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.capture.evidence import Evidence, Tally, gather
from harness.capture.text import Line, Recording
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
from harness.cli.term import Terminal, plain
from harness.dsl.format import format_lines
from harness.errors import HarnessError
from harness.files import kept, write_lines
from harness.model import architecture


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    bring = commands.add_parser(
        "import",
        help="make a trace of what a kernel was recorded to do",
        description="Read a recording (text of tracefs `trace` or of `trace-cmd report`, plain, "
        ".gz, .xz or .bz2) and write the stimuli as a trace, each with the functions that the "
        "kernel then called. With --kernel the stimuli are replayed there, and the trace says "
        "what came of it; with --reduce only what leads to the first violation is kept. Exit "
        "status 1, and no trace, if too little of the recording was understood.",
    )
    options(bring)
    bring.add_argument("-o", dest="output", metavar="FILE", help="write the trace there")
    bring.add_argument(
        "--kernel", action="append", default=[], metavar="K", help="replay on K and give a verdict"
    )
    bring.add_argument(
        "--reduce",
        action="store_true",
        help="keep the fewest events that violate an invariant on the first K",
    )
    bring.add_argument(
        "--violation", metavar="KIND", help="the invariant to look for (default: the first grave)"
    )
    bring.add_argument("--title", help="the trace's title")
    bring.add_argument(
        "--json", action="store_true", help="print JSON; the trace is in it, unless -o is given"
    )
    bring.set_defaults(command=run_import)


def run_import(args: argparse.Namespace, out: Terminal) -> int:
    arch, tools = architecture_of(args)
    catalogue = architecture(arch).catalogue
    kernels = [catalogue.kernel(spec) for spec in args.kernel]
    if (args.reduce or args.violation) and not kernels:
        raise HarnessError("--reduce and --violation need a --kernel to replay on")
    recording = Recording(args.capture)
    shown, cast = Shown(tools), tools.Cast()
    follower = tools.Follower(shown.survey.lines(watched(recording, "importing")))
    stream = tools.events(shown.items(follower.items()), cast)
    title = args.title or f"recorded: {Path(args.capture).name}"
    told = Told(args, out, recording, follower.tally, shown)
    if not kernels:
        with kept(text + "\n" for text in tools.body(stream)) as body:
            refuse_foreign(args, shown.survey.foreign)
            mode = mode_of(args, tools, shown.survey.mode)
            evidence = gather(recording, follower.tally, shown.stimuli, unsaid=unsaid(tools, mode))
            if evidence.reasons:
                return told.nothing(evidence)
            settings = settings_of(arch, tools, args.machine, shown.survey.settings())
            head = tools.header(title, _source(args.capture), mode, settings, cast)
            return told.trace(evidence, mode, chain((h + "\n" for h in head), body))
    stimuli = [s for s in stream if not isinstance(s, Line)]
    refuse_foreign(args, shown.survey.foreign)
    mode = mode_of(args, tools, shown.survey.mode)
    evidence = gather(recording, follower.tally, shown.stimuli, unsaid=unsaid(tools, mode))
    if evidence.reasons:
        return told.nothing(evidence)
    settings = settings_of(arch, tools, args.machine, shown.survey.settings())
    check_built(catalogue, kernels, settings)
    wanted = (args.violation,) if args.violation else ()
    deriver = tools.Deriver(kernels[0], mode, settings, cast)
    replayed = deriver.replay(stimuli, wanted)
    if args.reduce:
        if replayed.violation is None:
            what = args.violation or "violation"
            why = f"no {what} on {kernels[0].name} {mode}: nothing to reduce"
            return told.nothing(evidence, [why])
        progress = _shrinking if sys.stderr.isatty() else (lambda n: None)
        stimuli = deriver.reduce(replayed.kept, replayed.violation, progress)
        cast = deriver.cast_of(stimuli)
        names = cast.short()
        cast, stimuli = cast.renamed(names), tools.renamed(stimuli, names)
    else:
        stimuli = deriver.replay(stimuli, ("none",)).kept
    verdicts = []
    for kernel in kernels:
        kinds = tools.Deriver(kernel, mode, settings, cast).kinds(stimuli)
        what = f"violates {', '.join(kinds)}" if kinds else "holds"
        verdicts.append(f"verdict {kernel.name} {what}")
    head = tools.header(title, _source(args.capture), mode, settings, cast, verdicts)
    lines = format_lines([*head, *tools.body(stimuli)])
    return told.trace(evidence, mode, (line + "\n" for line in lines), verdicts)


def _shrinking(n: int) -> None:
    sys.stderr.write(f"\r\x1b[Kreducing: {n} events")
    sys.stderr.flush()


def _source(path: str) -> str:
    return Path(path).name.replace('"', "'")


class Shown:
    """What a recording shows of its machine while it passes, for the header."""

    def __init__(self, tools: ModuleType) -> None:
        self.survey = tools.Survey()
        self.stimuli = 0
        self.inferred: Counter[str] = Counter()

    def items(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            if type(item) is not Line and getattr(item, "kind", "") == "event":
                self.stimuli += 1
                if item.why:
                    self.inferred[item.why] += 1
            yield item


class Told:
    """What is said of an import: by the way for people, or as one document."""

    def __init__(
        self,
        args: argparse.Namespace,
        out: Terminal,
        recording: Recording,
        tally: Tally,
        shown: Shown,
    ) -> None:
        self.args = args
        self.out = out
        self.recording = recording
        self.tally = tally
        self.shown = shown

    def trace(
        self, evidence: Evidence, mode: str, lines: Iterable[str], verdicts: Iterable[str] = ()
    ) -> int:
        """Write a whole trace or none, and say what it was made of."""
        args, verdicts, text = self.args, tuple(verdicts), None
        if args.output is not None:
            write_lines(Path(args.output), lines)
        elif args.json:
            text = "".join(lines)
        else:
            for line in lines:
                self.out.stream.write(line)
        self._say(evidence, verdicts, mode, text)
        return 0

    def nothing(self, evidence: Evidence, reasons: Iterable[str] = ()) -> int:
        """Say why no trace is written."""
        lines = tuple(reasons) or (*too_little(evidence), "no trace was written")
        self._say(evidence, lines, None, None)
        return 1

    def _say(
        self, evidence: Evidence, lines: tuple[str, ...], mode: str | None, text: str | None
    ) -> None:
        args, tally, recording = self.args, self.tally, self.recording
        if args.json:
            written = mode is not None
            tree = {
                "schema": "kvm-replay/import/1",
                "capture": args.capture,
                "mode": mode,
                "output": args.output if written else None,
                "trace": text,
                "verdicts": list(lines) if written else [],
                "reasons": [] if written else list(lines),
                "lines": recording.number,
                "events": recording.events,
                "stimuli": self.shown.stimuli,
                "evidence": evidence.tree(),
                "inferred": dict(self.shown.inferred),
                "notes": dict(tally.notes),
                "without_bearing": dict(tally.quiet),
                "unknown": dict(tally.unknown),
                "odd": [odd._asdict() for odd in recording.odd],
            }
            self.out.line(json.dumps(tree, indent=1))
            return
        note = sys.stderr if args.output is None else self.out.stream
        for line in (*self._summary(), *lines):
            note.write(plain(line) + "\n")

    def _summary(self) -> Iterator[str]:
        tally, recording = self.tally, self.recording
        yield f"{recording.number} lines, {recording.events} events, {self.shown.stimuli} stimuli"
        for why, n in self.shown.inferred.most_common():
            yield f"  inferred {n} times: {why}"
        for name, n in tally.notes.most_common():
            yield f"  {n} times: {name}"
        if tally.quiet:
            words = ", ".join(f"{name} {n}" for name, n in tally.quiet.most_common())
            yield f"  without bearing on the state: {words}"
        if tally.unknown:
            words = ", ".join(f"{name} {n}" for name, n in tally.unknown.most_common(20))
            more = len(tally.unknown) - 20
            yield f"  unknown: {words}" + (f" and {more} more names" if more > 0 else "")
        for kind, n in recording.odd_kinds.most_common():
            yield f"  {kind}: {n}"
        for odd in recording.odd[:10]:
            yield f"    {recording.path}:{odd.number}: {odd.kind}: {odd.text}"
