"""The corpus on every release: no refusal, and a verdict on each stretch with one outcome."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from harness.dsl import read_trace
from harness.engine import judge
from harness.engine.judge import Case
from harness.model import architecture
from harness.model.catalogue import RELEASES
from harness.resources import folder

TRACES = sorted(folder("traces").rglob("*.trace"))


@pytest.mark.parametrize("path", TRACES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_each_stretch_of_releases_with_one_outcome_has_a_verdict(path: Path) -> None:
    """A refused event raises here: a trace `needs` what its events cannot do without."""
    trace = read_trace(path)
    catalogue = architecture(trace.arch).catalogue
    for mode in trace.modes:
        said = {v.kernel for v in trace.verdicts if v.mode in (None, mode)}
        judged = [judge(Case(trace, catalogue.kernel(name), mode, None)) for name in RELEASES]
        for outcome, some in groupby(judged, lambda j: j.outcome and j.text):
            names = [j.case.kernel.name for j in some]
            wanted = f"verdict {names[-1]} {mode} {outcome}"
            assert outcome is None or said & set(names), f"{names[0]} to {names[-1]}: {wanted}"


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
                judge(Case(trace, kernel, mode, None))
