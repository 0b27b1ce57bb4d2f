"""Which bug it is that a trace shows: what ends it, and which releases have it.

Two traces can go wrong in the same way and be about two bugs. They are taken for one if a fix that
the kernel lacks ends both, and no release shows one of them alone. (That each such fix ends both is
too much to ask: some happen to be in the way of one.)
"""

from __future__ import annotations

from typing import NamedTuple

from harness.dsl.nodes import Trace
from harness.engine.replay import world
from harness.model import architecture
from harness.model.catalogue import Kernel, releases_with_changes
from harness.search.play import Way, play, units


class Bug(NamedTuple):
    """On which releases it shows (None: they cannot run it), and the fixes that would end it."""

    releases: tuple[bool | None, ...]
    ended_by: frozenset[str]

    def same(self, other: Bug) -> bool:
        """Whether they are taken for one."""
        pairs = zip(self.releases, other.releases, strict=True)
        ends = bool(self.ended_by & other.ended_by) or self.ended_by == other.ended_by
        return ends and all(one == two for one, two in pairs if None not in (one, two))


def bug_of(trace: Trace, kernel: Kernel, mode: str, way: Way) -> Bug:
    """What tells this bug of `kernel` from others that go wrong in the same way."""
    catalogue = architecture(trace.arch).catalogue
    releases = map(catalogue.kernel, releases_with_changes(catalogue))
    shows = tuple([_shows(trace, release, mode, way) for release in releases])
    ends = [
        fix.id
        for fix in catalogue.fixes.values()
        if fix.landed is not None
        and fix.id not in kernel.fixes
        and _shows(trace, catalogue.adding(kernel, fix.id), mode, way) is False
    ]
    return Bug(shows, frozenset(ends))


def _shows(trace: Trace, kernel: Kernel, mode: str, way: Way) -> bool | None:
    if architecture(trace.arch).unsupported(kernel, mode, world(trace)):
        return None
    return play(trace, units(trace), kernel, mode, way).violation is not None
