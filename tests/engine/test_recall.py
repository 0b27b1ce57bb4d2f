"""What is recalled is what a replay would show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import harness.model
from harness.dsl import read_trace
from harness.engine.judge import Case, judge
from harness.engine.recall import recall
from harness.errors import SourceError
from harness.model import architecture, patch
from harness.model.asked import Answers, Asked
from harness.model.catalogue import RELEASES
from tests.dsl.samples import TRACES


@pytest.mark.one_in(16)
@pytest.mark.parametrize("path", TRACES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_it_is_what_a_replay_shows(path: Path) -> None:
    """On each release, the kernels of the verdicts and those that lack one of their fixes."""
    trace = read_trace(path)
    catalogue = architecture(trace.arch).catalogue
    said = [catalogue.kernel(v.kernel) for v in trace.verdicts]
    kernels = [*map(catalogue.kernel, RELEASES[::3]), *said]
    kernels += [catalogue.without(said[0], fix) for fix in sorted(said[0].fixes)[::9]]
    for mode in trace.modes:
        for kernel in kernels:
            kinds, wrong, text = recall(trace, kernel, mode)
            try:
                judged = judge(Case(trace, kernel, mode, None))
            except SourceError:
                assert (kinds, text) == (None, "an event cannot happen")
                continue
            assert text == judged.text
            outcome = judged.outcome
            assert kinds == (None if outcome is None else outcome.kinds)
            violations = outcome.violations if outcome else []
            assert wrong == tuple((line, v.kind, v.text) for line, v in violations)


def test_what_is_made_for_whom() -> None:
    """Once for each set of answers to what was asked, not for each set of fixes."""
    answers: Answers[str] = Answers()
    made = []

    def make(fixes: frozenset[str]) -> str:
        made.append(fixes)
        return "ab" if "a" in fixes and "b" in fixes else ""

    sets = [frozenset(some) for some in ("", "c", "a", "ac", "ab", "abc", "b")]
    assert [answers.of(fixes, make) for fixes in sets] == ["", "", "", "", "ab", "ab", ""]
    assert len(made) == 3


@pytest.mark.parametrize("operation", ["a < b", "a | b", "b - a", "a.isdisjoint(b)", "[*a]", "{a}"])
def test_a_question_that_would_not_be_seen(operation: str) -> None:
    with pytest.raises(TypeError, match="ask for each fix by `in`"):
        eval(operation, {"a": Asked({"x"}), "b": frozenset({"x"})})


def test_a_reason_names_the_kernel_that_was_asked_for() -> None:
    """Of two that answer alike."""
    trace = read_trace(next(p for p in TRACES if p.stem == "suspend-loses-tpidr2"))
    catalogue = architecture("arm64").catalogue
    for name in ("v6.15", "v6.14"):
        assert (
            f"{name}+sme-built is the same tree"
            in recall(trace, catalogue.kernel(name), "vhe").text
        )


PATCH = """\
from harness.model.catalogue import Fix
ARCH = "arm64"
FIX = Fix("mine", "variant", None, "nothing is saved")
class Patch:
    def fpsimd_save(self):
        {}
"""


def test_another_patch_is_another_model() -> None:
    trace = read_trace(next(p for p in TRACES if p.stem == "guest-keeps-registers"))
    try:
        seen = []
        for body in ("pass", "super().fpsimd_save()"):
            patch.forget()
            patch.adopt("mine.py", PATCH.format(body))
            kernel = architecture("arm64").catalogue.kernel("v7.2+mine")
            seen.append(recall(trace, kernel, "vhe").kinds)
    finally:
        patch.forget()
    assert seen[0] != seen[1]


@pytest.mark.parametrize("arch", ["arm64", "riscv"])
def test_no_model_takes_the_fixes_as_a_whole(arch: str) -> None:
    """What copies a set in C (`{*fixes}`, `set(fixes)`) does not raise: it would see nothing."""
    whole = re.compile(r"(?:\*|\b(?:set|frozenset|sorted|list|tuple|len|iter)\()\w+\.fixes\b")
    root = Path(harness.model.__file__).parent / arch
    files = sorted(root.rglob("*.py"))
    assert len(files) > 20
    found = [(f.name, m[0]) for f in files for m in whole.finditer(f.read_text("utf-8"))]
    assert not found
