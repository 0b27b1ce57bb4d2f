"""Random legal traces through every kernel."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.dsl.check import Checker
from harness.engine import Replay, fingerprint
from harness.model import architecture
from harness.model.catalogue import RELEASES
from harness.model.world import World
from tests.model.arm64.walk import KNOWN, NEWEST, Walk, world, written

ARM64 = architecture("arm64")
VARIANTS = (
    "v4.15+null-always",
    "v6.13+trap-sve-v1",
    "v6.4+defer-za",
    "v6.10+hd-kernel-copy",
    "v4.18-flush-sets-foreign",
    "v5.19-sme-flag-clear-sme-kvm-load",
    *ARM64.catalogue.hybrids,
)
MODES = st.sampled_from(ARM64.modes)
WORLDS = (
    st.builds(world, st.just(True), st.booleans(), st.booleans(), st.booleans(), st.booleans())
    | st.just(world(False, False, False))
    | st.builds(world, st.just(False), st.just(True), st.just(False), st.booleans())
)
SEEDS = st.integers(0, 2**32)

SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


@pytest.mark.one_in(9)
@pytest.mark.parametrize("spec", [*RELEASES, *VARIANTS])
def test_no_walk_upsets_any_kernel(spec: str) -> None:
    """Whatever is legal, the model of every kernel takes its steps without an internal error."""

    @settings(SLOW, max_examples=6)
    @given(mode=MODES, w=WORLDS, seed=SEEDS)
    def walk(mode: str, w: World, seed: int) -> None:
        if ARM64.unsupported(ARM64.catalogue.kernel(spec), mode, w):
            return
        way = Walk(spec, mode, w, seed)
        for _ in range(60):
            way.step()
        way.model.snapshot()
        way.model.owners()

    walk()


@pytest.mark.long
@SLOW
@given(mode=MODES, w=WORLDS, seed=SEEDS)
def test_no_walk_shows_a_violation_on_the_newest_kernel(mode: str, w: World, seed: int) -> None:
    """The newest kernel has none of the bugs that this model can show, but for those known."""
    way = Walk(NEWEST, mode, w, seed, without=KNOWN)
    for _ in range(120):
        violations = way.step()
        assert not violations, "\n".join(written(way.events, w, NEWEST, mode))


@SLOW
@given(spec=st.sampled_from(RELEASES), mode=MODES, w=WORLDS, seed=SEEDS)
def test_a_walk_can_be_written_down_and_replayed(spec: str, mode: str, w: World, seed: int) -> None:
    """A walk, written as a trace file and replayed, leads to the same state."""
    kernel = ARM64.catalogue.kernel(spec)
    if ARM64.unsupported(kernel, mode, w):
        return
    way = Walk(spec, mode, w, seed)
    for _ in range(40):
        way.step()
        if any(way.model.dead(name) for name in ("A", "B", "C", "D")):
            break
    trace = Checker("walk.trace", "walk").read(written(way.events, w, spec, mode))
    replay = Replay(trace, kernel, mode)
    replay.run()
    assert replay.model.snapshot() == way.model.snapshot()
    assert replay.model.counts() == way.model.counts()


@SLOW
@given(spec=st.sampled_from(RELEASES), mode=MODES, w=WORLDS, seed=SEEDS)
def test_going_back_is_exact(spec: str, mode: str, w: World, seed: int) -> None:
    """A captured state can be restored, and the same events lead on to the same states."""
    kernel = ARM64.catalogue.kernel(spec)
    if ARM64.unsupported(kernel, mode, w):
        return
    way = Walk(spec, mode, w, seed)
    states = [way.model.capture()]
    prints = [fingerprint(way.model)]
    for n in range(30):
        way.step()
        if len(way.events) == n:
            break  # nobody is left who could do anything
        states.append(way.model.capture())
        prints.append(fingerprint(way.model))
    for n in (len(states) // 2, 0):
        way.model.restore(states[n])
        assert way.model.capture() == states[n]
        for event, after in zip(way.events[n:], prints[n + 1 :], strict=True):
            way.model.apply(*event)
            assert fingerprint(way.model) == after


def test_a_frame_that_is_refused_changes_nothing() -> None:
    """A frame of another vector length: the signal that follows kills, and nothing is restored."""
    there = World({"sve": (16, 64)}, (("T", 0), ("A", -1)), (), ())
    m = ARM64.machine(ARM64.catalogue.kernel("v7.2"), "vhe", there, record=False)
    for actor, verb, args in (
        ("A", "signal", ()),
        ("A", "prctl", ("PR_SVE_SET_VL", 32, ())),
        ("A", "write", (("v", 0), (0xA1,))),
        ("A", "syscall_enter", ()),
        ("A", "sigreturn", ("whole",)),
        ("T", "ptrace_get", ("A", ("v", 0))),
    ):
        if actor == "A" and verb == "signal":
            m.apply("cpu0", "switch", ("T", "A"))
        if actor == "T":
            m.apply("cpu0", "switch", ("A", "T"))
        m.apply(actor, verb, args)
        assert (m.violations, m.check()) == ([], []), verb
    assert m.observe("read", (0, 0xA1)) is None
