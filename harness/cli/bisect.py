"""`kvm-replay bisect`: which fix makes a trace's verdict change."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cli.archs import bad_backports
from harness.cli.select import find_traces
from harness.cli.term import Terminal, aside
from harness.dsl import Trace, read_trace
from harness.engine.judge import Case, unbuilt
from harness.errors import HarnessError, nearest, one_of
from harness.model import architecture
from harness.model.catalogue import RELEASES, Catalogue, Fix, Kernel
from harness.search.culprit import Flip, Verdict, along, between, closed, every_flip, told
from harness.search.repository import Question, bisect, git, root_of


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "bisect",
        help="find the fix that makes a trace's verdict change",
        description="Judge a trace on every release and say of each change of verdict which fix "
        "makes it: the smallest set of fixes that alone turns the one into the other. Other "
        "kernels that the header names (v6.6+FIX, v6.18-FIX) come first, each compared with the "
        "nearest one that the trace holds on. A bad backport that a verdict names is compared with "
        "its base. A verdict is the same only if each `expect` gets the same answer. With --good "
        "and --bad: between two kernels, whatever else they differ in. Exit status 0 if something "
        "was found, 1 if the verdict never changes.",
    )
    parser.add_argument("trace", metavar="TRACE", help="a file, or a name")
    parser.add_argument(
        "--good", metavar="K", help="a kernel where the trace holds, or goes wrong in another way"
    )
    parser.add_argument("--bad", metavar="K", help="a kernel where it goes wrong")
    parser.add_argument("--mode", metavar="M", help="default: each mode of the trace")
    parser.add_argument(
        "--git",
        nargs=2,
        metavar=("GOOD", "BAD"),
        help="bisect this repository's own history instead: the first commit after GOOD whose "
        "model says of the trace on --kernel what BAD's says; in a work tree of its own",
    )
    parser.add_argument("--kernel", metavar="K", help="with --git: the kernel to judge on")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    paths = find_traces([args.trace])
    if len(paths) != 1:
        raise HarnessError(f"{args.trace}: {len(paths)} traces, expected one")
    trace = read_trace(paths[0], scratch=True)
    if args.mode is not None and args.mode not in trace.modes:
        hint = nearest(args.mode, trace.modes) or f": it has {one_of(trace.modes)}"
        raise HarnessError(f"--mode {args.mode}: {trace.id} is not for that mode{hint}")
    if (args.good is None) is not (args.bad is None):
        raise HarnessError("--good and --bad go together")
    modes = trace.modes if args.mode is None else (args.mode,)
    if args.git is not None:
        return _git(args, paths[0].resolve(), modes[0], out)
    if args.kernel is not None:
        raise HarnessError("--kernel is for --git; --good and --bad name the kernels here")
    found = {mode: _flips(trace, args, mode) for mode in modes}
    if args.json:
        tree = {
            "schema": "kvm-replay/bisect/1",
            "trace": trace.id,
            "not_built": not_built(trace),
            "modes": {
                mode: [_plain(trace, flip, some) for flip in some] for mode, some in found.items()
            },
        }
        out.line(json.dumps(tree, indent=1, sort_keys=True))
    else:
        _print(trace, found, out)
    return 0 if any(found.values()) else 1


def _flips(trace: Trace, args: argparse.Namespace, mode: str) -> list[Flip]:
    catalogue = architecture(trace.arch).catalogue
    if args.good is None:
        return every_flip(trace, catalogue, mode)
    good, bad = catalogue.kernel(args.good), catalogue.kernel(args.bad)
    (on_good, other), (on_bad, answers) = told(trace, good, mode), told(trace, bad, mode)
    for kernel, what in ((good, on_good), (bad, on_bad)):
        if what is None:
            case = Case(trace, kernel, mode, None)
            why = case.unsupported or "an event of it cannot happen"
            raise HarnessError(f"{kernel.name} {mode}: the trace cannot be judged there: {why}")
    if not on_bad:
        raise HarnessError(f"{bad.name} {mode}: the trace holds there, so it is not a bad kernel")
    if (on_good, other) == (on_bad, answers):
        raise HarnessError(f"{good.name} {mode}: it {words(on_good)} there as on {bad.name}")
    # From the older to the newer, as history went.
    before, after = sorted((good, bad), key=lambda k: catalogue.order(k.name))
    flip = between(trace, catalogue, before, after, mode)
    return [flip] if flip else []


def _git(args: argparse.Namespace, path: Path, mode: str, out: Terminal) -> int:
    if args.kernel is None:
        raise HarnessError("--git needs --kernel K, the kernel to judge on")
    if args.good is not None:
        raise HarnessError("--git and --good do not go together")
    root = root_of(Path.cwd())
    question = Question(path, args.kernel, mode)

    def progress(commit: str, says: str) -> None:
        aside(f"{commit[:12]}: {says}")

    good, bad = args.git
    found = bisect(root, good, bad, question, progress)
    if args.json:
        tree = {"schema": "kvm-replay/bisect-git/1", **found._asdict()}
        out.line(json.dumps(tree, indent=1, sort_keys=True))
        return 0
    if found.first is None:
        out.line("cannot be told: these commits cannot be judged, and one of them is the first")
        for commit in found.candidates:
            out.line(f"  {commit}")
        return 0
    title = git(root, "show", "--no-patch", "--format=%s", found.first).strip()
    out.line(f'{found.first[:12]} ("{title}")')
    out.line(f"{found.asked} commits asked, {found.skipped} of them could not judge")
    return 0


def words(what: Verdict) -> str:
    if what is None:
        return "cannot be judged"
    return "violates " + ", ".join(what) if what else "holds"


def begins(flip: Flip) -> bool:
    """Whether something goes wrong with it that did not before."""
    return bool(set(flip.now or ()) - set(flip.was or ()))


def _print(trace: Trace, found: dict[str, list[Flip]], out: Terminal) -> None:
    out.line(out.paint(trace.id, "bold"))
    out.line(trace.title)
    groups: dict[str, list[str]] = {}
    for mode, some in found.items():
        groups.setdefault("\n".join(_lines(trace, some, mode, out)), []).append(mode)
    for text, modes in groups.items():
        out.line()
        out.line(out.paint(" ".join(modes), "bold"))
        out.line(text or "  the verdict is the same on every release")
    off = not_built(trace)
    if off:
        last = f" to {off[-1]}" if len(off) > 1 else ""
        option = architecture(trace.arch).catalogue.unbuilt(_fixes(trace, off[0]))[0].option
        out.line()
        out.line(f"{off[0]}{last} as released: not built with {option}, which cannot be selected")


def not_built(trace: Trace) -> list[str]:
    """The releases that cannot be built with what the trace's machine has."""
    return [r for r in RELEASES if unbuilt(trace, Kernel(r, _fixes(trace, r)))]


