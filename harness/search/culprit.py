"""Which fixes make a trace's verdict change: between releases, or between any two kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import NamedTuple

from harness.dsl.nodes import Trace
from harness.engine.judge import as_built
from harness.engine.recall import recall
from harness.model import architecture
from harness.model.catalogue import RELEASES, Catalogue, Fix, Kernel, KernelError
from harness.search.shrink import shrink

COST = frozenset({"cost"})
NO_BUG = COST | {"expect"}  # what a trace expects of a kernel, or allows it
MOST_TOGETHER = 3  # sets of more than this are not tried one and all

Edit = tuple[str, Fix]
"""A change to a kernel: `+` or `-`, and the fix."""

Verdict = tuple[str, ...] | None
"""The invariants that are violated, in order; None where the trace cannot be judged."""


class Told(NamedTuple):
    """A verdict, and the expectations that are not met: the line of each and what came instead."""

    verdict: Verdict
    answers: tuple[tuple[int, str], ...] = ()


def verdict(trace: Trace, kernel: Kernel, mode: str) -> Verdict:
    """What comes of `trace` there."""
    return told(trace, kernel, mode).verdict


def told(trace: Trace, kernel: Kernel, mode: str) -> Told:
    """The same with which errno and which value it was that was not expected."""
    kinds, wrong, _ = recall(trace, kernel, mode)
    return Told(kinds, tuple((line, text) for line, kind, text in wrong if kind == "expect"))


@dataclass(frozen=True, slots=True)
class Flip:
    """A change of verdict from one kernel to another, and what makes it.

    `sets` are the smallest sets of changes, all of one size, each of which alone turns
    the verdict of `before` into that of `after`; a fix is added, or taken away where
    `after` lacks it. Where one needs another, and the other is enough, it is not named.
    There is no set where the trace cannot be judged on one of the two. `answers` are the
    expectations that are not met on the one and on the other.
    `tried` is how many kernels were judged. Beyond MOST_TOGETHER there is one set that
    none can be left out of, which need not be a smallest (`exact` is false).
    """

    before: Kernel
    after: Kernel
    was: Verdict
    now: Verdict
    sets: tuple[tuple[Fix, ...], ...]
    exact: bool
    tried: int
    answers: tuple[tuple[tuple[int, str], ...], tuple[tuple[int, str], ...]] = ((), ())

    @property
    def named(self) -> frozenset[frozenset[str]]:
        """The ids of each set."""
        return frozenset(frozenset(fix.id for fix in chosen) for chosen in self.sets)


def between(
    trace: Trace, catalogue: Catalogue, before: Kernel, after: Kernel, mode: str
) -> Flip | None:
    """What makes the difference between two kernels, None if there is none."""
    was, now = told(trace, before, mode), told(trace, after, mode)
    if was == now:
        return None
    tried = 0

    def same(fixes: frozenset[str]) -> bool:
        nonlocal tried
        tried += 1
        return told(trace, Kernel("a candidate", fixes), mode) == now

    changes = [catalogue.fixes[name] for name in before.fixes ^ after.fixes]
    changes = [fix for fix in catalogue.fixes.values() if fix in changes]
    sets = tuple(smallest(catalogue, before.fixes, changes, same))
    exact = bool(sets)
    if not exact:
        sets = (minimal(catalogue, before.fixes, changes, same),)
    answers = (was.answers, now.answers)
    return Flip(before, after, was.verdict, now.verdict, sets, exact, tried, answers)


def smallest(
    catalogue: Catalogue,
    base: frozenset[str],
    changes: list[Fix],
    test: Callable[[frozenset[str]], bool],
    most: int = MOST_TOGETHER,
) -> Iterator[tuple[Fix, ...]]:
    """All smallest sets of `changes`, of so many at most, with which `base` passes `test`.

    A set is closed: what a fix requires comes with it, and what requires it goes with it.
    Refactors come along only so. Of sets of one size, those with which the fewest come along.
    """
    switches = [fix for fix in changes if fix.switch]
    allowed = frozenset(fix.id for fix in changes)
    for size in range(1, min(most, len(switches)) + 1):
        found: dict[frozenset[str], tuple[Fix, ...]] = {}
        for chosen in combinations(switches, size):
            fixes = closed(catalogue, base, frozenset(f.id for f in chosen), allowed)
            if fixes is not None and fixes not in found and test(fixes):
                found[fixes] = chosen
        if found:
            least = min(len(along(catalogue, fixes ^ base)) for fixes in found)
            for fixes, chosen in found.items():
                if len(along(catalogue, fixes ^ base)) == least:
                    yield chosen
            return


def along(catalogue: Catalogue, change: frozenset[str]) -> tuple[Fix, ...]:
    """The switches in a change."""
    return tuple(f for f in catalogue.fixes.values() if f.switch and f.id in change)


def minimal(
    catalogue: Catalogue,
    base: frozenset[str],
    changes: list[Fix],
    test: Callable[[frozenset[str]], bool],
) -> tuple[Fix, ...]:
    """A set of `changes` with which `base` passes `test`, and does not if one is left out."""
    allowed = frozenset(fix.id for fix in changes)

    def passes(some: Sequence[Fix]) -> Sequence[Fix] | None:
        fixes = closed(catalogue, base, frozenset(fix.id for fix in some), allowed)
        return some if fixes is not None and test(fixes) else None

    return tuple(shrink([fix for fix in changes if fix.switch], passes))


def closed(
    catalogue: Catalogue, base: frozenset[str], chosen: frozenset[str], allowed: frozenset[str]
) -> frozenset[str] | None:
    """`base` with these changes and what goes with them, None if that is not `allowed`.

    A fix that lacks what it needs at one of the two ends may lack it in between.
    """
    change = set(chosen)
    bad = {*catalogue.unmet(base), *catalogue.unmet(base ^ allowed)}
    while True:
        kernel = base ^ change
        more = set()
        for name in kernel:
            for need in catalogue.fixes[name].needs:
                if need not in kernel and (name, need) not in bad:
                    # An added fix brings what it needs; one that is taken away takes this along.
                    more.add(name if need in change else need)
        if not more:
            return kernel
        if not more <= allowed or more & change:
            return None
        change |= more


class Cure(NamedTuple):
    """The changes that end what goes wrong on a kernel, and the kernel that has them."""

    edits: tuple[Edit, ...]
    kernel: Kernel


def cures(
    trace: Trace, kernel: Kernel, modes: Iterable[str], allowed: frozenset[str] = NO_BUG
) -> list[tuple[Edit, ...]]:
    """The changes of each of `cured()`."""
    return [cure.edits for cure in cured(trace, kernel, modes, allowed)]


def cured(
    trace: Trace, kernel: Kernel, modes: Iterable[str], allowed: frozenset[str] = NO_BUG
) -> list[Cure]:
    """The smallest sets of changes to a kernel with which nothing goes wrong in any of the modes.

    But for what is `allowed`. Each set comes with all that it needs. First among the fixes that
    the trace cites; if they do not do, any that the newest release has, and to do without what
    stable trees alone have; then one that stable trees alone have. Empty if none is known that
    does.
    """
    catalogue = architecture(trace.arch).catalogue
    modes = tuple(modes)
    cited = [f for f in catalogue.cited(c for c, _ in trace.commits) if f not in kernel.fixes]
    own = {f.id for f in catalogue.fixes.values() if f.kind in ("stable", "variant")}
    damage = frozenset().union(*(catalogue.dependents(f) for f in own & kernel.fixes))
    newest = (kernel.fixes - damage) | catalogue.landed_by(RELEASES[-1])

    modes = tuple(modes)

    def ends(fixes: frozenset[str]) -> bool:
        found = (verdict(trace, Kernel("a candidate", fixes), mode) for mode in modes)
        return all(what is not None and set(what) <= allowed for what in found)

    stable = (
        fix
        for fix in catalogue.fixes.values()
        if fix.kind == "stable" and fix.id not in kernel.fixes and kernel.fixes >= {*fix.needs}
    )
    targets = (
        (catalogue.adding(kernel, *cited).fixes, MOST_TOGETHER),
        (newest, 1),
        *((catalogue.adding(kernel, fix.id).fixes, 1) for fix in stable),
    )
    for target, most in targets:
        within = target ^ kernel.fixes
        changes = [f for f in catalogue.fixes.values() if f.id in within]
        if not changes or not ends(target):
            continue
        sets = list(smallest(catalogue, kernel.fixes, changes, ends, most))
        sets = sets or [minimal(catalogue, kernel.fixes, changes, ends)]
        whole = (closed(catalogue, kernel.fixes, frozenset(f.id for f in s), within) for s in sets)
        return [_cure(catalogue, kernel, fixes) for fixes in whole if fixes is not None]
    return []


def _cure(catalogue: Catalogue, kernel: Kernel, fixes: frozenset[str]) -> Cure:
    changed = fixes ^ kernel.fixes
    edits = tuple(
        ("-" if fix.id in kernel.fixes else "+", fix) for fix in along(catalogue, changed)
    )
    name = kernel.name
    for fix in (each for each in catalogue.fixes if each in changed):
        sign = "-" if fix in kernel.fixes else "+"
        try:
            name = catalogue.edited(name, sign, fix)
        except KernelError:  # no name from the catalogue: an image's
            name += sign + fix
    return Cure(edits, Kernel(name, fixes))


class Fixed(NamedTuple):
    """The nearest kernel on which a trace holds, and by which changes (none: its header says so).

    `cures` are all sets of changes that are as small. `kernel` is None if no kernel is known.
    """

    kernel: Kernel | None
    cures: tuple[Cure, ...] = ()


def nearest_fixed(trace: Trace, kernel: Kernel, mode: str) -> Fixed:
    """The kernel with the smallest cure, else the nearest that the header says holds, if it does.

    With the cure everything holds; if no cure does that, nothing goes wrong but what a trace
    expects or allows.
    """
    catalogue = architecture(trace.arch).catalogue
    kinds = set(verdict(trace, kernel, mode) or ())
    found = cured(trace, kernel, [mode], frozenset())
    if not found and kinds - NO_BUG:
        found = cured(trace, kernel, [mode])
    if found:
        return Fixed(found[0].kernel, tuple(found))
    said = [v.kernel for v in trace.verdicts if v.holds and v.mode in (None, mode)]
    kernels = [catalogue.kernel(name) for name in dict.fromkeys(said)]
    kernels.sort(key=lambda k: len(k.fixes ^ kernel.fixes))
    return Fixed(next((k for k in kernels if verdict(trace, k, mode) == ()), None))


def backports(trace: Trace, catalogue: Catalogue, mode: str) -> list[Flip]:
    """What each bad backport that the trace's verdicts name changes on its base."""
    found = []
    for name in dict.fromkeys(v.kernel for v in trace.verdicts if v.mode in (None, mode)):
        kernel = as_built(trace, catalogue.kernel(name))
        if catalogue.bad_backports(kernel):
            base = as_built(trace, catalogue.kernel(catalogue.base(name)))
            flip = between(trace, catalogue, base, kernel, mode)
            found += [flip] if flip else []
    return found


