"""Kernels as they are: bad backports, and options that cannot be selected."""

from __future__ import annotations

import re

import pytest

from harness.dsl import read_trace
from harness.engine.audit import notices
from harness.engine.judge import Case, judge
from harness.engine.recall import recall
from harness.model import architecture
from harness.model.catalogue import RELEASES, Catalogue, Commit, Fix, Kernel, KernelError
from harness.resources import folder

CATALOGUE = architecture("arm64").catalogue
TRACES = [read_trace(path) for path in sorted((folder("traces") / "arm64").glob("*.trace"))]
NEEDY = [(fix.id, need) for fix in CATALOGUE.fixes.values() for need in fix.needs if fix.switch]


def test_a_backport_as_somebody_made_it() -> None:
    kernel = CATALOGUE.kernel("v6.7++sig-merge")
    assert kernel.fixes == CATALOGUE.landed_by("v6.7") | {"sig-merge"}
    assert CATALOGUE.bad_backports(kernel) == [("sig-merge", "sig-fptype")]
    assert CATALOGUE.kernel("v6.7++c94f2f326146").fixes == kernel.fixes


def test_a_backport_that_is_asked_to_be_sound() -> None:
    with pytest.raises(KernelError, match=r"sig-merge needs sig-fptype; add \+sig-fptype, or "):
        CATALOGUE.kernel("v6.7+sig-merge")


def test_what_stays_when_its_need_is_reverted() -> None:
    """`++` of a fix that is there already: it stays whatever is taken away."""
    with pytest.raises(KernelError, match="sig-merge needs sig-fptype"):
        CATALOGUE.kernel("v6.16-sig-fptype")
    kernel = CATALOGUE.kernel("v6.16-sig-fptype++sig-merge")
    assert ("sig-merge", "sig-fptype") in CATALOGUE.bad_backports(kernel)


def test_one_bad_backport_does_not_excuse_another() -> None:
    with pytest.raises(KernelError, match="no-zen-restore needs save-and-flush"):
        CATALOGUE.kernel("v6.1+no-zen-restore++sig-merge")


def test_a_hybrid_is_as_it_is() -> None:
    """linux-6.1.y has c94f2f326146 without 61da7c8e2a60; what is added to it is held to account."""
    kernel = CATALOGUE.kernel("debian-6.1.192")
    assert CATALOGUE.bad_backports(kernel) == [("sig-merge", "sig-fptype")]
    assert CATALOGUE.bad_backports(CATALOGUE.kernel("debian-6.1.192+sig-fptype")) == []


@pytest.mark.parametrize("release", RELEASES)
def test_releases_are_sound_and_say_what_they_are_not_built_with(release: str) -> None:
    kernel = CATALOGUE.kernel(release)
    assert CATALOGUE.bad_backports(kernel) == []
    broken = release in ("v6.12", "v6.13", "v6.14", "v6.15")
    assert bool(CATALOGUE.unbuilt(kernel.fixes)) is broken
    assert ("sme-host" in CATALOGUE.not_built(kernel)) is broken


def test_the_same_tree_with_sme() -> None:
    """The fixes are the same, and are built."""
    plain, built = CATALOGUE.kernel("v6.13"), CATALOGUE.kernel("v6.13+sme-built")
    assert built.fixes - plain.fixes == {"sme-built"}
    assert not CATALOGUE.not_built(built)
    trace = read_trace(folder("traces") / "arm64/clone-inherits-za.trace")
    said = judge(Case(trace, plain, "vhe", None))
    assert said.outcome is None
    assert said.text.startswith("not built with CONFIG_ARM64_SME, ")
    assert "v6.13+sme-built" in said.text
    assert judge(Case(trace, built, "vhe", None)).outcome is not None


def test_a_fix_that_matters_without_sme_is_built() -> None:
    kernel = CATALOGUE.kernel("v6.13")
    assert {"save-and-flush", "fp-type", "sve-stale-cpu"}.isdisjoint(CATALOGUE.not_built(kernel))


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", ["v6.13", *CATALOGUE.hybrids])
def test_what_is_not_built_matters_to_no_machine_without_sme(name: str) -> None:
    kernel = CATALOGUE.kernel(name)
    traces = [trace for trace in TRACES if "sme" not in trace.settings]
    for fix in CATALOGUE.not_built(kernel):
        without = Kernel(kernel.name, kernel.fixes - {fix})
        assert [t.id for t in traces if notices(t, kernel, without)] == [], fix