def _fixes(trace: Trace, release: str) -> frozenset[str]:
    return architecture(trace.arch).catalogue.landed_by(release)


def _lines(trace: Trace, flips: list[Flip], mode: str, out: Terminal) -> list[str]:
    lines = []
    for flip in flips:
        style = "red" if begins(flip) else "green"
        change = f"{words(flip.was)} -> {words(flip.now)}"
        lines.append(f"  {flip.before.name} -> {flip.after.name}: {out.paint(change, style)}")
        if flip.was is None or flip.now is None:
            lines.append(f"    {_unjudged(trace, flip, mode)}")
        if flip.was == flip.now:
            lines += _answers(flip)
        lines += _sets(architecture(trace.arch).catalogue, flip)
        lines += [f"    {tag}" for tag in tags(trace, flip, flips)]
        lines += [f"    {sentence}" for sentence in _bad(trace, flip)]
    return lines


def _answers(flip: Flip) -> list[str]:
    """The expectations that get another answer, where the verdict is the same by name."""
    was, now = (dict(answers) for answers in flip.answers)
    return [
        f"    line {line}: {was.get(line, 'it is met')} -> {now.get(line, 'it is met')}"
        for line in sorted(was.keys() | now.keys())
        if was.get(line) != now.get(line)
    ]


