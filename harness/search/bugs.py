"""What goes wrong in a trace on one kernel: whether that is a bug, and which fixes end it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.dsl.nodes import Trace
from harness.engine.judge import Case, as_built, judge
from harness.errors import SourceError
from harness.model import architecture
from harness.model.catalogue import RELEASES, Kernel
from harness.search.culprit import NO_BUG, Edit, Verdict, between, cures, verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """A trace that is violated on a kernel, in these modes.

    `shows` is what that stands for there, a word of `CLASSES`: where a trace of class bug has
    an unmet expectation alone, that may be what another kernel does wrong. `sets` are the smallest sets of changes that
    end it, empty if none is known. `new` tells whether the kernel that was edited shows less;
    None if there is nothing to compare with.
    """

    trace: Trace
    kernel: Kernel
    kinds: Mapping[str, tuple[str, ...]]
    shows: str
    sets: tuple[tuple[Edit, ...], ...] = ()
    new: bool | None = None

    @property
    def bug(self) -> bool:
        return self.shows == "bug"

    @property
    def invariants(self) -> tuple[str, ...]:
        """What is violated, in any of the modes."""
        return tuple(sorted({kind for kinds in self.kinds.values() for kind in kinds}))


def finding(trace: Trace, kernel: Kernel, kinds: Mapping[str, Verdict]) -> Finding | None:
    """What the violations of `trace` on `kernel`, by mode, amount to; None if there are none."""
    bad = {mode: found for mode, found in kinds.items() if found}
    if not bad:
        return None
    shows = shown(trace, {kind for found in bad.values() for kind in found})
    if shows != "bug":
        return Finding(trace, kernel, bad, shows)
    bad = {mode: found for mode, found in bad.items() if set(found) - {"cost"}}
    sets = tuple(cures(trace, kernel, bad))
    expects = all(set(found) <= NO_BUG for found in bad.values())
    if expects and not (_missing(trace, kernel, bad, sets) if sets else _wrong(trace, kernel, bad)):
        return Finding(trace, kernel, bad, "feature")
    return Finding(trace, kernel, bad, "bug", sets, _new(trace, kernel, bad))


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
        flip = between(trace, catalogue, earlier[-1], kernel, mode) if earlier else None
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
