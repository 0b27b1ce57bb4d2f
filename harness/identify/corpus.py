"""What an identified kernel makes of a trace, whichever way its unknown fixes are.

Only a fix that the model asks for can matter. The first time that a replay asks for
an unknown one, it is there; another replay follows, in which it is not. So the
unknowns that a trace does not ask for cost nothing, and every combination that can
make a difference is tried, up to a limit beyond which nothing is claimed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.dsl.nodes import Trace
from harness.engine.judge import Case, judge
from harness.errors import SourceError
from harness.identify.evidence import Identity
from harness.model.asked import Asked
from harness.model.catalogue import Catalogue, Kernel
from harness.model.evidence import Option
from harness.search.bugs import Finding, Sets, finding, is_bug
from harness.search.culprit import verdict

MAX_REPLAYS = 128  # of one trace in one mode
MANY_REPLAYS = 1000  # of all traces; from there on each gets
FEW_REPLAYS = 4
ENOUGH = 64  # combinations, if some of them go wrong and some do not

Choices = tuple[tuple[str, bool], ...]


class _Decided(Asked):
    """A kernel's fixes, of which the unknown ones are decided when the model asks for them."""

    choose: Callable[[str], bool]
    unknown: frozenset[str]

    def answer(self, fix: str) -> bool:
        return self.choose(fix) if fix in self.unknown else super().answer(fix)


class _Path:
    """One way through the unknown fixes: the first choices are given, the others are made here.

    `open` are the other ways that part from this one behind the given choices.
    """

    def __init__(self, judge: Judge, given: Choices) -> None:
        self.judge = judge
        self.given = given
        self.made: list[tuple[str, bool]] = []
        self.asked: dict[str, bool] = {}
        self.decided: dict[str, bool] = {}
        self.open: list[Choices] = []

    def choose(self, fix: str) -> bool:
        if fix not in self.asked:
            if fix not in self.decided:
                self._decide(fix)
            self.asked[fix] = self.decided[fix]
        return self.asked[fix]

    def _decide(self, fix: str) -> None:
        at = len(self.made)
        ways = [
            (on, decided)
            for on in (True, False)
            if (decided := self.judge.decide(self.decided, fix, on)) is not None
        ]
        if at < len(self.given):
            ways = [way for way in ways if way[0] == self.given[at][1]]
        elif len(ways) == 2:
            self.open.append((*self.made, (fix, False)))
        on, self.decided = ways[0]
        self.made.append((fix, on))


@dataclass(frozen=True, slots=True)
class Leaf:
    """What the model does if the unknown fixes that it asks for are as in `decided`."""

    decided: tuple[tuple[str, bool], ...]
    text: str
    kinds: tuple[str, ...] | None  # None: not judged
    kernel: Kernel
    hit: bool = False
    """Whether it shows a bug of the kernel."""


@dataclass(slots=True)
class Exposure:
    """What comes of a trace on an identified kernel, for each mode.

    `whole` tells whether every combination of what matters was tried. `found` is the bug if it
    is one in some mode, with what would end it among the fixes that are known to be absent.
    """

    trace: Trace
    modes: dict[str, tuple[Leaf, ...]] = field(default_factory=dict)
    found: Finding | None = None
    why_not: str = ""
    whole: bool = True

    def state(self, mode: str) -> str:
        """`hit`, `safe` (or it cannot be judged) or `depends`, in one mode."""
        leaves = self.modes[mode]
        hits = [leaf.hit for leaf in leaves]
        if not leaves or (not self.whole and len(set(hits)) < 2):
            return "depends"
        return "hit" if all(hits) else "depends" if any(hits) else "safe"

    @property
    def verdict(self) -> str:
        """`hit` if it is in some mode, `cannot` if in none, else `depends`."""
        if self.why_not:
            return "cannot"
        states = {self.state(mode) for mode in self.modes}
        return "hit" if "hit" in states else "depends" if "depends" in states else "cannot"

    @property
    def judged(self) -> bool:
        """Whether the model has anything to say of it on this kernel."""
        return any(leaf.kinds is not None for leaves in self.modes.values() for leaf in leaves)

    def depends_on(self) -> tuple[str, ...]:
        """The unknown fixes that make a difference, in some mode where it is open."""
        found: dict[str, None] = {}
        for mode, leaves in self.modes.items():
            if self.state(mode) == "depends":
                found.update(dict.fromkeys(_matter(leaves) if self.whole else _all(leaves)))
        return tuple(found)


def _all(leaves: Iterable[Leaf]) -> list[str]:
    return [fix for leaf in leaves for fix, _ in leaf.decided]


def _matter(leaves: tuple[Leaf, ...]) -> list[str]:
    """The fixes at which combinations with different results part, and no fewer do."""
    sets = set()
    for n, one in enumerate(leaves):
        mine = dict(one.decided)
        for other in leaves[:n]:
            if one.hit != other.hit:
                sets.add(frozenset(f for f, on in other.decided if mine.get(f, on) != on))
    least = [s for s in sets if not any(other < s for other in sets)]
    return sorted(frozenset().union(*least))


