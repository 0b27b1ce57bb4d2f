"""Fixes, releases and kernels: which upstream changes a modelled kernel has.

A kernel is a set of fixes. A release is the set of the fixes that had landed
by then and nothing else; `v6.12+ID` is a backport, `v6.14-ID` a revert. A
hybrid is a kernel that people run under a name of its own: a release and what
its maintainers backported. The model never looks at a version.

One module: the rows, and the kernels that can be made of them, say nothing without each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from harness.errors import HarnessError, nearest, one_of
from harness.model.names import COMMIT, COMMIT_LIKE, commit_mistake, known_elsewhere

Kind = Literal["feature", "fix", "rework", "refactor", "build", "outside", "variant", "stable"]

# Why a fix names no commit that it repairs: upstream's message has no `Fixes:` tag, or nobody
# who filled in the row has seen that message.
Untagged = Literal["none", "unseen"]

_LAST_MINOR = {4: 20, 5: 19, 6: 19, 7: 3}
RELEASES = tuple(
    f"v{major}.{minor}"
    for major, last in _LAST_MINOR.items()
    for minor in range(13 if major == 4 else 0, last + 1)
)
_ORDER = {name: n for n, name in enumerate(RELEASES)}

# Releases that are too old to be modelled, in which something landed all the same.
EARLIER = {"v3.16": -3, "v3.17": -2, "v4.2": -1}
# A release that is not modelled yet, of which a fix is known: as a backport it can be had.
LATER: dict[str, int] = {}


class KernelError(HarnessError):
    """A kernel that does not exist, or that cannot be built from its fixes."""


class UnknownName(KernelError):
    """A release, a hybrid or a fix that this catalogue does not have."""


@dataclass(frozen=True, slots=True)
class Commit:
    """An upstream commit: 12 hex digits and its title."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Fix:
    """One upstream change that the model can have or lack.

    `landed` is the first mainline release with it (it may be older than every
    release that is modelled, or newer), None for a `variant`, which was proposed and never
    merged, and for what stands in `stable` trees alone. `requires` names the fixes whose
    code it changes or uses, so that it cannot exist without them; `asks` those that its
    own message names as prerequisites, though its code can exist without them. What
    merely landed earlier stands in neither. `repairs` names the commits that its `Fixes:`
    tags blame; a `fix` without any says in `untagged` why. A `build` change decides whether
    an option can be selected. A `refactor` changes no step, by its own account, and what is
    `outside` changes what is not modelled: the model has no switch for them. `gone` are
    the first release in which it was reverted and the first that has it again.
    """

    id: str
    kind: Kind
    landed: str | None
    what: str
    commits: tuple[Commit, ...] = ()
    requires: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    untagged: Untagged | None = None
    link: str | None = None
    gone: tuple[str, str] | None = None

    @property
    def switch(self) -> bool:
        """Whether the model behaves differently with and without it."""
        return self.kind not in ("refactor", "outside")

    @property
    def needs(self) -> tuple[str, ...]:
        """The fixes without which a backport of it is refused."""
        return self.requires + self.asks


@dataclass(frozen=True, slots=True)
class Build:
    """An option that some kernels cannot be built with, whatever code they have.

    `broken` is the fix that ended it, `built` the one that allows it again, `feature` the
    one that the option's code begins with, `setting` what a machine has that needs it.
    """

    option: str
    setting: str
    feature: str
    broken: str
    built: str


@dataclass(frozen=True, slots=True)
class Kernel:
    """A named set of fixes."""

    name: str
    fixes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Backport:
    """A fix that a hybrid has beyond its base, and who says so."""

    fix: str
    source: str


@dataclass(frozen=True, slots=True)
class Hybrid:
    """A kernel with a name of its own: the release it is based on, and its backports."""

    name: str
    base: str
    backports: tuple[Backport, ...]