def _unjudged(trace: Trace, flip: Flip, mode: str) -> str:
    """Why one of the two kernels cannot judge the trace."""
    kernel = flip.before if flip.was is None else flip.after
    why = Case(trace, kernel, mode, None).unsupported or "an event of it cannot happen"
    return f"{kernel.name}: {why}"


def _bad(trace: Trace, flip: Flip) -> list[str]:
    """What is bad about the backports that make the difference."""
    catalogue = architecture(trace.arch).catalogue
    named = {fix.id for chosen in flip.sets for fix in chosen}
    both = {kernel.name: kernel for kernel in (flip.before, flip.after)}.values()
    return [s for kernel in both for s in bad_backports(catalogue, kernel, named)]


def _sets(catalogue: Catalogue, flip: Flip) -> list[str]:
    if not flip.exact:
        names = ", ".join(_sign(flip, fix) + fix.id for fix in flip.sets[0])
        return [f"    {len(flip.sets[0])} fixes together: {names}"]
    lines = []
    for n, chosen in enumerate(flip.sets):
        lines.append("    by" if not n else "    or by")
        for fix in chosen:
            lines.append(f"      {_sign(flip, fix)}{fix.id} ({fix.landed or fix.kind})")
            lines += [f'        {c.id} ("{c.title}")' for c in fix.commits]
        more = _along(catalogue, flip, chosen)
        if more:
            with_it = ", ".join(_sign(flip, fix) + fix.id for fix in more)
            lines.append(f"      with {with_it}: one needs the other")
    return lines


def _along(catalogue: Catalogue, flip: Flip, chosen: tuple[Fix, ...]) -> tuple[Fix, ...]:
    """The switches that come with a set of fixes, as they need them or are needed by them."""
    base, ids = flip.before.fixes, frozenset(fix.id for fix in chosen)
    whole = closed(catalogue, base, ids, base ^ flip.after.fixes)
    return () if whole is None else along(catalogue, (whole ^ base) - ids)


def _sign(flip: Flip, fix: Fix) -> str:
    return "" if fix.id in flip.after.fixes else "-"


def tags(trace: Trace, flip: Flip, flips: Sequence[Flip] = ()) -> list[str]:
    """`Fixes:` lines for a patch that ends what this flip begins.

    Only where one set of fixes is to blame, and each has a commit. Of a fix of several commits,
    those that upstream's own fix names, if a later one of `flips` ends it and names any; else all.
    """
    if not begins(flip) or len(flip.sets) != 1 or not flip.exact or flip.was is None:
        return []
    fixes = flip.sets[0]
    if _bad(trace, flip):
        return []  # it is not the commit that is wrong, but where it was put
    if not all(fix.commits and fix.id in flip.after.fixes for fix in fixes):
        return []
    begun = set(flip.now or ()) - set(flip.was)
    enders = [f for f in flips if f.now is not None and begun & set(f.was or ()) - set(f.now)]
    tagged = {c for f in enders for some in f.sets for fix in some for c in fix.repairs}
    every = [commit for fix in fixes for commit in fix.commits]
    named = [commit for commit in every if commit.id in tagged]
    lines = [f'Fixes: {commit.id} ("{commit.title}")' for commit in named or every]
    if named or not tagged:
        return lines
    return [*lines, f"(upstream's own fix names {', '.join(sorted(tagged))})"]


def _plain(trace: Trace, flip: Flip, flips: Sequence[Flip]) -> dict[str, Any]:
    catalogue = architecture(trace.arch).catalogue
    return {
        "before": flip.before.name,
        "after": flip.after.name,
        "was": words(flip.was),
        "now": words(flip.now),
        "exact": flip.exact,
        "sets": [[_sign(flip, fix) + fix.id for fix in chosen] for chosen in flip.sets],
        "along": [
            [_sign(flip, fix) + fix.id for fix in _along(catalogue, flip, chosen)]
            for chosen in flip.sets
        ],
        "commits": {fix.id: [c.id for c in fix.commits] for s in flip.sets for fix in s},
        "fixes": tags(trace, flip, flips),
        "bad_backports": _bad(trace, flip),
        "tried": flip.tried,
    }
