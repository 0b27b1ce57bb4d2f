"""The corpus on every release: no refusal, and a verdict on each stretch with one outcome."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from harness.dsl import read_trace
from harness.engine.recall import CANNOT, recall
from harness.model import architecture
from harness.model.catalogue import RELEASES
from harness.resources import folder

TRACES = sorted(folder("traces").rglob("*.trace"))


@pytest.mark.one_in(12)
@pytest.mark.parametrize("path", TRACES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_each_stretch_of_releases_with_one_outcome_has_a_verdict(path: Path) -> None:
    """No event is refused: a trace `needs` what its events cannot do without."""
    trace = read_trace(path)
    catalogue = architecture(trace.arch).catalogue
    for mode in trace.modes:
        said = {v.kernel for v in trace.verdicts if v.mode in (None, mode)}
        judged = [(name, recall(trace, catalogue.kernel(name), mode)) for name in RELEASES]
        assert not [name for name, came in judged if came.text == CANNOT]
        for text, some in groupby(judged, lambda pair: pair[1].kinds is not None and pair[1].text):
            names = [name for name, _ in some]
            wanted = f"verdict {names[-1]} {mode} {text}"
            assert not text or said & set(names), f"{names[0]} to {names[-1]}: {wanted}"


@pytest.mark.one_in(6)
@pytest.mark.parametrize("path", TRACES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_kernels_that_people_run(path: Path) -> None:
    """As they are shipped, and built with everything."""
    trace = read_trace(path)
    catalogue = architecture(trace.arch).catalogue
    for name in catalogue.hybrids:
        shipped = catalogue.kernel(name)
        built = [f"{name}+{build.built}" for build in catalogue.unbuilt(shipped.fixes)]
        for kernel in (shipped, *map(catalogue.kernel, built)):
            for mode in trace.modes:
                assert recall(trace, kernel, mode).text != CANNOT