class Judge:
    """Judges traces on a kernel of which some fixes are unknown."""

    def __init__(
        self,
        identity: Identity,
        catalogue: Catalogue,
        options: Iterable[Option],
        name: str,
    ) -> None:
        self.name = name
        self.replays = 0
        self.absent = identity.having("absent")
        self.present = identity.having("present")
        # What has no switch is never asked for; what may be there or not has one. What was
        # built is seen by the options.
        self.unknown = frozenset(
            fix
            for fix in identity.having("unknown")
            if catalogue.fixes[fix].switch and catalogue.fixes[fix].kind != "build"
        )
        self._needs: dict[str, list[str]] = {}
        self._needed_by: dict[str, list[str]] = {}
        # Of what nobody asks for, and is not known either, the needs count as well.
        silent = frozenset(
            fix
            for fix in identity.having("unknown")
            if not catalogue.fixes[fix].switch and catalogue.fixes[fix].kind != "build"
        )

        def needs(fix: str) -> Iterator[str]:
            for need in catalogue.fixes[fix].requires:
                yield need
                if need in silent:
                    yield from needs(need)

        for fix in catalogue.fixes:
            for need in dict.fromkeys(needs(fix)):
                self._needs.setdefault(fix, []).append(need)
                self._needed_by.setdefault(need, []).append(fix)
        self.lacking = [o for o in options if identity.options.get(o.name) is False]

    def expose(self, trace: Trace) -> Exposure:
        """What comes of one trace."""
        exposure = Exposure(trace)
        for option in self.lacking:
            listed = {word for words in trace.words.values() for word in words}
            asks = option.setting in trace.settings or option.setting in listed
            needed = asks if option.setting else bool(trace.vcpus)
            if needed:
                exposure.why_not = f"this kernel is built without {option.name}"
                return exposure
        for mode in trace.modes:
            leaves, whole = self._leaves(trace, mode)
            exposure.modes[mode] = leaves
            exposure.whole = exposure.whole and whole
        if exposure.verdict == "hit":
            exposure.found = self._bug(exposure)
        return exposure

    def _bug(self, exposure: Exposure) -> Finding | None:
        """The bug, on the kernel that has the fewest of the unknown fixes."""
        trace = exposure.trace
        hits = [mode for mode in exposure.modes if exposure.state(mode) == "hit"]
        kernel = min(exposure.modes[hits[0]], key=lambda leaf: len(leaf.kernel.fixes)).kernel
        found = finding(trace, kernel, {mode: verdict(trace, kernel, mode) for mode in hits})
        if found is None:
            return None
        known = {mode: self._known(sets) for mode, sets in found.cures.items()}
        return dataclasses.replace(found, judged=trace.modes, cures=known)

    def _known(self, sets: Sets) -> Sets:
        """The sets of which nothing may be there already."""
        return tuple(
            edits
            for edits in sets
            if all(fix.id in self.absent for sign, fix in edits if sign == "+")
        )

    def _leaves(self, trace: Trace, mode: str) -> tuple[tuple[Leaf, ...], bool]:
        """What comes of every combination, and whether these are all."""
        todo: list[Choices] = [()]
        leaves: list[Leaf] = []
        while todo:
            most = MAX_REPLAYS if self.replays < MANY_REPLAYS else FEW_REPLAYS
            if len(leaves) >= most:
                return tuple(leaves), False
            self.replays += 1
            path = _Path(self, todo.pop())
            leaves.append(self._judge(trace, mode, path))
            todo += path.open
            if len(leaves) >= ENOUGH and len({leaf.hit for leaf in leaves}) == 2:
                break
        return tuple(leaves), not todo

    def decide(self, decided: Mapping[str, bool], fix: str, on: bool) -> dict[str, bool] | None:
        """A choice, and what it brings with it; None if the catalogue rules it out."""
        chosen, todo = {**decided, fix: on}, [fix]
        while todo:
            for other in self._brings(todo.pop(), on):
                if other not in chosen:
                    chosen[other] = on
                    todo.append(other)
                elif chosen[other] != on:
                    return None
        return chosen

    def _brings(self, fix: str, on: bool) -> Iterable[str]:
        """The unknown fixes that must be there with it, or cannot be there without it.

        One that was found in the image stands as it was found.
        """
        others = (self._needs if on else self._needed_by).get(fix, ())
        return (other for other in others if other in self.unknown)

    def _judge(self, trace: Trace, mode: str, path: _Path) -> Leaf:
        fixes = _Decided(self.present)
        fixes.unknown, fixes.choose = self.unknown, path.choose
        kinds: tuple[str, ...] | None = None
        try:
            judgement = judge(Case(trace, Kernel(self.name, fixes), mode, None))
            text = judgement.text
            if judgement.outcome is not None:
                kinds = judgement.outcome.kinds
        except SourceError:
            text = "an event of it cannot happen here"
        there = (fix for fix, on in path.decided.items() if on)
        kernel = Kernel(self.name, self.present.union(there))
        hit = kinds is not None and is_bug(trace, kernel, mode, kinds)
        return Leaf(tuple(path.asked.items()), text, kinds, kernel, hit)