def header_pairs(trace: Trace, catalogue: Catalogue, mode: str, apart: bool = False) -> list[Flip]:
    """What makes the difference between kernels of one release that the trace's verdicts name.

    Each on which something goes wrong is compared with the nearest of them on which none of that
    does: with those that lack some of its fixes, with those that have more, else with any. With
    `apart` also with those of an older release. Two releases are not compared here (see `flips`).
    """
    names = dict.fromkeys(v.kernel for v in trace.verdicts if v.mode in (None, mode))
    kernels = [as_built(trace, catalogue.kernel(name)) for name in names]
    judged = [(k, verdict(trace, k, mode)) for k in {k.fixes: k for k in kernels}.values()]
    found: dict[tuple[str, str], Flip] = {}
    for bad, wrong in judged:
        if not wrong:
            continue
        base = catalogue.base(bad.name)
        others = [k for k, what in judged if what is not None and not set(what) & set(wrong)]
        near = [k for k in others if catalogue.base(k.name) == base]
        fewer = [k for k in (others if apart else near) if k.fixes < bad.fixes]
        more = [k for k in near if k.fixes > bad.fixes]
        for group in (fewer, more) if fewer or more else (near,):
            least = min((len(k.fixes ^ bad.fixes) for k in group), default=0)
            for other in (k for k in group if len(k.fixes ^ bad.fixes) == least):
                before, after = sorted((bad, other), key=lambda k: catalogue.order(k.name))
                if bad.fixes < other.fixes or other.fixes < bad.fixes:
                    before, after = sorted((bad, other), key=lambda k: len(k.fixes))
                if (before.name, after.name) not in found:
                    flip = between(trace, catalogue, before, after, mode)
                    if flip is not None:
                        found[before.name, after.name] = flip
    return list(found.values())


