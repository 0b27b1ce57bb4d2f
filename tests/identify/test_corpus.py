"""Traces on a kernel of which some fixes are unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli.select import find_traces
from harness.dsl import Trace, read_trace
from harness.engine.audit import verdict
from harness.identify import Exposure, Finding, Identity, Judge
from harness.identify.evidence import State
from harness.model.arm64.evidence import OPTIONS
from harness.model.arm64.fixes import CATALOGUE
from harness.model.catalogue import Kernel


def identity(name: str, *unknown: str, **options: bool) -> Identity:
    """A kernel of which everything is known but `unknown`."""
    have = CATALOGUE.kernel(name).fixes

    def known(fix: str) -> State:
        return "unknown" if fix in unknown else "present" if fix in have else "absent"

    return Identity({f: Finding(f, known(f)) for f in CATALOGUE.fixes}, dict(options))


def trace(name: str) -> Trace:
    (path,) = find_traces([name])
    return read_trace(path)


def expose(name: str, found: Identity) -> Exposure:
    return Judge(found, CATALOGUE, OPTIONS, "image").expose(trace(name))


@pytest.mark.long
def test_without_unknowns_it_is_the_kernel() -> None:
    """All traces, on a few kernels: the same verdicts as by the kernel's name."""
    for name in ("v4.15", "v6.1", "v6.13", "v7.2"):
        judge = Judge(identity(name), CATALOGUE, OPTIONS, "image")
        for path in find_traces([]):
            one = read_trace(path)
            if one.arch != "arm64":
                continue
            exposure = judge.expose(one)
            for mode, leaves in exposure.modes.items():
                (leaf,) = leaves
                said = verdict(one, CATALOGUE.kernel(name), mode)
                text = leaf.text.replace("image+", f"{name}+")
                assert text.removesuffix(" of it cannot happen here") == said.removesuffix(
                    " cannot happen"
                ), (name, one.id, mode)
                assert not leaf.decided


def test_an_unknown_that_a_trace_does_not_ask_for_is_no_matter() -> None:
    exposure = expose("sve-not-trapped-after-guest", identity("v6.13", "sig-merge"))
    assert exposure.verdict == "hit"
    assert {len(leaves) for leaves in exposure.modes.values()} == {1}


def test_an_unknown_that_matters_is_named() -> None:
    needing = ("no-hyp-host-save", "no-zen-restore", "no-smen-restore", "cptr-split", "eager-zcr")
    found = identity("v6.14", "save-and-flush", "load-fp-warning", *needing)
    exposure = expose("sve-not-trapped-after-guest", found)
    assert exposure.verdict == "depends"
    assert exposure.depends_on() == ("save-and-flush",)


def test_only_kernels_that_can_be_are_tried() -> None:
    """sig-smstop needs sig-flush: there is no combination of it alone."""
    found = identity("v7.2", "sig-flush", "sig-smstop")
    exposure = expose("signal-handler-fpcr", found)
    seen = [dict(leaf.decided) for leaves in exposure.modes.values() for leaf in leaves]
    assert any("sig-flush" in decided for decided in seen)
    assert not any(d.get("sig-smstop") and not d.get("sig-flush", True) for d in seen)


@pytest.mark.parametrize("name", ["sve-not-trapped-after-guest", "ptrace-sve-discarded"])
def test_every_combination_says_what_the_kernel_says(name: str) -> None:
    """Each is held against the same trace on the very set of fixes that it stands for."""
    unknown = ("save-and-flush", "cptr-split", "eager-zcr", "discard-modified", "ptrace-no-sme")
    found = identity("v7.2", *unknown)
    one = trace(name)
    exposure = expose(name, found)
    for mode, leaves in exposure.modes.items():
        for leaf in leaves:
            on = {fix for fix, there in leaf.decided if there}
            kernel = Kernel("set", found.having("present") | on)
            assert verdict(one, kernel, mode) == leaf.text


def test_too_many_combinations_claim_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.identify.corpus.MAX_REPLAYS", 1)
    exposure = expose("ptrace-sve-discarded", identity("v7.2", "discard-modified", "ptrace-no-sme"))
    assert not exposure.whole
    assert exposure.verdict == "depends"
    assert exposure.depends_on()


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("SME", "sme-trap-stale-cpu"),
        ("SVE", "sve-trap-stale-cpu"),
        ("KVM", "sve-not-trapped-after-guest"),
    ],
)
def test_what_is_not_built_in_cannot_be_hit(option: str, name: str) -> None:
    assert expose(name, identity("v6.10")).verdict == "hit"
    exposure = expose(name, identity("v6.10", **{option: False}))
    assert exposure.verdict == "cannot"
    assert exposure.why_not == f"this kernel is built without {option}"


def test_a_trace_of_ones_own(tmp_path: Path) -> None:
    source = find_traces(["eight-steps"])[0].read_text(encoding="utf-8")
    path = tmp_path / "mine.trace"
    path.write_text(source, encoding="utf-8")
    exposure = Judge(identity("v7.2"), CATALOGUE, OPTIONS, "image").expose(read_trace(path))
    assert exposure.verdict == "cannot"
    assert exposure.judged


@pytest.mark.parametrize(
    ("fix", "unknown", "brings"),
    [
        ("fp-owner", ("fp-tristate", "kvm-fp-2018"), "kvm-fp-2018"),
        ("defer-za", ("sme-clarify", "sme-kvm-load"), "sme-kvm-load"),
    ],
)
def test_a_need_of_a_need_that_nobody_asks_for(
    fix: str, unknown: tuple[str, ...], brings: str
) -> None:
    """The one between has no switch, and is unknown as well."""
    judge = Judge(identity("v7.2", fix, *unknown), CATALOGUE, OPTIONS, "image")
    assert judge.decide({}, fix, True) == {fix: True, brings: True}
    assert judge.decide({}, brings, False) == {brings: False, fix: False}
    assert judge.decide({fix: True}, brings, False) is None
