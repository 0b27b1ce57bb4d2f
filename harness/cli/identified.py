"""What `kvm-replay identify` and `kvm-replay run --kernel-image` do once they are called."""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.cli.bugs import Gate
from harness.cli.imaged import Subject, ask, open_image
from harness.cli.layouts import difference, show_layout
from harness.cli.select import find_traces
from harness.cli.term import Progress, Terminal, aside, many
from harness.dsl import Trace, read_trace
from harness.dsl.reader import trace_id
from harness.errors import SourceError
from harness.files import write
from harness.identify import Exposure, Finding, Identity, Judge, Leaf
from harness.identify.evidence import State
from harness.image import Image
from harness.model.catalogue import RELEASES, Catalogue
from harness.report.formats import Entry, as_junit, as_ktap, broken_entries, plain_finding
from harness.search.bugs import Finding as Bug

STATES: tuple[State, ...] = ("present", "absent", "unknown")
MAX_ROWS = 6


def run(args: argparse.Namespace, out: Terminal) -> int:
    gc.disable()  # many small things that all stay: to look for garbage takes a fifth of the time
    subject = open_image(args.image)
    if args.diff is not None:
        return difference(subject, open_image(args.diff), args, out)
    if args.layout:
        return show_layout(subject, args, out)
    identity = ask(subject)
    exposures = expose(subject, identity, read_traces(subject, find_traces([])))
    if args.json:
        tree = {
            "schema": "kvm-replay/identify/1",
            **_head(subject, identity),
            "fixes": {f.fix: _plain(f, subject.catalogue) for f in identity.findings.values()},
            "traces": {e.trace.id: plain_exposure(e) for e in exposures},
        }
        out.line(json.dumps(tree, indent=1, sort_keys=True))
        return 0
    _print_head(subject, identity, out)
    _, beyond, without = nearest(identity, subject.catalogue)
    _print_findings(identity, {*beyond, *without} if args.quiet else None, out)
    print_exposures(exposures, out)
    return 0


def run_image(
    path: str, paths: Iterable[Path], args: argparse.Namespace, gate: Gate, out: Terminal
) -> int:
    """`kvm-replay run --kernel-image`: what comes of these traces, trace by trace."""
    gc.disable()
    subject = open_image(path)
    identity = ask(subject)
    traces, broken, left = [], [], 0
    for each in paths:
        try:
            trace = read_trace(each, scratch=True)
        except SourceError as error:
            broken.append((trace_id(each), str(error)))
        else:
            traces += [trace] if trace.arch == subject.arch else []
            left += trace.arch != subject.arch
    if left:
        rest = f"{many(left, 'trace')} of other architectures left out"
        aside(f"kvm-replay: {subject.image.name} is of {subject.arch}: {rest}")
    exposures = expose(subject, identity, traces)
    found = [exposure.found for exposure in exposures if exposure.found is not None]
    if args.json:
        tree = {
            "schema": "kvm-replay/run-image/1",
            **_head(subject, identity),
            "kernels": [subject.image.name],
            "traces": {e.trace.id: plain_exposure(e) for e in exposures},
            "findings": [plain_finding(each) for each in found],
            "errors": [{"trace": name, "message": text} for name, text in broken],
        }
        out.line(json.dumps(tree, indent=1, sort_keys=True))
    elif not args.ktap:
        if not args.quiet:
            _print_rows(subject.image, exposures, out)
        print_exposures(exposures, out)
        out.line(gate.tally(found))
    known = gate.tolerated(found)
    suites = [(e.trace.id, list(_entries(e, known))) for e in exposures]
    judged = any(each.state != "skipped" for _, entries in suites for each in entries)
    suites += broken_entries(broken)
    if args.ktap:
        out.line(as_ktap(suites))
    if args.junit is not None:
        write(Path(args.junit), as_junit(suites) + "\n", parents=True)
    for _, text in broken:
        aside(text)
    if broken:
        return 2
    if any(map(gate.fails, found)):
        return 1
    return 0 if judged else 4