class Catalogue:
    """All fixes of one architecture, and the kernels that can be made of them."""

    def __init__(
        self, fixes: Iterable[Fix], hybrids: Iterable[Hybrid] = (), builds: Iterable[Build] = ()
    ) -> None:
        fixes = tuple(fixes)
        self.builds = tuple(builds)
        self.fixes = {f.id: f for f in fixes}
        assert len(self.fixes) == len(fixes), "two fixes have one id"
        self.hybrids = {h.name: h for h in hybrids}
        for hybrid in self.hybrids.values():
            assert hybrid.base in _ORDER, hybrid.name
            assert all(b.fix in self.fixes for b in hybrid.backports), hybrid.name
        for fix in self.fixes.values():
            assert fix.landed is None or fix.landed in _ORDER | EARLIER | LATER, fix.id
            assert all(r in self.fixes for r in fix.needs), fix.id
        self._by_commit = {c.id: f.id for f in self.fixes.values() for c in f.commits}
        self._changed()

    def _changed(self) -> None:
        """What follows from the fixes is found anew."""
        self._longest_first = sorted(self.fixes, key=len, reverse=True)
        self._landed_by: dict[str, frozenset[str]] = {}

    def add(self, fix: Fix) -> None:
        """One more fix. Raises KernelError for an id that is taken, or a need that is unknown."""
        if fix.id in self.fixes:
            raise KernelError(f"{fix.id}: there is a fix of this name; take another")
        for need in fix.needs:
            if need not in self.fixes:
                raise KernelError(
                    f"{fix.id} requires {need!r}, which is no fix{self.suggest(need)}"
                )
        self.fixes[fix.id] = fix
        self._changed()

    def remove(self, fix: Fix) -> None:
        """Take a fix that was added back."""
        del self.fixes[fix.id]
        self._changed()

    def landed_by(self, release: str) -> frozenset[str]:
        """The ids of all fixes that `release` has."""
        if release not in self._landed_by:
            order, since = _ORDER[release], EARLIER | _ORDER | LATER
            self._landed_by[release] = frozenset(
                f.id
                for f in self.fixes.values()
                if f.landed
                and since[f.landed] <= order
                and not (f.gone and _ORDER[f.gone[0]] <= order < _ORDER[f.gone[1]])
            )
        return self._landed_by[release]

    def first(self, fix: Fix) -> str | None:
        """The first release that is modelled and has `fix`."""
        if fix.landed in LATER:
            return None
        return RELEASES[0] if fix.landed in EARLIER else fix.landed

    def named(self, name: str) -> frozenset[str]:
        """The ids of all fixes that a release or a hybrid has."""
        hybrid = self.hybrids.get(name)
        if hybrid is None:
            return self.landed_by(name)
        return self.landed_by(hybrid.base) | {b.fix for b in hybrid.backports}

    def dependents(self, fix: str) -> frozenset[str]:
        """`fix` and every fix that needs it, directly or not."""
        found = {fix}
        while True:
            more = {f.id for f in self.fixes.values() if found & set(f.needs)} - found
            if not more:
                return frozenset(found)
            found |= more

    def unbuilt(self, fixes: frozenset[str]) -> tuple[Build, ...]:
        """The options that a kernel with these fixes has code for and cannot be built with."""
        return tuple(b for b in self.builds if b.broken in fixes and b.built not in fixes)

    def built(self, kernel: Kernel, build: Build) -> str:
        """The name of the same tree, built with an option that is off."""
        try:
            return self.edited(kernel.name, "+", build.built)
        except KernelError:  # no name from the catalogue: an image's, a candidate's
            return f"{kernel.name}+{build.built}"

    def not_built(self, kernel: Kernel) -> frozenset[str]:
        """The fixes that are in `kernel`'s tree and not in what is built from it."""
        off = (self.dependents(b.feature) for b in self.unbuilt(kernel.fixes))
        return kernel.fixes & frozenset().union(*off)

    def without(self, kernel: Kernel, fix: str) -> Kernel:
        """`kernel` without `fix` and without all that needs it."""
        gone = sorted(self.dependents(fix) & kernel.fixes)
        return Kernel("-".join((kernel.name, *gone)), kernel.fixes - frozenset(gone))

    def adding(self, kernel: Kernel, *fixes: str) -> Kernel:
        """`kernel` with these fixes and everything that they need."""
        have, add = set(kernel.fixes), list(fixes)
        while add:
            name = add.pop()
            have.add(name)
            add += [need for need in self.fixes[name].needs if need not in have]
        return Kernel("+".join((kernel.name, *fixes)), frozenset(have))

    def toggled(self, kernel: Kernel, fix: str) -> tuple[Kernel, str]:
        """`kernel` with this fix the other way, and what of it changes: `-ID-ID` or `+ID+ID`."""
        if fix in kernel.fixes:
            other = self.without(kernel, fix)
            return other, "".join(f"-{f}" for f in sorted(kernel.fixes - other.fixes))
        other = self.adding(kernel, fix)
        more = other.fixes - kernel.fixes
        return other, "".join(f"+{f}" for f in self.fixes if f in more)

    def kernel(self, spec: str) -> Kernel:
        """The kernel that `spec` names, such as `v6.12`, `v6.12+ID` or `v6.14-ID`.

        A hybrid's name may stand for the release. A fix may also be named by
        its commit (7 to 40 hex digits). `++ID` is a backport as somebody made it, whatever
        it needs. Raises KernelError for an unknown release, hybrid or fix, for a fix that is
        added twice or taken away where it is not, and for a set in which a fix lacks
        what it needs, unless a hybrid is known to be so.
        """
        release, edits = self._split(spec)
        named = self.named(release)
        have = set(named)
        as_it_is, gone = set[str](), set[str]()
        for n, (sign, fix) in enumerate(edits):
            if any(fix == other for _, other in edits[:n]):
                raise KernelError(f"{spec[:80]}: {fix} is named twice")
            if sign == "++":
                as_it_is.add(fix)
            if sign == "+" and fix in have:
                raise KernelError(f"{spec[:80]}: {release} already has {fix}")
            if sign == "-":
                if fix not in have:
                    raise KernelError(f"{spec[:80]}: {release} does not have {fix}")
                gone.add(fix)
            (have.discard if sign == "-" else have.add)(fix)
        known = frozenset(self.unmet(named)) if release in self.hybrids else frozenset()
        for fix, need in self.unmet(have):
            if fix not in as_it_is and (fix, need) not in known:
                add = self._missing(have, known, as_it_is)
                if need in gone:
                    without = self.dependents(need) & (have - as_it_is)
                    add = "".join(f"-{name}" for name in self.fixes if name in without)
                raise KernelError(
                    f"{spec[:80]}: {fix} needs {need}; add {add}, or ++{fix} for a kernel "
                    "without it"
                )
        return Kernel(spec, frozenset(have))

    def edited(self, spec: str, sign: str, fix: str) -> str:
        """`spec` with one more edit, or one less if this undoes it: v4.15+X without X is v4.15.

        Raises KernelError.
        """
        release, edits = self._split(spec)
        ((_, name),) = self._split(f"{release}{sign}{fix}")[1]
        left = [e for e in edits if e[1] != name or (e[0] == "-") is (sign == "-")]
        more = [(sign, name)] if len(left) == len(edits) else []
        return release + "".join(s + n for s, n in (*left, *more))

    def bad_backports(self, kernel: Kernel) -> list[tuple[str, str]]:
        """What is built of `kernel` without a fix that it needs, and that fix."""
        off = self.not_built(kernel)
        return [(fix, need) for fix, need in self.unmet(kernel.fixes) if fix not in off]

    def added(self, spec: str) -> frozenset[str]:
        """The fixes that `spec` adds to a release or a hybrid. Raises KernelError."""
        return frozenset(fix for sign, fix in self._split(spec)[1] if sign != "-")

    def unmet(self, fixes: Iterable[str]) -> list[tuple[str, str]]:
        """Every fix that is there without one that it needs, and that one."""
        have = frozenset(fixes)
        return [
            (fix, need)
            for fix in sorted(have)
            for need in self.fixes[fix].needs
            if need not in have
        ]

    def _missing(
        self, have: set[str], known: frozenset[tuple[str, str]], as_it_is: set[str]
    ) -> str:
        """Everything that the fixes in `have` need and is not there, to be added to a spec."""
        whole = set(have)
        while True:
            unmet = (u for u in self.unmet(whole) if u not in known and u[0] not in as_it_is)
            more = {need for _, need in unmet}
            if not more:
                return "".join(f"+{fix}" for fix in self.fixes if fix in whole - have)
            whole |= more

    def known_commits(self, word: str) -> tuple[str, ...]:
        """The commits of fixes that begin with these digits, or of which these are more."""
        if len(word) >= 12:
            return (word[:12],) if word[:12] in self._by_commit else ()
        return tuple(commit for commit in self._by_commit if commit.startswith(word))

    def title(self, commit: str) -> str | None:
        """The title of a fix's commit (12 digits), None if it is of no fix."""
        fix = self._by_commit.get(commit)
        found = self.fixes[fix].commits if fix else ()
        return next((each.title for each in found if each.id == commit), None)

    def cited(self, commits: Iterable[str]) -> tuple[str, ...]:
        """The ids of the fixes that these commits are."""
        found = (self._by_commit.get(commit[:12]) for commit in commits)
        return tuple(dict.fromkeys(fix for fix in found if fix))

    def _split(self, spec: str) -> tuple[str, list[tuple[str, str]]]:
        # A hybrid's name has a dash in it.
        start = next((len(h) for h in self.hybrids if spec.startswith(h)), 0)
        cuts = (spec.find(sign, start) for sign in "+-")
        cut = min((i for i in cuts if i > 0), default=len(spec))
        release, rest = spec[:cut], spec[cut:]
        bases = {name: hybrid.base for name, hybrid in self.hybrids.items()}
        if not start and (elsewhere := known_elsewhere(spec, RELEASES, bases)):
            raise UnknownName(elsewhere)
        if release not in _ORDER and release not in self.hybrids:
            word = release
            hint = nearest(release, RELEASES)
            if not hint and nearest(spec.split("+")[0], self.hybrids):
                word = spec.split("+")[0]
                series = word.rpartition(".")[0]
                same = [name for name in self.hybrids if name.rpartition(".")[0] == series]
                hint = nearest(word, same) or nearest(word, self.hybrids)
            others = "".join(f", {name}" for name in self.hybrids)
            raise UnknownName(
                f"unknown kernel {word[:40]!r}{hint}: mainline "
                f"{RELEASES[0]} to {RELEASES[-1]}{others}, then +FIX, ++FIX or -FIX"
            )
        edits = []
        while rest:
            sign = "++" if rest.startswith("++") else rest[0]
            rest = rest[len(sign) :]
            fix = self._fix_at(rest)
            if fix is None:
                word = rest.split("+")[0]
                if not word:
                    raise UnknownName(f"{spec[:80]}: expected a fix after {sign!r}")
                if COMMIT_LIKE.fullmatch(word):
                    why = commit_mistake(word) or "`kvm-replay fixes` lists those that are"
                    raise UnknownName(
                        f"{spec[:80]}: {word[:40]!r} is not the commit of a fix here: {why}"
                    )
                raise UnknownName(f"{spec[:80]}: unknown fix {word[:40]!r}{self.suggest(word)}")
            name, used = fix
            edits.append((sign, name))
            rest = rest[used:]
        return release, edits

    def _fix_at(self, text: str) -> tuple[str, int] | None:
        # A fix's name may hold dashes, so the longest name that ends at an
        # edit sign or at the end is meant.
        for name in self._longest_first:
            if text.startswith(name) and text[len(name) : len(name) + 1] in ("", "+", "-"):
                return name, len(name)
        word = text.split("+")[0].split("-")[0]
        found = self.known_commits(word) if COMMIT.fullmatch(word) else ()
        fixes = dict.fromkeys(self._by_commit[commit] for commit in found)
        if len(fixes) > 1:
            raise UnknownName(f"{word} is short for {one_of(found)}: write more digits")
        return (next(iter(fixes)), len(word)) if fixes else None

    def suggest(self, word: str) -> str:
        """A hint at the known fix nearest to `word`."""
        return nearest(word, self.fixes)

    def base(self, spec: str) -> str:
        """The release that `spec` is based on. Raises KernelError."""
        release = self._split(spec)[0]
        return self.hybrids[release].base if release in self.hybrids else release

    def unedited(self, spec: str) -> str:
        """The release or hybrid of `spec`, built with what it is built with. Raises KernelError."""
        release, edits = self._split(spec)
        kept = (s + name for s, name in edits if self.fixes[name].kind == "build")
        return release + "".join(kept)

    def origin(self, kernel: Kernel) -> str | None:
        """What a kernel was made of by its name, None if nothing was changed or nobody can tell."""
        try:
            base = self.unedited(kernel.name)
            named = self.kernel(kernel.name).fixes
        except KernelError:  # no name from the catalogue: an image's, a candidate's
            return None
        return None if base == kernel.name or named != kernel.fixes else base

    def order(self, spec: str) -> tuple[int, int, str]:
        """A sort key: by release, then by how many fixes it has beyond that, then by name."""
        release, edits = self._split(spec)
        hybrid = self.hybrids.get(release)
        more = sum(-1 if sign == "-" else 1 for sign, _ in edits)
        return _ORDER[self.base(spec)], more + len(hybrid.backports if hybrid else ()), spec


def releases_with_changes(catalogue: Catalogue) -> list[str]:
    """The releases in which at least one fix of the catalogue landed, and the ends."""
    landed = {f.landed for f in catalogue.fixes.values()}
    return [r for r in RELEASES if r in landed or r in (RELEASES[0], RELEASES[-1])]
