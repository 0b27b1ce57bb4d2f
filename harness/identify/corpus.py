"""What an identified kernel makes of a trace, whichever way its unknown fixes are.

Only a fix that the model asks for can matter. A replay that asks for an unknown
one is begun anew twice, with it and without it; so the unknowns that a trace
does not ask for cost nothing, and every combination that can make a difference
is tried, up to a limit beyond which nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness.dsl.nodes import Trace
from harness.engine.judge import Case, judge
from harness.errors import SourceError
from harness.identify.evidence import Identity
from harness.model.catalogue import Catalogue, Kernel
from harness.model.evidence import Option

MAX_REPLAYS = 256  # of one trace in one mode
_NO_BUG = {"expect", "cost"}  # what a trace expects of a kernel, or allows it, is no bug


class _Undecided(Exception):
    """The model asks for a fix of which it is not known whether the kernel has it."""


class _Asked(frozenset[str]):
    """A kernel's fixes, some of them undecided."""

    undecided: frozenset[str]

    def __contains__(self, fix: object) -> bool:
        if fix in self.undecided:
            raise _Undecided(fix)
        return super().__contains__(fix)


@dataclass(frozen=True, slots=True)
class Leaf:
    """What the model does if the unknown fixes that it asks for are as in `decided`."""

    decided: tuple[tuple[str, bool], ...]
    text: str
    kinds: tuple[str, ...] | None  # None: not judged

    @property
    def hit(self) -> bool:
        """Whether something goes wrong."""
        return bool(set(self.kinds or ()) - _NO_BUG)


@dataclass(slots=True)
class Exposure:
    """What comes of a trace on an identified kernel, for each mode.

    `whole` tells whether every combination of what matters was tried.
    """

    trace: Trace
    modes: dict[str, tuple[Leaf, ...]] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
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

    def lacks(self, catalogue: Catalogue) -> tuple[str, ...]:
        """The fixes that the trace cites and this kernel is known to lack."""
        cited = catalogue.cited(commit for commit, _ in self.trace.commits)
        return tuple(fix for fix in cited if fix in self.absent)

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
        self, identity: Identity, catalogue: Catalogue, options: Iterable[Option], name: str
    ) -> None:
        self.name = name
        self.absent = identity.having("absent")
        self.present = identity.having("present")
        # What has no switch is never asked for; what may be there or not has one.
        self.unknown = frozenset(
            fix for fix in identity.having("unknown") if catalogue.fixes[fix].switch
        )
        self.catalogue = catalogue
        self.lacking = [o for o in options if identity.options.get(o.name) is False]

    def expose(self, trace: Trace) -> Exposure:
        """What comes of one trace."""
        exposure = Exposure(trace, absent=self.absent)
        for option in self.lacking:
            needed = option.setting in trace.settings if option.setting else bool(trace.vcpus)
            if needed:
                exposure.why_not = f"this kernel is built without {option.name}"
                return exposure
        for mode in trace.modes:
            leaves, whole = self._leaves(trace, mode)
            exposure.modes[mode] = leaves
            exposure.whole = exposure.whole and whole
        return exposure

    def _leaves(self, trace: Trace, mode: str) -> tuple[tuple[Leaf, ...], bool]:
        """What comes of every combination; depth first, those that lack a fix last."""
        queue: list[dict[str, bool]] = [{}]
        leaves: list[Leaf] = []
        for _ in range(MAX_REPLAYS):
            if not queue:
                return tuple(leaves), True
            decided = queue.pop()
            try:
                leaves.append(self._judge(trace, mode, decided))
            except _Undecided as asked:
                fix = str(asked.args[0])
                queue += [
                    chosen
                    for on in (False, True)
                    if (chosen := self._decide(decided, fix, on)) is not None
                ]
        return tuple(leaves), not queue

    def _decide(self, decided: Mapping[str, bool], fix: str, on: bool) -> dict[str, bool] | None:
        """A choice, and what it brings with it; None if the catalogue rules it out."""
        chosen = {**decided, fix: on}
        todo = [fix]
        while todo:
            one = todo.pop()
            if chosen[one]:
                brings = self.catalogue.fixes[one].requires
            else:
                brings = tuple(f.id for f in self.catalogue.fixes.values() if one in f.requires)
            for other in brings:
                if other not in self.unknown:
                    continue  # it was found in the image, and that stands
                if chosen.setdefault(other, chosen[one]) != chosen[one]:
                    return None
                if other not in decided and other not in todo and other != fix:
                    todo.append(other)
                    decided = {**decided, other: chosen[one]}
        return chosen

    def _judge(self, trace: Trace, mode: str, decided: Mapping[str, bool]) -> Leaf:
        fixes = _Asked(self.present | {fix for fix, on in decided.items() if on})
        fixes.undecided = self.unknown - decided.keys()
        key = tuple(decided.items())
        try:
            judgement = judge(Case(trace, Kernel(self.name, fixes), mode, None))
        except SourceError:
            return Leaf(key, "an event of it cannot happen here", None)
        kinds = None if judgement.outcome is None else judgement.outcome.kinds
        return Leaf(key, judgement.text, kinds)
