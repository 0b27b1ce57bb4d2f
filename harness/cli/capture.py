"""`kvm-replay import` and `kvm-replay conform`: recordings of real kernels."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from harness.capture import known, of
from harness.capture.evidence import Evidence, gather
from harness.capture.text import Line, Recording
from harness.cli.term import Terminal, plain
from harness.dsl.format import format_lines
from harness.errors import HarnessError, nearest, one_of
from harness.files import write_lines
from harness.model import ARCHITECTURES, architecture
from harness.model.catalogue import Catalogue, Kernel

_PARSED = 10_000  # lines between two reports of progress


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    bring = commands.add_parser(
        "import",
        help="make a trace of what a kernel was recorded to do",
        description="Read a recording (text of tracefs `trace` or of `trace-cmd report`, plain, "
        ".gz, .xz or .bz2) and write the stimuli as a trace, each with the functions that the "
        "kernel then called. With --kernel the stimuli are replayed there, and the trace says "
        "what came of it; with --reduce only what leads to the first violation is kept. Exit "
        "status 1, and no trace, if too little of the recording was understood.",
    )
    _common(bring)
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
    bring.set_defaults(command=run_import)
    hold = commands.add_parser(
        "conform",
        help="hold the model against what a kernel was recorded to do",
        description="Replay the stimuli of a recording and compare what the model's functions "
        "call, and its state at each, with what was recorded. Exit status 1 if they differ "
        "anywhere, or if too little of the recording was understood or compared; 2 if it is "
        "another tool's or another architecture's.",
    )
    _common(hold)
    hold.add_argument("--kernel", required=True, metavar="K", help="the kernel of the recording")
    hold.add_argument("-n", dest="most", type=int, default=8, help="kinds of divergence to show")
    hold.add_argument(
        "--seconds", type=float, default=20.0, help="how long to look for fixes that would agree"
    )
    hold.add_argument("--json", action="store_true", help="print JSON")
    hold.set_defaults(command=run_conform)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("capture", metavar="CAPTURE", help="the recording, - for standard input")
    parser.add_argument(
        "--arch", choices=ARCHITECTURES, help="default: the one whose recordings are read"
    )
    parser.add_argument("--mode", metavar="MODE", help="default: as the recording shows")
    parser.add_argument(
        "--machine",
        metavar="SETTINGS",
        help="of a machine line, such as 'cpus 2; sve 16..256' (default: as the recording shows)",
    )


class _Bar:
    """Progress on a terminal's standard error."""

    def __init__(self, recording: Recording, what: str) -> None:
        self.recording = recording
        self.what = what
        self.on = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def lines(self) -> Iterator[Line]:
        if not self.on:
            yield from self.recording.lines()
            return
        for n, line in enumerate(self.recording.lines()):
            if n % _PARSED == 0:
                share = f"{100 * self.recording.progress:3.0f}%"
                sys.stderr.write(f"\r\x1b[K{self.what} {share} line {line.number}")
                sys.stderr.flush()
            yield line
        sys.stderr.write("\r\x1b[K")


def _mode(args: argparse.Namespace, tools: Any, shown: str) -> str:
    if args.mode is None:
        return shown
    if args.mode not in tools.MODES:
        hint = nearest(args.mode, tools.MODES)
        raise HarnessError(f"--mode {args.mode}: unknown{hint}; one of {', '.join(tools.MODES)}")
    mode: str = args.mode
    return mode


def _unsaid(tools: Any, mode: str) -> tuple[str, ...]:
    """What has to be known for a verdict, and neither the recording nor the user has said."""
    if mode != tools.UNKNOWN:
        return ()
    return (f"nothing in it shows how KVM ran: give --mode {one_of(tools.MODES)}",)


def _refuse_foreign(args: argparse.Namespace, survey: Any) -> None:
    """Raise HarnessError for a recording of another architecture."""
    if survey.foreign:
        raise HarnessError(
            f"{args.capture}: this is a recording of {survey.foreign}; only those of "
            f"{one_of(known())} are read"
        )


def _architecture(args: argparse.Namespace) -> tuple[str, Any]:
    """The architecture that the recording is of, and what reads it."""
    names = known()
    if args.arch is None and len(names) != 1:
        raise HarnessError(f"--arch: expected {one_of(names)}, of which there are recordings")
    name = args.arch or names[0]
    return name, of(name)


