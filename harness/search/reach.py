"""On which releases a trace goes wrong."""

from __future__ import annotations

from typing import NamedTuple

from harness.dsl.nodes import Trace
from harness.engine.judge import as_built
from harness.model import architecture
from harness.model.catalogue import RELEASES
from harness.search.culprit import Verdict, verdict


class Span(NamedTuple):
    """Releases in a row with one verdict; `built` is added to build them with everything."""

    first: str
    last: str
    what: Verdict
    built: str = ""

    @property
    def text(self) -> str:
        return self.first if self.first == self.last else f"{self.first} to {self.last}"


def spans(trace: Trace, mode: str) -> list[Span]:
    """All releases, in order."""
    catalogue = architecture(trace.arch).catalogue
    known: dict[frozenset[str], Verdict] = {}
    found: list[Span] = []
    for release in RELEASES:
        kernel = as_built(trace, catalogue.kernel(release))
        if kernel.fixes not in known:
            known[kernel.fixes] = verdict(trace, kernel, mode)
        what = known[kernel.fixes]
        built = kernel.name.removeprefix(release)
        if found and (found[-1].what, found[-1].built) == (what, built):
            found[-1] = found[-1]._replace(last=release)
        else:
            found.append(Span(release, release, what, built))
    return found