def every_flip(trace: Trace, catalogue: Catalogue, mode: str) -> list[Flip]:
    """The changes of verdict between kernels of the header, from release to release, by backports.

    Of those that name the same fixes only one: of a release, else the one of the nearest kernels.
    """
    later = flips(trace, catalogue, mode) + backports(trace, catalogue, mode)
    said = {(f.named, f.was, f.now) for f in later if f.sets}
    pairs = header_pairs(trace, catalogue, mode, apart=not said)
    first: list[Flip] = []
    for flip in sorted(pairs, key=lambda f: len(f.before.fixes ^ f.after.fixes)):
        key = flip.named, flip.was, flip.now
        if key not in said:
            said.add(key)
            first.append(flip)
    return [flip for flip in pairs if flip in first] + later


def history(trace: Trace, catalogue: Catalogue, mode: str) -> list[tuple[Kernel, Verdict]]:
    """The verdict on every release, in order.

    A release that is not built with what the trace's machine has stands there as the same
    tree built with it, `v6.13+sme-built`: what its commits changed can be told all the same.
    """
    kernels = [as_built(trace, catalogue.kernel(release)) for release in RELEASES]
    return [(kernel, verdict(trace, kernel, mode)) for kernel in kernels]


def flips(trace: Trace, catalogue: Catalogue, mode: str) -> list[Flip]:
    """Every change of verdict from one release to the next."""
    found = []
    past = history(trace, catalogue, mode)
    for (before, was), (after, now) in pairwise(past):
        if was is None or now is None:
            if was != now:  # nothing has changed but what can be judged: no fix is to blame
                found.append(Flip(before, after, was, now, (), True, 0))
        elif was != now:
            flip = between(trace, catalogue, before, after, mode)
            assert flip is not None
            found.append(flip)
    return found