def _entries(exposure: Exposure, known: Container[Bug]) -> Iterator[Entry]:
    """The modes of a trace as outside tools count them: what nobody can tell is skipped."""
    if exposure.why_not:
        yield Entry("read", "skipped", exposure.why_not)
    for mode in exposure.modes:
        state, found = exposure.state(mode), exposure.found
        if state == "hit" and found is not None:
            message = f"{', '.join(found.invariants)}; {found.ended_by}"
            yield Entry(mode, "known" if found in known else "failed", message, found.commits)
        elif state == "depends":
            yield Entry(mode, "skipped", f"depends on {', '.join(exposure.depends_on())}")
        elif all(leaf.kinds is None for leaf in exposure.modes[mode]):
            yield Entry(mode, "skipped", exposure.modes[mode][0].text)
        else:
            yield Entry(mode, "ok")


def _print_rows(image: Image, exposures: list[Exposure], out: Terminal) -> None:
    out.line(f"{out.paint(image.name, 'bold')}: {image.banner or 'no banner'}")
    for exposure in exposures:
        out.line(out.paint(exposure.trace.id, "bold"))
        if exposure.why_not:
            out.line(f"  {'-':<9} {out.paint('not judged: ' + exposure.why_not, 'dim')}")
        rows: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for mode, leaves in exposure.modes.items():
            texts = {leaf.text for leaf in leaves}
            # Combinations that come to the same are not told apart.
            row = (
                (("", leaves[0].text),)
                if len(texts) == 1 and exposure.whole
                else tuple((_if(leaf), leaf.text) for leaf in leaves)
            )
            rows.setdefault(row, []).append(mode)
        for row, modes in rows.items():
            for when, text in row[:MAX_ROWS]:
                style = "yellow" if text.startswith("violates") else "dim"
                out.line(f"  {' '.join(modes):<9} {out.paint(text, style)}{when}")
            if len(row) > MAX_ROWS:
                out.line(f"  {' '.join(modes):<9} and {len(row) - MAX_ROWS} more combinations")


def _if(leaf: Leaf) -> str:
    says = [f"{'with' if on else 'without'} {fix}" for fix, on in leaf.decided]
    return f", {', '.join(says)}" if says else ""


def read_traces(subject: Subject, paths: Iterable[Path]) -> list[Trace]:
    """The traces in these files that are of the image's architecture."""
    traces = (read_trace(path, scratch=True) for path in paths)
    return [trace for trace in traces if trace.arch == subject.arch]


def expose(subject: Subject, identity: Identity, traces: list[Trace]) -> list[Exposure]:
    """What comes of the traces on the identified kernel."""
    image, _, evidence = subject
    judge = Judge(identity, subject.catalogue, evidence.options, image.name)
    gc.freeze()  # the image stays as it is
    gc.enable()
    progress = Progress(len(traces))
    exposures = []
    for trace in traces:
        progress.step(trace.id)
        exposures.append(judge.expose(trace))
    progress.end()
    return exposures


def nearest(identity: Identity, catalogue: Catalogue) -> tuple[str, list[str], list[str]]:
    """The known kernel that disagrees least, and what this one has beyond it and lacks of it."""
    best: tuple[int, str, list[str], list[str]] | None = None
    present, absent = identity.having("present"), identity.having("absent")
    for name in (*RELEASES, *catalogue.hybrids):
        known = catalogue.named(name)
        beyond, without = sorted(present - known), sorted(absent & known)
        if best is None or len(beyond) + len(without) < best[0]:
            best = (len(beyond) + len(without), name, beyond, without)
    assert best is not None
    return best[1:]


def _head(subject: Subject, identity: Identity) -> dict[str, Any]:
    image = subject.image
    name, beyond, without = nearest(identity, subject.catalogue)
    return {
        "image": image.name,
        "banner": image.banner,
        "kinds": list(image.kinds),
        "options": identity.options,
        "notes": image.notes,
        "nearest": {"kernel": name, "beyond": beyond, "without": without},
    }


def _plain(finding: Finding, catalogue: Catalogue) -> dict[str, Any]:
    return {
        "state": finding.state,
        "evidence": list(finding.evidence),
        "follows": finding.follows,
        "switch": catalogue.fixes[finding.fix].switch,
    }


