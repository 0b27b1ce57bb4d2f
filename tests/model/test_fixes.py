"""The catalogues of fixes, held against the models and the corpus."""

from __future__ import annotations

import functools
import re
from typing import get_args

import pytest

from harness.dsl import Trace, read_trace
from harness.engine.audit import branches, notices, with_and_without
from harness.model import architecture, home
from harness.model.catalogue import RELEASES, Catalogue, Fix, Hybrid, Untagged
from harness.resources import folder

ARCHITECTURES = ("arm64", "riscv")
Each = tuple[str, Fix]


def catalogue(arch: str) -> Catalogue:
    return architecture(arch).catalogue


def each(switch: bool | None = None) -> list[Each]:
    """The fixes of all architectures, those with a switch or without."""
    return [
        (arch, fix)
        for arch in ARCHITECTURES
        for fix in catalogue(arch).fixes.values()
        if switch is None or fix.switch is switch
    ]


def ids(value: object) -> str:
    return value.id if isinstance(value, Fix) else str(value)


@functools.cache
def corpus(arch: str) -> list[Trace]:
    return [read_trace(p) for p in sorted((folder("traces") / arch).glob("*.trace"))]


@functools.cache
def source(arch: str) -> str:
    """The model, without the table of its fixes and those that name them for other ends."""
    model = home(arch) / "model" / arch
    other = ("fixes.py", "hybrids.py", "evidence.py")
    kept = (p for p in model.rglob("*.py") if p.name not in other)
    return "".join(p.read_text() for p in kept)


@functools.cache
def asked(arch: str) -> frozenset[str]:
    """The fixes that a branch of the model asks for by name."""
    return frozenset(re.findall(r'"([^"]+)" (?:not )?in (?:\w+\.)?fixes', source(arch)))


@functools.cache
def words(arch: str) -> frozenset[str]:
    """The strings in a model: it may ask for a fix by a table."""
    return frozenset(re.findall(r'"([^"\n]+)"', source(arch)))


@pytest.mark.one_in(20)
@pytest.mark.parametrize(("arch", "fix"), each(True), ids=ids)
def test_switching_a_fix_off_changes_a_verdict(arch: str, fix: Fix) -> None:
    """No switch of the model goes unnoticed by the corpus."""
    pairs = with_and_without(catalogue(arch), fix, corpus(arch))
    assert pairs, f"no verdict speaks of a kernel with {fix.id}"
    assert any(notices(trace, has, lacks) for has, lacks in pairs for trace in corpus(arch))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_branch_on_a_fix_is_reached_both_ways(arch: str) -> None:
    """The corpus has a kernel with and one without each fix at each place that asks for it."""
    found = branches(corpus(arch))
    assert found
    one_way = [place for place, answers in found.items() if len(answers) == 1]
    assert not one_way


@pytest.mark.one_in(8)
@pytest.mark.parametrize(("arch", "fix"), each(True), ids=ids)
def test_every_switch_is_asked_for(arch: str, fix: Fix) -> None:
    """A switch that the model never asks for is no switch."""
    builds = {name for b in catalogue(arch).builds for name in (b.broken, b.built)}
    assert fix.id in words(arch) | builds


@pytest.mark.parametrize(("arch", "fix"), each(False), ids=ids)
def test_no_refactor_is_asked_for(arch: str, fix: Fix) -> None:
    """What changes no step, by its own account, has no branch in the model."""
    assert fix.id not in asked(arch)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_model_asks_only_for_known_fixes(arch: str) -> None:
    """A misspelt switch would be off on every kernel."""
    assert asked(arch)
    assert asked(arch) <= catalogue(arch).fixes.keys()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_no_fix_name_is_ambiguous_in_a_kernel(arch: str) -> None:
    """`v6.14-a-b` can be cut in one way only."""
    names = set(catalogue(arch).fixes)
    for name in names:
        for other in names - {name}:
            if name.startswith(other + "-"):
                rest = name[len(other) + 1 :]
                assert not any(rest == n or rest.startswith(n + "-") for n in names)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("release", RELEASES)
def test_every_release_is_a_legal_kernel(arch: str, release: str) -> None:
    """A release has every fix that its fixes need."""
    assert catalogue(arch).kernel(release).fixes == catalogue(arch).landed_by(release)


HYBRIDS = [(arch, hybrid) for arch in ARCHITECTURES for hybrid in catalogue(arch).hybrids.values()]


@pytest.mark.parametrize(("arch", "hybrid"), HYBRIDS, ids=lambda h: getattr(h, "name", h))
def test_every_hybrid_is_a_legal_kernel(arch: str, hybrid: Hybrid) -> None:
    """A distribution's kernel is its base and backports that the base lacks, each with a source."""
    kernel = catalogue(arch).kernel(hybrid.name)
    backports = [b.fix for b in hybrid.backports]
    assert len(set(backports)) == len(backports)
    assert not catalogue(arch).landed_by(hybrid.base) & set(backports)
    assert kernel.fixes == catalogue(arch).landed_by(hybrid.base) | set(backports)
    assert all(b.source for b in hybrid.backports)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("arch", "fix"), each(), ids=ids)
def test_every_merged_fix_names_its_commit(arch: str, fix: Fix) -> None:
    """A row of the catalogue can be looked up: 12 hex digits and a title, or a mail."""
    for commit in fix.commits:
        assert re.fullmatch(r"[0-9a-f]{12}", commit.id)
        assert commit.title
    if fix.landed is not None:
        assert fix.commits
    for repaired in fix.repairs:
        assert re.fullmatch(r"[0-9a-f]{12}", repaired)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("arch", "fix"), each(), ids=ids)
def test_a_fix_says_what_it_repairs_or_why_not(arch: str, fix: Fix) -> None:
    """A merged fix names a commit, or says that upstream names none, or that nobody has looked."""
    assert not (fix.repairs and fix.untagged)
    if fix.kind == "fix":
        assert fix.repairs or fix.untagged in get_args(Untagged)