def _settings(
    arch: str, tools: Any, text: str | None, shown: dict[str, tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    cpus, most = shown["cpus"][1], architecture(arch).settings["cpus"].highest
    if cpus > most:
        raise HarnessError(f"the recording has events of {cpus} CPUs; the model has {most} at most")
    if text is None:
        return shown
    found = dict(shown)
    for part in filter(None, (p.strip() for p in text.split(";"))):
        name, _, value = part.partition(" ")
        low, _, high = value.strip().partition("..")
        try:
            found[name] = int(low), int(high or low)
        except ValueError:
            raise HarnessError(f"--machine: expected NAME NUMBER[..NUMBER], not {part!r}") from None
        if name not in tools.SETTINGS:
            raise HarnessError(f"--machine: {name!r} is none of {', '.join(tools.SETTINGS)}")
    if found["cpus"][1] < shown["cpus"][1]:
        raise HarnessError(f"--machine: the recording has events of {shown['cpus'][1]} CPUs")
    return found


def _check_built(
    catalogue: Catalogue, kernels: list[Kernel], settings: dict[str, tuple[int, int]]
) -> None:
    """Raise HarnessError for a kernel that cannot have made a recording on such a machine."""
    for kernel in kernels:
        for build in catalogue.unbuilt(kernel.fixes):
            if build.setting in settings:
                raise HarnessError(
                    f"{kernel.name} is not built with {build.option}, and the recording shows "
                    f"{build.setting}: give --kernel {kernel.name}+{build.built}"
                )


# import -----------------------------------------------------------------------------


def run_import(args: argparse.Namespace, out: Terminal) -> int:
    arch, tools = _architecture(args)
    catalogue = architecture(arch).catalogue
    kernels = [catalogue.kernel(spec) for spec in args.kernel]
    if (args.reduce or args.violation) and not kernels:
        raise HarnessError("--reduce and --violation need a --kernel to replay on")
    recording = Recording(args.capture)
    shown, cast = Shown(tools), tools.Cast()
    follower = tools.Follower(shown.lines(_Bar(recording, "importing").lines()))
    stream = tools.events(shown.items(follower.items()), cast)
    title = args.title or f"recorded: {Path(args.capture).name}"
    note = sys.stderr if args.output is None else out.stream
    if not kernels:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as body:
            for text in tools.body(stream):
                body.write(text + "\n")
            body.seek(0)
            _refuse_foreign(args, shown.survey)
            mode = _mode(args, tools, shown.survey.mode)
            evidence = gather(recording, follower, shown.stimuli, unsaid=_unsaid(tools, mode))
            if evidence.reasons:
                return _nothing(note, evidence, recording, follower, shown)
            settings = _settings(arch, tools, args.machine, shown.survey.settings())
            head = tools.header(title, _source(args.capture), mode, settings, cast)
            _write(args.output, out, chain((h + "\n" for h in head), body))
        _summary(note, recording, follower, shown)
        return 0
    stimuli = [s for s in stream if not isinstance(s, Line)]
    _refuse_foreign(args, shown.survey)
    mode = _mode(args, tools, shown.survey.mode)
    evidence = gather(recording, follower, shown.stimuli, unsaid=_unsaid(tools, mode))
    if evidence.reasons:
        return _nothing(note, evidence, recording, follower, shown)
    settings = _settings(arch, tools, args.machine, shown.survey.settings())
    _check_built(catalogue, kernels, settings)
    wanted = (args.violation,) if args.violation else ()
    deriver = tools.Deriver(kernels[0], mode, settings, cast)
    replayed = deriver.replay(stimuli, wanted)
    if args.reduce:
        if replayed.violation is None:
            _summary(note, recording, follower, shown)
            what = args.violation or "violation"
            note.write(f"no {what} on {kernels[0].name} {mode}: nothing to reduce\n")
            return 1
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
    _write(args.output, out, (line + "\n" for line in lines))
    _summary(note, recording, follower, shown)
    note.write("".join(f"{verdict}\n" for verdict in verdicts))
    return 0


def _nothing(
    stream: TextIO, evidence: Evidence, recording: Recording, follower: Any, shown: Shown
) -> int:
    """Say why no trace is written."""
    _summary(stream, recording, follower, shown)
    stream.write("".join(f"{plain(line)}\n" for line in _too_little(evidence)))
    stream.write("no trace was written\n")
    return 1


def _too_little(evidence: Evidence) -> list[str]:
    return [f"too little evidence: {reason}" for reason in evidence.reasons]


def _shrinking(n: int) -> None:
    sys.stderr.write(f"\r\x1b[Kreducing: {n} events")
    sys.stderr.flush()


def _source(path: str) -> str:
    return Path(path).name.replace('"', "'")


class Shown:
    """What a recording shows of its machine while it passes, for the header."""

    def __init__(self, tools: Any) -> None:
        self.survey = tools.Survey()
        self.tools = tools
        self.stimuli = 0
        self.inferred: Counter[str] = Counter()

    def lines(self, lines: Iterable[Line]) -> Iterator[Line]:
        found: Iterator[Line] = self.survey.lines(lines)
        return found

    def items(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            if type(item) is not Line and getattr(item, "kind", "") == "event":
                self.stimuli += 1
                if item.why:
                    self.inferred[item.why] += 1
            yield item


def _write(path: str | None, out: Terminal, lines: Iterable[str]) -> None:
    """Write a whole file or none."""
    if path is None:
        for line in lines:
            out.stream.write(line)
        return
    write_lines(Path(path), lines)


def _summary(stream: TextIO, recording: Recording, follower: Any, shown: Shown) -> None:
    def say(text: str) -> None:
        stream.write(plain(text) + "\n")

    say(f"{recording.number} lines, {recording.events} events, {shown.stimuli} stimuli")
    for why, n in shown.inferred.most_common():
        say(f"  inferred {n} times: {why}")
    for name, n in follower.notes.most_common():
        say(f"  {n} times: {name}")
    if follower.quiet:
        words = ", ".join(f"{name} {n}" for name, n in follower.quiet.most_common())
        say(f"  without bearing on the state: {words}")
    if follower.unknown:
        words = ", ".join(f"{name} {n}" for name, n in follower.unknown.most_common(20))
        more = len(follower.unknown) - 20
        say(f"  unknown: {words}" + (f" and {more} more names" if more > 0 else ""))
    for kind, n in recording.odd_kinds.most_common():
        say(f"  {kind}: {n}")
    for odd in recording.odd[:10]:
        say(f"    {recording.path}:{odd.number}: {odd.kind}: {odd.text}")


# conform ----------------------------------------------------------------------------


def run_conform(args: argparse.Namespace, out: Terminal) -> int:
    arch, tools = _architecture(args)
    catalogue = architecture(arch).catalogue
    kernel = catalogue.kernel(args.kernel)
    if args.capture == "-":
        raise HarnessError("conform reads a recording twice: give a file, not -")
    survey = tools.survey(Recording(args.capture))
    _refuse_foreign(args, survey)
    shown = _mode(args, tools, survey.mode)
    mode = tools.MODES[0] if shown == tools.UNKNOWN else shown
    settings = _settings(arch, tools, args.machine, survey.settings())
    _check_built(catalogue, [kernel], settings)
    config = tools.config(settings, mode)
    recording = Recording(args.capture)
    follower = tools.Follower(_Bar(recording, "conforming").lines(), survey.states)
    items = list(follower.items())
    verdict = tools.Conformer(kernel, mode, config, survey.names).feed(items)
    agreements = tools.explain(
        catalogue, kernel, mode, config, survey.names, items, verdict, args.seconds
    )
    verdict.mode = shown
    unsaid = _unsaid(tools, shown)
    evidence = gather(recording, follower, verdict.stimuli, verdict.events, unsaid)
    if args.json:
        tree = _tree(args, verdict, agreements, follower, recording, evidence)
        out.line(json.dumps(tree, indent=1))
    else:
        _report(out, args, verdict, agreements, follower, recording, evidence)
    return 1 if verdict.divergences or evidence.reasons else 0


def _report(
    out: Terminal,
    args: argparse.Namespace,
    verdict: Any,
    agreements: list[Any],
    follower: Any,
    recording: Recording,
    evidence: Evidence,
) -> None:
    out.line(
        f"{args.capture}: {recording.number} lines, {verdict.events} events, "
        f"{verdict.stimuli} stimuli, {verdict.compared} fields compared"
    )
    if follower.unknown:
        words = ", ".join(f"{name} {n}" for name, n in follower.unknown.most_common(8))
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
    out.line(plain(evidence.sentence()))
    for reason in _too_little(evidence):
        out.line(out.paint(plain(reason), "red"))
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
    verdict: Any,
    agreements: list[Any],
    follower: Any,
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
        "unknown": dict(follower.unknown),
        "odd": [o._asdict() for o in recording.odd],
        "evidence": evidence.tree(),
        "functions": {"exercised": sorted(verdict.asked), "of": verdict.model_functions},
        "first": [
            {
                "line": d.line,
                "cpu": d.cpu,
                "kind": d.kind,
                "where": d.where,
                "what": d.what,
                "kernel": d.kernel,
                "model": d.model,
                "stimulus": d.stimulus,
                "times": verdict.counts[d.signature],
            }
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
