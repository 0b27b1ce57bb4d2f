"""What goes wrong in a trace on one kernel: whether that is a bug, and which fixes end it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.dsl.nodes import Trace
from harness.engine.judge import Case, Judgement, as_built, judge
from harness.errors import SourceError
from harness.model import architecture
from harness.model.catalogue import RELEASES, Kernel
from harness.search.culprit import COST, NO_BUG, Edit, Verdict, between, cures, verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """A trace that is violated on a kernel, in these modes.

    `judged` are the modes that could be judged, `kinds` what is violated in which of them.
    `shows` is what that stands for there, a word of `CLASSES`: where a trace of class bug has
    an unmet expectation alone, that may be what another kernel does wrong. `sets` are the
    smallest sets of changes that end it, empty if none is known. `new` tells whether the kernel
    that was edited shows less; None if there is nothing to compare with.
    """

    trace: Trace
    kernel: Kernel
    judged: tuple[str, ...]
    kinds: Mapping[str, tuple[str, ...]]
    shows: str
    sets: tuple[tuple[Edit, ...], ...] = ()
    new: bool | None = None

    @property
    def bug(self) -> bool:
        return self.shows == "bug"

    @property
    def ended_by(self) -> str:
        """What would end it: the fixes that the kernel lacks, or has to its harm."""
        ways = []
        for edits in self.sets:
            lacks = " and ".join(fix.id for sign, fix in edits if sign == "+")
            has = " and ".join(fix.id for sign, fix in edits if sign == "-")
            ways.append(" and ".join([f"lacks {lacks}"] * bool(lacks) + [f"has {has}"] * bool(has)))
        return f"it {' or '.join(ways)}" if ways else "no fix is known"

    @property
    def commits(self) -> tuple[str, ...]:
        """The upstream commits of these fixes, a line each."""
        fixes = dict.fromkeys(fix for edits in self.sets for _, fix in edits)
        return tuple(f'{fix.id}: {c.id} ("{c.title}")' for fix in fixes for c in fix.commits)

    @property
    def invariants(self) -> tuple[str, ...]:
        """What is violated, in any of the modes."""
        return tuple(sorted({kind for kinds in self.kinds.values() for kind in kinds}))


def findings(trace: Trace, judgements: Iterable[Judgement]) -> list[Finding]:
    """What goes wrong in one trace, kernel by kernel, where it could be judged."""
    by_kernel: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        by_kernel.setdefault(judgement.case.kernel.name, []).append(judgement)
    found = (
        finding(
            trace,
            group[0].case.kernel,
            {j.case.mode: None if j.outcome is None else j.outcome.kinds for j in group},
        )
        for group in by_kernel.values()
    )
    return [each for each in found if each is not None]


def finding(trace: Trace, kernel: Kernel, kinds: Mapping[str, Verdict]) -> Finding | None:
    """What the violations of `trace` on `kernel`, by mode, amount to; None if there are none."""
    bad = {mode: found for mode, found in kinds.items() if found}
    if not bad:
        return None
    judged = tuple(mode for mode, found in kinds.items() if found is not None)
    shows = shown(trace, {kind for found in bad.values() for kind in found})
    if shows != "bug":
        return Finding(trace, kernel, judged, bad, shows)
    bad = {mode: found for mode, found in bad.items() if set(found) - {"cost"}}
    sets = tuple(cures(trace, kernel, bad, COST))
    expects = all(set(found) <= NO_BUG for found in bad.values())
    if not expects and (not sets or any(f.kind == "feature" for s in sets for _, f in s)):
        # What it expects may be the wrong of another kernel, or what a newer one offers.
        sets = tuple(cures(trace, kernel, bad))
    if expects and not (_missing(trace, kernel, bad, sets) if sets else _wrong(trace, kernel, bad)):
        return Finding(trace, kernel, judged, bad, "feature")
    return Finding(trace, kernel, judged, bad, "bug", sets, _new(trace, kernel, bad))


def is_bug(trace: Trace, kernel: Kernel, mode: str, kinds: tuple[str, ...]) -> bool:
    """Whether these violations are a bug of the kernel."""
    if shown(trace, kinds) != "bug":
        return False
    if set(kinds) - NO_BUG:
        return True
    found = finding(trace, kernel, {mode: kinds})
    return found is not None and found.bug


def shown(trace: Trace, kinds: Iterable[str]) -> str:
    """What these violations stand for, as far as the trace's class tells."""
    wrong = set(kinds) - {"cost"}
    if not wrong:
        return "cost"
    if trace.shows == "vmm" or (trace.shows == "feature" and wrong == {"expect"}):
        return trace.shows
    return "bug"


def _missing(
    trace: Trace, kernel: Kernel, modes: Iterable[str], sets: Iterable[Iterable[Edit]]
) -> bool:
    """Whether a fix is missing, rather than what newer kernels offer: with the features of the
    cure alone, the same goes wrong."""
    catalogue = architecture(trace.arch).catalogue
    for edits in sets:
        features = [fix.id for sign, fix in edits if sign == "+" and fix.kind == "feature"]
        with_them = catalogue.adding(kernel, *features)
        if len(features) == len(list(edits)):
            continue
        if all(_what(trace, kernel, mode) == _what(trace, with_them, mode) for mode in modes):
            return True
    return False


def _what(trace: Trace, kernel: Kernel, mode: str) -> list[tuple[int, str]] | None:
    """What goes wrong in which line, None if an event cannot happen or all cannot be judged."""
    try:
        outcome = judge(Case(trace, kernel, mode, None)).outcome
    except SourceError:
        return None
    return None if outcome is None else [(line, v.text) for line, v in outcome.violations]


def _wrong(trace: Trace, kernel: Kernel, modes: Iterable[str]) -> bool:
    """Whether what a trace expects, and no fix brings about there, is the kernel's fault.

    It is if it comes true nowhere, or came true before something that is no feature. A trace can
    also expect what another kernel does wrong, what a variant does, or what another mode does.
    """
    catalogue = architecture(trace.arch).catalogue
    releases = [as_built(trace, catalogue.kernel(name)) for name in RELEASES]
    said = [catalogue.kernel(v.kernel) for v in trace.verdicts]
    met = {m: [k for k in releases if _met(verdict(trace, k, m))] for m in trace.modes}
    if not any(met.values()) and not any(
        _met(verdict(trace, k, m)) for k in said for m in trace.modes
    ):
        return True
    for mode in modes:
        earlier = [k for k in met[mode] if k.fixes <= kernel.fixes]
        if not earlier:
            continue
        # The next release tells what ended it; all that came since would blur that.
        later = [k for k in releases if earlier[-1].fixes < k.fixes <= kernel.fixes]
        flip = between(trace, catalogue, earlier[-1], (later or [kernel])[0], mode)
        if flip and all(fix.kind != "feature" for fixes in flip.sets for fix in fixes):
            return True
    return False


def _met(found: Verdict) -> bool:
    return found is not None and "expect" not in found


def _new(trace: Trace, kernel: Kernel, bad: Mapping[str, tuple[str, ...]]) -> bool | None:
    """Whether the kernel that `kernel` was made of, by its name, does not do all this."""
    catalogue = architecture(trace.arch).catalogue
    name = catalogue.origin(kernel)
    if name is None:
        return None
    base = catalogue.kernel(name)
    return any(set(found) - set(verdict(trace, base, mode) or ()) for mode, found in bad.items())
