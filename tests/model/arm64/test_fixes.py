"""The catalogue of fixes, held against the model and the corpus."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

import harness.model.arm64 as arm64
from harness.dsl import Trace, read_trace
from harness.engine.audit import branches, notices, with_and_without
from harness.model.arm64.fixes import CATALOGUE
from harness.model.catalogue import RELEASES, Fix, Hybrid, KernelError
from harness.resources import folder

SWITCHES = [f for f in CATALOGUE.fixes.values() if f.switch]
REFACTORS = [f for f in CATALOGUE.fixes.values() if not f.switch]


def ids(fix: Fix) -> str:
    return fix.id


@functools.cache
def corpus() -> list[Trace]:
    return [read_trace(p) for p in sorted((folder("traces") / "arm64").glob("*.trace"))]


@functools.cache
def asked() -> dict[str, int]:
    """How often the model's source asks for each fix by name."""
    source = "".join(
        p.read_text() for p in Path(arm64.__file__).parent.rglob("*.py") if p.name != "fixes.py"
    )
    found: dict[str, int] = {}
    for fix in re.findall(r'"([^"]+)" (?:not )?in (?:\w+\.)?fixes', source):
        found[fix] = found.get(fix, 0) + 1
    return found


@pytest.mark.parametrize("fix", SWITCHES, ids=ids)
def test_switching_a_fix_off_changes_a_verdict(fix: Fix) -> None:
    """No switch of the model goes unnoticed by the corpus."""
    pairs = with_and_without(CATALOGUE, fix, corpus())
    assert pairs, f"no verdict speaks of a kernel with {fix.id}"
    assert any(notices(trace, has, lacks) for has, lacks in pairs for trace in corpus())


def test_every_branch_on_a_fix_is_reached_both_ways() -> None:
    """The corpus has a kernel with and one without each fix at each place that asks for it."""
    found = branches(corpus())
    assert found
    one_way = [place for place, answers in found.items() if len(answers) == 1]
    assert not one_way


@pytest.mark.parametrize("fix", SWITCHES, ids=ids)
def test_every_switch_is_asked_for(fix: Fix) -> None:
    """A switch that the model never asks for is no switch."""
    assert asked().get(fix.id)


@pytest.mark.parametrize("fix", REFACTORS, ids=ids)
def test_no_refactor_is_asked_for(fix: Fix) -> None:
    """What changes no step, by its own account, has no branch in the model."""
    assert fix.id not in asked()


def test_the_model_asks_only_for_known_fixes() -> None:
    """A misspelt switch would be off on every kernel."""
    assert not set(asked()) - set(CATALOGUE.fixes)


def test_no_fix_name_is_ambiguous_in_a_kernel() -> None:
    """`v6.14-a-b` can be cut in one way only."""
    names = set(CATALOGUE.fixes)
    for name in names:
        for other in names - {name}:
            if name.startswith(other + "-"):
                rest = name[len(other) + 1 :]
                assert not any(rest == n or rest.startswith(n + "-") for n in names)


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_is_a_legal_kernel(release: str) -> None:
    """A release has every fix that its fixes need."""
    assert CATALOGUE.kernel(release).fixes == CATALOGUE.landed_by(release)


@pytest.mark.parametrize("hybrid", CATALOGUE.hybrids.values(), ids=lambda h: h.name)
def test_every_hybrid_is_a_legal_kernel(hybrid: Hybrid) -> None:
    """A distribution's kernel is its base and backports that the base lacks, each with a source."""
    kernel = CATALOGUE.kernel(hybrid.name)
    backports = [b.fix for b in hybrid.backports]
    assert len(set(backports)) == len(backports)
    assert not CATALOGUE.landed_by(hybrid.base) & set(backports)
    assert kernel.fixes == CATALOGUE.landed_by(hybrid.base) | set(backports)
    assert all(b.source for b in hybrid.backports)


def test_a_hybrid_can_be_changed_and_sorted_as_a_release() -> None:
    """`debian-6.1.192-ID` lacks a fix, and stands where its base stands."""
    whole = CATALOGUE.kernel("debian-6.1.192")
    assert CATALOGUE.kernel("debian-6.1.192-eager-zcr").fixes == whole.fixes - {"eager-zcr"}
    assert CATALOGUE.kernel("debian-6.1.192+75c76ab5a641").fixes == whole.fixes | {"cptr-reset"}
    names = ["v6.2", "debian-6.1.192", "v6.1", "v6.0"]
    assert sorted(names, key=CATALOGUE.order) == ["v6.0", "debian-6.1.192", "v6.1", "v6.2"]


@pytest.mark.parametrize("spec", ["debian-6.1.1920", "debian-6.1.19", "debian-6.1", "debian"])
def test_an_unknown_hybrid_is_refused(spec: str) -> None:
    """A name that only begins like a hybrid's is no kernel, and the message lists what is."""
    with pytest.raises(KernelError, match=r"unknown kernel .*v7.2, debian-6.1.192"):
        CATALOGUE.kernel(spec)


@pytest.mark.parametrize("fix", CATALOGUE.fixes.values(), ids=ids)
def test_every_merged_fix_names_its_commit(fix: Fix) -> None:
    """A row of the catalogue can be looked up: 12 hex digits and a title, or a mail."""
    for commit in fix.commits:
        assert re.fullmatch(r"[0-9a-f]{12}", commit.id)
        assert commit.title
    if fix.landed is not None:
        assert fix.commits
    for repaired in fix.repairs:
        assert re.fullmatch(r"[0-9a-f]{12}", repaired)
