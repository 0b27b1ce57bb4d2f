"""What goes wrong in a trace on one kernel: whether that is a bug, and which fixes end it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness.dsl.nodes import Trace
from harness.engine.judge import Judgement, as_built
from harness.engine.recall import recall
from harness.model import architecture
from harness.model.catalogue import RELEASES, Kernel
from harness.search.culprit import COST, NO_BUG, Edit, Verdict, between, cures, verdict

Sets = tuple[tuple[Edit, ...], ...]
"""Sets of changes, each of which is enough."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A trace that is violated on a kernel, in these modes.

    `judged` are the modes that could be judged, `kinds` what is violated in which of them.
    `shows` is what that stands for there, a word of `CLASSES`: where a trace of class bug has
    an unmet expectation alone, that may be what another kernel does wrong. `cures` are the
    smallest sets of changes that end it, by mode; none if no fix is known. `new` are the
    invariants that the kernel that was edited does not violate; None if there is none.
    """

    trace: Trace
    kernel: Kernel
    judged: tuple[str, ...]
    kinds: Mapping[str, tuple[str, ...]]
    shows: str
    cures: Mapping[str, Sets] = field(default_factory=dict)
    new: frozenset[str] | None = None

    @property
    def bug(self) -> bool:
        return self.shows == "bug"

    @property
    def ended_by(self) -> str:
        """What would end it: the fixes that the kernel lacks, or has to its harm."""
        modes: dict[Sets, list[str]] = {}
        for mode in self.kinds:
            modes.setdefault(self.cures.get(mode, ()), []).append(mode)
        if len(modes) < 2:
            return _ended_by(next(iter(modes), ()))
        return "; ".join(f"{' '.join(some)}: {_ended_by(sets)}" for sets, some in modes.items())

    def under(self, mode: str) -> str:
        """The same, in one mode."""
        return _ended_by(self.cures.get(mode, ()))

    @property
    def commits(self) -> tuple[str, ...]:
        """The upstream commits of these fixes, a line each."""
        every = self.cures.values()
        fixes = dict.fromkeys(fix for sets in every for edits in sets for _, fix in edits)
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
    none = COST | _of_the_vmm(trace)
    bad = {mode: found for mode, found in bad.items() if set(found) - none}
    cured = {mode: _cures(trace, kernel, mode, found) for mode, found in bad.items()}
    wrong = {mode: found for mode, found in bad.items() if cured[mode] is not None}
    if not wrong:
        return Finding(trace, kernel, judged, bad, "feature")
    known = {mode: sets for mode in wrong if (sets := cured[mode]) is not None}
    return Finding(trace, kernel, judged, wrong, "bug", known, _new(trace, kernel, wrong))


def _cures(trace: Trace, kernel: Kernel, mode: str, found: tuple[str, ...]) -> Sets | None:
    """What ends it in one mode; None if it is no bug, but what others offer or do wrong."""
    none = COST | _of_the_vmm(trace)
    sets = tuple(cures(trace, kernel, [mode], none))
    if set(found) <= NO_BUG:
        missing = _missing(trace, kernel, mode, sets) if sets else _wrong(trace, kernel, mode)
        return sets if missing else None
    if not sets or any(f.kind == "feature" for s in sets for _, f in s):
        # What it expects may be the wrong of another kernel, or what a newer one offers.
        sets = tuple(cures(trace, kernel, [mode]))
    return sets


def _ended_by(sets: Sets) -> str:
    ways = []
    for edits in sets:
        lacks = " and ".join(fix.id for sign, fix in edits if sign == "+")
        has = " and ".join(fix.id for sign, fix in edits if sign == "-")
        ways.append(" and ".join([f"lacks {lacks}"] * bool(lacks) + [f"has {has}"] * bool(has)))
    return f"it {', or '.join(ways)}" if ways else "no fix is known"


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
    wrong = set(kinds) - COST
    if not wrong:
        return "cost"
    if wrong <= _of_the_vmm(trace):
        return "vmm"
    if trace.shows == "feature" and wrong == {"expect"}:
        return "feature"
    return "bug"


def _of_the_vmm(trace: Trace) -> frozenset[str]:
    """What the VMM does wrong in a trace of that class, by its author's word. More is a bug."""
    said = frozenset(kind for v in trace.verdicts for kind in v.violates)
    return said if trace.shows == "vmm" else frozenset()


def _missing(trace: Trace, kernel: Kernel, mode: str, sets: Sets) -> bool:
    """Whether a fix is missing, rather than what newer kernels offer: with the features of the
    cure alone, the same goes wrong."""
    catalogue = architecture(trace.arch).catalogue
    for edits in sets:
        features = [fix.id for sign, fix in edits if sign == "+" and fix.kind == "feature"]
        with_them = catalogue.adding(kernel, *features)
        if len(features) < len(edits) and _what(trace, kernel, mode) == _what(
            trace, with_them, mode
        ):
            return True
    return False


def _what(trace: Trace, kernel: Kernel, mode: str) -> list[tuple[int, str]] | None:
    """What goes wrong in which line, None if an event cannot happen or all cannot be judged."""
    kinds, wrong, _ = recall(trace, kernel, mode)
    return None if kinds is None else [(line, text) for line, _, text in wrong]


def _wrong(trace: Trace, kernel: Kernel, mode: str) -> bool:
    """Whether what a trace expects, and no fix brings about there, is the kernel's fault.

    It is if it comes true nowhere, or came true before something that is no feature. A trace can
    also expect what another kernel does wrong, what a variant does, or what another mode does.
    """
    catalogue = architecture(trace.arch).catalogue
    releases = [as_built(trace, catalogue.kernel(name)) for name in RELEASES]
    said = [catalogue.kernel(v.kernel) for v in trace.verdicts]
    if not any(_met(verdict(trace, k, m)) for k in (*said, *releases) for m in trace.modes):
        return True
    earlier = [k for k in releases if k.fixes <= kernel.fixes and _met(verdict(trace, k, mode))]
    if not earlier:
        return False
    # The next release tells what ended it; all that came since would blur that.
    later = [k for k in releases if earlier[-1].fixes < k.fixes <= kernel.fixes]
    flip = between(trace, catalogue, earlier[-1], (later or [kernel])[0], mode)
    return flip is not None and all(f.kind != "feature" for some in flip.sets for f in some)


def _met(found: Verdict) -> bool:
    return found is not None and "expect" not in found


def _new(trace: Trace, kernel: Kernel, bad: Mapping[str, tuple[str, ...]]) -> frozenset[str] | None:
    """What the kernel that `kernel` was made of, by its name, does not violate."""
    catalogue = architecture(trace.arch).catalogue
    name = catalogue.origin(kernel)
    if name is None:
        return None
    base = catalogue.kernel(name)
    return frozenset(
        kind
        for mode, found in bad.items()
        for kind in set(found) - {"cost", *(verdict(trace, base, mode) or ())}
    )
