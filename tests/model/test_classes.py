"""The `class` line of each trace, held against what the model does on all kernels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, permutations
from pathlib import Path

import pytest

from harness.dsl import Trace, read_trace
from harness.engine.judge import as_built
from harness.model import architecture
from harness.model.catalogue import RELEASES, Catalogue, Kernel
from harness.search.culprit import Flip, Verdict, between, verdict
from tests.dsl.samples import TRACES

COST = {"cost"}


def kernels(trace: Trace, catalogue: Catalogue) -> list[Kernel]:
    """Every release, and every kernel that a verdict names."""
    names = dict.fromkeys((*RELEASES, *(v.kernel for v in trace.verdicts)))
    return [as_built(trace, catalogue.kernel(name)) for name in names]


def flips(trace: Trace, catalogue: Catalogue, mode: str) -> Iterator[tuple[bool, Flip]]:
    """What ends an unmet expectation (True), and what begins one.

    From a release to the next, or between two of the verdicts' kernels of one release.
    """
    releases = [as_built(trace, catalogue.kernel(name)) for name in RELEASES]
    pairs = list(pairwise(releases))
    said = {
        name: as_built(trace, catalogue.kernel(name)) for name in (v.kernel for v in trace.verdicts)
    }
    said |= {name: as_built(trace, catalogue.kernel(name)) for name in map(catalogue.base, said)}
    pairs += [
        (said[one], said[other])
        for one, other in permutations(said, 2)
        if catalogue.base(one) == catalogue.base(other)
    ]
    seen: dict[str, Verdict] = {}
    for pair in pairs:
        for kernel in pair:
            if kernel.name not in seen:
                seen[kernel.name] = verdict(trace, kernel, mode)
        was, now = (seen[kernel.name] for kernel in pair)
        if was is not None and now is not None and bool({*was} - COST) != bool({*now} - COST):
            flip = between(trace, catalogue, *pair, mode)
            assert flip is not None
            yield not {*now} - COST, flip


def classes(trace: Trace) -> set[str]:
    """The classes that a trace can have, by what it does and by the kinds of the fixes.

    Two where the author has to tell whose fault it is: a kernel's that nobody has mended, or the
    VMM's; a change that upstream calls no fix, of what was wrong or of what is offered.
    """
    catalogue = architecture(trace.arch).catalogue
    every = kernels(trace, catalogue)
    found = [v for mode in trace.modes for k in every if (v := verdict(trace, k, mode)) is not None]
    kinds = {kind for violated in found for kind in violated}
    if kinds <= {"cost"}:
        return {"cost" if kinds else "rule"}
    if all(set(violated) - {"cost"} for violated in found):
        return {"bug", "vmm"}
    if kinds - {"cost", "expect"}:
        return {"bug"}
    found_by = {
        # To take away what began it is to end it; a variant is there to be taken away.
        (end == (fixes[0].id in flip.after.fixes), frozenset(fix.kind for fix in fixes))
        for mode in trace.modes
        for end, flip in flips(trace, catalogue, mode)
        for fixes in flip.sets
    }
    if any(ends and "feature" not in kinds and "fix" in kinds for ends, kinds in found_by):
        return {"bug"}
    if any(not ends and kinds & {"stable", "variant"} for ends, kinds in found_by):
        return {"bug"}
    if all("feature" in kinds for _, kinds in found_by):
        return {"feature"}
    return {"bug", "feature"}


@pytest.mark.one_in(12)
@pytest.mark.parametrize("path", TRACES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_class(path: Path) -> None:
    """The header says one of the classes that the model makes of the trace."""
    trace = read_trace(path)
    assert trace.shows in classes(trace)