def _print_head(subject: Subject, identity: Identity, out: Terminal) -> None:
    image = subject.image
    out.line(f"{out.paint(image.name, 'bold')}: {image.banner or 'no banner'}")
    built = [n for n, there in identity.options.items() if there]
    lacking = [n for n, there in identity.options.items() if there is False]
    text = f"read from: {', '.join(image.kinds)}"
    text += f"; built with {', '.join(built)}" if built else ""
    text += f"; without {', '.join(lacking)}" if lacking else ""
    out.line(text)
    for note in image.notes:
        out.line(f"of no use: {note}")
    counts = ", ".join(f"{len(identity.having(state))} {state}" for state in STATES)
    out.line(f"{len(identity.findings)} fixes: {counts}")
    name, beyond, without = nearest(identity, subject.catalogue)
    out.line(f"nearest known kernel: {name}")
    for sign, fixes in (("+", beyond), ("-", without)):
        if fixes:
            out.line(f"  {sign} {', '.join(fixes)}")


def _print_findings(identity: Identity, only: set[str] | None, out: Terminal) -> None:
    for state in STATES:
        group = [f for f in identity.findings.values() if f.state == state]
        if only is not None:
            group = [f for f in group if f.fix in only]
        if group:
            out.line()
            out.line(out.paint(state, "bold"))
        for finding in group:
            out.line(f"  {finding.fix:<22} {'; '.join(finding.evidence)}")


def print_exposures(exposures: list[Exposure], out: Terminal) -> None:
    """The traces: what can be hit, what depends on an unknown, and how many cannot."""
    hits = [e for e in exposures if e.verdict == "hit"]
    open_ = [e for e in exposures if e.verdict == "depends"]
    rest = [e for e in exposures if e.verdict == "cannot"]
    out.line()
    out.line(out.paint(f"can hit {len(hits)} of {len(exposures)} traces", "bold"))
    for exposure in hits:
        out.line(f"  {exposure.trace.id}: {out.paint(said(exposure), 'yellow')}")
    if open_:
        out.line(out.paint(f"depends on an unknown: {len(open_)}", "bold"))
    for exposure in open_:
        out.line(f"  {exposure.trace.id}: {said(exposure)}")
    reasons: dict[str, int] = {}
    for exposure in rest:
        why = exposure.why_not or ("" if exposure.judged else "cannot run here")
        reasons[why or "nothing goes wrong"] = reasons.get(why or "nothing goes wrong", 0) + 1
    text = ", ".join(f"{why}: {n}" for why, n in sorted(reasons.items()))
    out.line(out.paint(f"cannot hit {len(rest)}", "bold") + (f" ({text})" if text else ""))


def said(exposure: Exposure) -> str:
    """A trace's result in words: the invariants, and on what it depends."""
    if exposure.why_not:
        return exposure.why_not
    kinds = {
        k
        for leaves in exposure.modes.values()
        for leaf in leaves
        if leaf.hit
        for k in leaf.kinds or ()
    }
    text = ", ".join(sorted(kinds))
    hit = [mode for mode in exposure.modes if exposure.state(mode) == "hit"]
    if exposure.verdict == "hit":
        if len(hit) < len(exposure.modes):
            text += f" ({' '.join(hit)})"
        return f"{text}; {exposure.found.ended_by}" if exposure.found else text
    if exposure.verdict == "cannot":
        return "holds" if exposure.judged else "cannot run here"
    fixes = ", ".join(exposure.depends_on())
    text = f"{text or 'undecided'}, depends on {fixes}"
    return text if exposure.whole else text + " (not all combinations tried)"


def plain_exposure(exposure: Exposure) -> dict[str, Any]:
    """A trace's result for JSON: every combination that was tried."""
    tree: dict[str, Any] = {"verdict": exposure.verdict, "modes": {}}
    if exposure.why_not:
        tree["why"] = exposure.why_not
    if exposure.verdict == "depends":
        tree["depends"] = list(exposure.depends_on())
        tree["whole"] = exposure.whole
    for mode, leaves in exposure.modes.items():
        tree["modes"][mode] = [
            {"if": dict(leaf.decided), "verdict": leaf.text, "hit": leaf.hit} for leaf in leaves
        ]
    return tree