@pytest.mark.one_in(30)
@pytest.mark.parametrize(("fix", "need"), NEEDY)
def test_every_bad_backport_can_be_judged(fix: str, need: str) -> None:
    """Whatever is left out, the model has an answer for each trace, or says why not."""
    newest = CATALOGUE.kernel(RELEASES[-1])
    gone = CATALOGUE.dependents(need) & newest.fixes - {fix}
    without = "".join(f"-{name}" for name in sorted(gone))
    bad = CATALOGUE.kernel(f"{RELEASES[-1]}{without}++{fix}")
    assert (fix, need) in CATALOGUE.unmet(bad.fixes)
    for trace in TRACES:
        recall(trace, bad, trace.modes[-1])


@pytest.mark.parametrize(
    ("spec", "sign", "fix", "want"),
    [
        ("v6.12", "+", "save-and-flush", "v6.12+save-and-flush"),
        ("v6.12+save-and-flush", "-", "fbc7e61195e2", "v6.12"),
        ("v6.12-fp-type", "+", "fp-type", "v6.12"),
        ("v6.7++sig-merge", "-", "sig-merge", "v6.7"),
        ("v6.15+fpmr-sm", "-", "fpmr", "v6.15+fpmr-sm-fpmr"),
        ("debian-6.1.192+sme-built", "-", "sme-built", "debian-6.1.192"),
    ],
)
def test_an_edit_that_undoes_another(spec: str, sign: str, fix: str, want: str) -> None:
    assert CATALOGUE.edited(spec, sign, fix) == want


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("v6.1+fp-type+fp-type", "fp-type is named twice"),
        ("v6.1+baa8515281b3+fp-type", "fp-type is named twice"),
        ("v6.1++sig-merge-sig-merge", "sig-merge is named twice"),
        ("v6.1+", "expected a fix after '+'"),
        ("v6.1++", "expected a fix after '++'"),
        ("v6.1-", "expected a fix after '-'"),
        ("v6.1+++sig-merge", "expected a fix after '++'"),
        ("v6.12+abcdef0", "`kvm-replay fixes` lists"),
        ("v6.12+" + "0" * 41, "it has 41 hex digits, and a commit has 40"),
        ("v6.12+59419F10045B", "write it in lower case: 59419f10045b"),
        ("v6.13-rc5", "did you mean 'v6.13'?): it is a release candidate"),
        ("v6.13rc5", "it is a release candidate"),
        ("v6.6.110", "did you mean 'v6.6'?): it is a stable release"),
        ("6.6.110-generic", "it is a distribution's build"),
        ("v6.1.170", "Start from v6.1, and add or remove fixes"),
        ("v6.1.193", "Start from debian-6.1.192, and add or remove fixes"),
        ("debian-6.1.100", "did you mean 'debian-6.1.192'?"),
        ("linux-6.6.y", "it is a stable branch"),
        ("6.6", "did you mean 'v6.6'?"),
        ("v4.4", "older than v4.13, the first"),
        ("v7.9", "newer than v7.3, the last"),
        ("v7.2-baa8515281b3", "needs fp-type; add -hyp"),
    ],
)
def test_a_name_that_is_none(spec: str, says: str) -> None:
    with pytest.raises(KernelError) as caught:
        CATALOGUE.kernel(spec)
    assert says.replace("add -hyp", "add -") in str(caught.value)


def test_a_revert_is_told_everything_that_goes_with_it() -> None:
    with pytest.raises(KernelError) as caught:
        CATALOGUE.kernel("v6.6-lazy-reload")
    found = re.search(r"add (\S+), or", str(caught.value))
    assert found
    assert CATALOGUE.kernel(f"v6.6-lazy-reload{found[1]}").fixes
    assert CATALOGUE.built(CATALOGUE.kernel("v6.16-sme-built"), CATALOGUE.builds[0]) == "v6.16"


@pytest.mark.parametrize("digits", [7, 9, 12, 20, 40])
def test_a_commit_of_any_length_that_is_unambiguous(digits: int) -> None:
    """What git prints, short or whole, stands for the fix."""
    commit = "fbc7e61195e2".ljust(digits, "0")[:digits]
    spec = f"v6.6+{commit}"
    assert CATALOGUE.kernel(spec).fixes == CATALOGUE.kernel("v6.6+save-and-flush").fixes


def test_a_commit_that_is_too_short_to_be_one() -> None:
    """Digits that begin two commits say which, so that more can be written."""
    catalogue = Catalogue(
        [
            Fix("one", "fix", "v5.0", "a -> b", (Commit("0123456789ab", "x"),)),
            Fix("two", "fix", "v5.0", "a -> b", (Commit("0123456abcde", "y"),)),
        ]
    )
    with pytest.raises(KernelError, match="0123456 is short for 0123456789ab or 0123456abcde"):
        catalogue.kernel("v4.20+0123456")
    assert catalogue.kernel("v4.20+01234567").fixes == {"one"}
