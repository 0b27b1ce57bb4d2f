"""`kvm-replay explain`: why a trace goes wrong."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Sequence

from harness.cli.archs import bad_backports
from harness.cli.bisect import words
from harness.cli.explained import Against, document
from harness.cli.show import add_target, head, target
from harness.cli.term import Terminal, many
from harness.dsl import Trace
from harness.engine import Case, Replay, Step
from harness.errors import HarnessError
from harness.model import architecture
from harness.model.catalogue import Kernel
from harness.report.cause import Cause, Difference, Link, explain
from harness.report.story import reaction_line, source_of
from harness.search.culprit import along, nearest_fixed, verdict
from harness.search.reach import Span, spans

_MOST = 8  # violations
_DIFFERENCES = 6
_REACTIONS = 12


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "explain",
        help="say why a trace goes wrong",
        description="Replay a trace on K, where it goes wrong, and on K2, where it does not. Say "
        "after which event the state of K first differs from the state of K2 in a way that leads "
        "to the violation, what differs, and how the difference reaches each violation. Then name "
        "the fix, the sources and the releases.",
    )
    add_target(parser)
    parser.add_argument(
        "--against",
        metavar="K2",
        help="the kernel to compare with (default: K with the smallest set of fixes that ends it, "
        "else the nearest kernel that the header says holds)",
    )
    parser.add_argument(
        "-n",
        dest="number",
        type=int,
        metavar="N",
        help=f"explain only the Nth violation (default: the first {_MOST})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    trace, kernel, mode = target(args)
    against = _against(trace, kernel, mode, args.against)
    count = len(Replay(trace, kernel, mode).run().violations)
    numbers = range(1, count + 1) if args.json else range(1, min(count, _MOST) + 1)
    if args.number is not None:
        if not 1 <= args.number <= count:
            there = "is 1 violation" if count == 1 else f"are {count or 'no'} violations"
            raise HarnessError(f"-n {args.number}: there {there} on {kernel.name} {mode}")
        numbers = range(args.number, args.number + 1)
    causes = explain(trace, kernel, mode, against.kernel, numbers)
    if args.json:
        tree = document(trace, kernel, mode, against, causes)
        out.line(json.dumps(tree, indent=1, sort_keys=True))
        return 0
    head(out, trace, kernel, mode)
    if not causes:
        out.line("holds: there is nothing to explain")
        return 0
    others = [m for m in trace.modes if m != mode and verdict(trace, kernel, m)]
    if args.mode is None and others:
        out.line(f"goes wrong under {', '.join(others)} as well: --mode tells of it")
    _compared(out, against)
    _tell(out, trace, causes, count, kernel, against)
    if args.number is None and count > _MOST:
        out.line(f"{many(count - _MOST, 'more violation')}: -n N explains the Nth")
        out.line()
    _fixes(out, kernel, against)
    _backports(out, trace, kernel, mode, {cause.violation.kind for cause in causes})
    _sources(out, trace)
    _releases(out, spans(trace, mode))
    return 0


def _against(trace: Trace, kernel: Kernel, mode: str, asked: str | None) -> Against:
    bad = verdict(trace, kernel, mode)
    fixed = nearest_fixed(trace, kernel, mode) if bad else None
    cures = fixed.cures if fixed is not None else ()
    if asked is not None:
        chosen = architecture(trace.arch).catalogue.kernel(asked)
        if verdict(trace, chosen, mode) is None:
            why = Case(trace, chosen, mode, None).unsupported or "an event of it cannot happen"
            raise HarnessError(f"--against {asked}: the trace cannot be judged there: {why}")
        return Against(chosen, "asked", cures)
    if fixed is None or fixed.kernel is None:
        return Against(None, "none", cures)
    return Against(fixed.kernel, "cure" if cures else "header", cures)


# For people --------------------------------------------------------------------------------


def _compared(out: Terminal, against: Against) -> None:
    if against.kernel is None:
        _wrap(
            out, "No kernel is known on which this trace holds: there is none to compare with.", ""
        )
    else:
        how = "; its header says that it holds there" if against.how == "header" else ""
        _wrap(out, f"compared with K2 = {against.kernel.name}{how}", "")
    out.line()


def _tell(
    out: Terminal, trace: Trace, causes: list[Cause], count: int, kernel: Kernel, against: Against
) -> None:
    """Each cause with all that it led to, in the order of events."""
    groups: dict[tuple[int, bool], list[Cause]] = {}
    for cause in causes:
        first = cause.links[0].step if cause.links else None
        line = first.event.line if first is not None else 0
        groups.setdefault((line if cause.links else -1, cause.proven), []).append(cause)
    for (line, _), group in sorted(groups.items(), key=lambda item: (item[0][0] < 0, item[0])):
        if line < 0:
            for cause in group:
                _alone(out, trace, cause, count, against)
        else:
            _chain(out, trace, group, count, kernel, against)


def _chain(
    out: Terminal, trace: Trace, group: list[Cause], count: int, kernel: Kernel, against: Against
) -> None:
    first = group[0]
    label = "cause" if first.proven else "first difference"
    steps: dict[int, tuple[Step | None, dict[Difference, None]]] = {}
    for cause in group:
        for link in cause.links:
            _, found = steps.setdefault(_line(link), (link.step, {}))
            found |= dict.fromkeys(link.differences)
    for cause in group:
        steps.setdefault(cause.step.event.line, (cause.step, {}))
    said: set[Difference] = set()
    for n, (line, (step, found)) in enumerate(sorted(steps.items())):
        here = [cause for cause in group if cause.step.event.line == line]
        new = [d for d in found if d not in said]
        said = set(found)
        if n and not new and not here:
            continue
        where = f"line {line}: {source_of(trace, step.event)}" if step else "before the first event"
        out.line(out.paint(f"{label}: {where}" if n == 0 else where, "cyan", "bold"))
        _differences(out, new)
        if n == 0:
            _did(out, first.did, kernel, against)
            if not new and here:
                _wrap(out, "goes wrong in this event itself (K2: it does not)")
            elif not new and not first.did:
                _wrap(out, "what differs is nothing that `show` prints")
        for cause in here:
            _violation(out, trace, cause, count)
        out.line()


def _line(link: Link) -> int:
    return link.step.event.line if link.step is not None else 0


def _differences(out: Terminal, found: Sequence[Difference]) -> None:
    for d in found[:_DIFFERENCES]:
        text = f"{d.place} is {d.bad} (K2: {d.good})"
        for n, line in enumerate(textwrap.wrap(text, 74, break_on_hyphens=False)):
            out.line(f"  {'~' if n == 0 else ' '} {line}")
    more = len(found) - _DIFFERENCES
    if more > 0:
        out.line(f"  ~ and {more} more")


def _did(out: Terminal, lines: list[str], kernel: Kernel, against: Against) -> None:
    if not lines or against.kernel is None:
        return
    _wrap(out, f"done on {kernel.name} alone (-), on K2 alone (+):")
    for line in lines[:_REACTIONS]:
        out.line(out.paint(f"    {line}", "dim"))
    more = len(lines) - _REACTIONS
    if more > 0:
        out.line(out.paint(f"    and {more} more", "dim"))


def _violation(out: Terminal, trace: Trace, cause: Cause, count: int) -> None:
    violation = cause.violation
    which = f"violation {cause.number} of {count}, " if count > 1 else "violation, "
    out.line(out.paint(f"  {which}line {cause.line}: {violation.kind}", "red", "bold"))
    _wrap(out, violation.text, "    ")
    since = cause.inevitable if cause.links else None
    if since is not None and since.event.line not in (cause.step.event.line, _cause_line(cause)):
        _wrap(
            out,
            f"inevitable since line {since.event.line}: {source_of(trace, since.event)}",
            "    ",
        )
    if violation.got is not None and cause.got_from:
        _wrap(out, f"{violation.got.bits:#x}: {cause.got_from}", "    ")
    if violation.want is not None and cause.want_from:
        _wrap(out, f"{violation.want.bits:#x}: {cause.want_from}{_seen(trace, cause)}", "    ")


def _cause_line(cause: Cause) -> int:
    return _line(cause.links[0]) if cause.links else -1


def _seen(trace: Trace, cause: Cause) -> str:
    text = ""
    if cause.last_seen is not None:
        where = ", ".join(cause.last_seen.places)
        text = f"; last seen after line {cause.last_seen.line} in {where}"
    if cause.gone_after is not None:
        event = cause.gone_after.event
        text += f", gone after line {event.line}: {source_of(trace, event)}"
    return text


def _alone(out: Terminal, trace: Trace, cause: Cause, count: int, against: Against) -> None:
    """A violation that no other kernel explains: since when it is inevitable."""
    where = f"line {cause.step.event.line}: {source_of(trace, cause.step.event)}"
    out.line(out.paint(where, "cyan", "bold"))
    _violation(out, trace, cause, count)
    if cause.shared:
        _wrap(out, "K2 violates it as well", "    ")
    step = cause.inevitable or cause.step
    if step is not cause.step:
        who = cause.violation.who
        text = f"From line {step.event.line} on {who} hits this when it next runs, "
        _wrap(out, f"{text}whatever happens in between. There the kernel did:", "    ")
    else:
        _wrap(out, f"caused directly by line {step.event.line}. There the kernel did:", "    ")
    for reaction in step.reactions[:_REACTIONS]:
        out.line(out.paint(f"      {reaction_line(reaction)}", "dim"))
    out.line()


def _fixes(out: Terminal, kernel: Kernel, against: Against) -> None:
    for n, cure in enumerate(against.cures):
        out.line("or ended by" if n else "ended by")
        for sign, fix in cure.edits:
            if sign == "-":
                out.line(f"  taking away {fix.id} ({fix.landed or fix.kind})")
            else:
                out.line(f"  {fix.id} ({fix.landed or fix.kind})")
            # Never wrapped: it is copied into mails and searched for.
            for commit in fix.commits:
                out.line(f'    {commit.id} ("{commit.title}")')
    if against.how == "none":
        return
    if not against.cures:
        out.line(f"no set of fixes is known that ends it on {kernel.name}")
    out.line()


def _backports(out: Terminal, trace: Trace, kernel: Kernel, mode: str, kinds: set[str]) -> None:
    """The bad backports in `kernel` without which nothing of these kinds goes wrong."""
    catalogue = architecture(trace.arch).catalogue
    pairs = catalogue.bad_backports(kernel)
    for (_, need), sentence in zip(pairs, bad_backports(catalogue, kernel), strict=True):
        mended = catalogue.adding(kernel, need)
        now = verdict(trace, mended, mode)
        if now is not None and kinds - set(now):
            added = along(catalogue, mended.fixes - kernel.fixes)
            names = " and ".join(fix.id for fix in added) or need
            _wrap(out, f"{sentence}. With {names} the trace {words(now)}.", "")
            out.line()


def _sources(out: Terminal, trace: Trace) -> None:
    out.line("sources")
    for link in trace.links:
        out.line(f"  <{link}>")
    for date, who, subject in trace.mails:
        out.line(f'  {date}, {who}, "{subject}"')
    for commit, title in trace.commits:
        out.line(f'  {commit} ("{title}")')
    for name in trace.recordings:
        out.line(f"  recording {name}")
    if not (trace.links or trace.mails or trace.commits or trace.recordings):
        out.line("  none: this trace names no source")
    out.line()


def _releases(out: Terminal, found: list[Span]) -> None:
    out.line("releases")
    for span in found:
        built = f" (built: {span.built.lstrip('+')})" if span.built else ""
        out.line(f"  {span.text}: {words(span.what)}{built}")


def _wrap(out: Terminal, text: str, indent: str = "  ") -> None:
    for n, line in enumerate(textwrap.wrap(text, 78 - len(indent), break_on_hyphens=False)):
        out.line(f"{indent}{'  ' if n else ''}{line}")
