"""Which fix makes a verdict change."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.dsl import Trace, read_trace
from harness.model import architecture
from harness.model.catalogue import Catalogue, Fix
from harness.search.culprit import (
    Flip,
    between,
    closed,
    every_flip,
    flips,
    header_pairs,
    smallest,
)

ROOT = Path(__file__).resolve().parents[2]
TRACES = sorted((ROOT / "traces").rglob("*.trace"))


COUNTS = "riscv/reg-list-without-sbi-words"  # it counts registers, of which there were more soon


def trace(name: str) -> Trace:
    return read_trace(ROOT / "traces" / f"{name}.trace")


def found(name: str, mode: str) -> list[Flip]:
    t = trace(name)
    return flips(t, architecture(t.arch).catalogue, mode)


def ids(flip: Flip) -> list[list[str]]:
    return [[fix.id for fix in chosen] for chosen in flip.sets]


def test_the_first_known_bug_has_its_two_commits() -> None:
    """fbc7e61195e2 ends it; its own Fixes: tags blame 93ae6b01bafe and 8c845e273104."""
    story = [f for f in found("arm64/sve-not-trapped-after-guest", "vhe") if f.was is not None]
    assert [(f.before.name, f.after.name, ids(f)) for f in story] == [
        ("v6.1", "v6.2", [["kvm-prepare", "sve-stays-on"]]),
        ("v6.13", "v6.14", [["save-and-flush"]]),
    ]


def test_two_fixes_together() -> None:
    """Neither alone makes the verdict that of v6.16."""
    flip = next(f for f in found("arm64/ptrace-sve-discarded", "vhe") if f.after.name == "v6.16")
    assert ids(flip) == [["discard-modified", "ptrace-errors"]]
    assert flip.exact


def test_more_than_three_are_one_set_that_needs_them_all() -> None:
    flip = next(f for f in found("riscv/isa-ids-6.8", "rv64") if f.after.name == "v6.8")
    assert not flip.exact
    assert len(flip.sets) == 1
    assert len(flip.sets[0]) == 7


def test_a_fix_that_is_taken_away() -> None:
    """Between two kernels that are no releases."""
    t = trace("riscv/fwft-lock-by-failed-set")
    catalogue = architecture("riscv").catalogue
    good, bad = catalogue.kernel("v7.2"), catalogue.kernel("v7.2-fwft-lock-on-success")
    flip = between(t, catalogue, good, bad, "rv64")
    assert flip is not None
    assert ids(flip) == [["fwft-lock-on-success"]]
    assert between(t, catalogue, good, good, "rv64") is None


@pytest.mark.one_in(16)
@pytest.mark.parametrize("path", TRACES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_bisect_names_a_commit_that_the_header_cites(path: Path) -> None:
    """Where the verdict changes between releases, a culprit is what the trace is about."""
    t = read_trace(path)
    catalogue = architecture(t.arch).catalogue
    cited = {commit for commit, _ in t.commits}
    every = [flip for mode in t.modes for flip in flips(t, catalogue, mode)]
    changes = [flip for flip in every if flip.was is not None and flip.now is not None]
    assert all(bool(flip.sets) is (flip in changes) for flip in every)
    named = {c.id for f in changes for chosen in f.sets for fix in chosen for c in fix.commits}
    known = {c.id for fix in catalogue.fixes.values() if fix.switch for c in fix.commits}
    assert not named or not cited & known or named & cited or t.id == COUNTS


@pytest.mark.one_in(8)
@pytest.mark.parametrize("path", TRACES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_what_a_header_tells_apart_has_a_culprit(path: Path) -> None:
    """Where it says that one kernel holds and another does not, some fix is named."""
    t = read_trace(path)
    if not any(v.holds for v in t.verdicts) or all(v.holds for v in t.verdicts):
        return
    catalogue = architecture(t.arch).catalogue
    assert any(flip.sets for mode in t.modes for flip in every_flip(t, catalogue, mode))


def test_the_fix_within_a_release_and_what_it_mends() -> None:
    t = trace("arm64/flush-leaves-foreign-clear")
    pairs = header_pairs(t, architecture(t.arch).catalogue, "vhe", apart=True)
    assert [(f.before.name, f.after.name, ids(f)) for f in pairs] == [
        ("v4.15", "v4.18-flush-sets-foreign", [["kvm-fp-2018"]]),
        ("v4.18-flush-sets-foreign", "v4.18", [["flush-sets-foreign"]]),
    ]


def test_the_answers_of_expectations_are_kept() -> None:
    """The list grew by two fixes, and its length is what is expected."""
    flip = next(f for f in found("riscv/reg-list", "rv64") if f.after.name == "v6.7")
    assert ids(flip) == [["senvcfg-switch", "sbi-dbcn"]]


FIXES = Catalogue(
    Fix(name, "fix", "v4.15", name, requires=needs)
    for name, needs in (("a", ()), ("b", ("a",)), ("c", ()), ("d", ("b", "c")))
)


@pytest.mark.parametrize(
    ("base", "chosen", "want"),
    [
        ("", "a", "a"),
        ("", "b", "ab"),
        ("", "d", "abcd"),
        ("abcd", "c", "ab"),
        ("abcd", "a", "c"),
        ("ab", "b", "a"),
    ],
)
def test_what_goes_with_a_change(base: str, chosen: str, want: str) -> None:
    """What an added fix needs comes too; what needs one that is taken away goes too."""
    every = frozenset("abcd")
    assert closed(FIXES, frozenset(base), frozenset(chosen), every) == frozenset(want)


def test_a_bad_backport_may_lack_what_it_needs() -> None:
    """Between two kernels of which one lacks it; not where both ends are sound."""
    assert closed(FIXES, frozenset(), frozenset("d"), frozenset("d")) == frozenset("d")
    assert closed(FIXES, frozenset("d"), frozenset("a"), frozenset("ab")) == frozenset("ad")


def test_the_smallest_set_is_the_one_that_needs_least() -> None:
    """`d` brings `b` along, which is enough."""
    changes = list(FIXES.fixes.values())
    sets = list(smallest(FIXES, frozenset(), changes, lambda fixes: "b" in fixes))
    assert [[fix.id for fix in chosen] for chosen in sets] == [["b"]]
