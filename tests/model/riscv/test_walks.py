"""Random legal walks through every kernel."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.dsl.check import Checker
from harness.engine import Replay, fingerprint
from tests.model.riscv.known import known
from tests.model.riscv.walk import (
    EVERYONE,
    KERNELS,
    RELEASES,
    RISCV,
    VCPUS,
    WORLDS,
    Walk,
    written,
)

NAMES = st.sampled_from(sorted(WORLDS))
SEEDS = st.integers(0, 2**32)
QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


def walk(spec: str, name: str, seed: int, steps: int) -> Walk | None:
    """So many steps of one, None if this kernel cannot run this world."""
    if RISCV.unsupported(RISCV.catalogue.kernel(spec), "rv64", WORLDS[name]):
        return None
    way = Walk(spec, WORLDS[name], seed)
    for _ in range(steps):
        way.step()
    return way


@pytest.mark.one_in(8)
@pytest.mark.parametrize("spec", KERNELS)
def test_no_walk_upsets_any_kernel(spec: str) -> None:
    """Whatever is legal, the model of every kernel takes its steps without an internal error."""

    @settings(QUICK, max_examples=10)
    @given(name=NAMES, seed=SEEDS)
    def some(name: str, seed: int) -> None:
        way = walk(spec, name, seed, 100)
        if way is not None:
            way.model.snapshot()
            way.model.owners()

    some()


@pytest.mark.long
@settings(QUICK, max_examples=80)
@given(name=NAMES, seed=SEEDS)
def test_no_walk_shows_a_violation_on_the_newest_kernel(name: str, seed: int) -> None:
    """The newest kernel has none of the bugs that this model can show, but for those known."""
    w = WORLDS[name]
    way = Walk(RELEASES[-1], w, seed, known)
    for _ in range(150):
        violations = way.step()
        assert not violations, "\n".join(written(way.events, w, RELEASES[-1]))


@pytest.mark.long
def test_every_verb_is_walked() -> None:
    """A verb that no walk can reach would be one that no random test covers."""
    reached: set[str] = set()
    for seed in range(240):
        way = walk(RELEASES[-1], ("all", "two equal hosts", "much")[seed % 3], seed, 200)
        assert way is not None
        reached |= {verb for _, verb, _ in way.events}
        if reached == set(RISCV.verbs):
            return
    pytest.fail(f"never reached: {sorted(set(RISCV.verbs) - reached)}")


@QUICK
@given(spec=st.sampled_from(RELEASES), name=NAMES, seed=SEEDS)
def test_a_walk_can_be_written_down_and_replayed(spec: str, name: str, seed: int) -> None:
    """A walk, written as a trace file and replayed, leads to the same state."""
    w = WORLDS[name]
    kernel = RISCV.catalogue.kernel(spec)
    if RISCV.unsupported(kernel, "rv64", w):
        return
    way = Walk(spec, w, seed)
    for _ in range(60):
        way.step()
        if any(way.model.dead(who) for who in EVERYONE):
            break
    trace = Checker("walk.trace", "walk").read(written(way.events, w, spec))
    replay = Replay(trace, kernel, "rv64")
    replay.run()
    assert replay.model.snapshot() == way.model.snapshot()
    assert replay.model.counts() == way.model.counts()


@pytest.mark.long
@QUICK
@given(spec=st.sampled_from(KERNELS), name=NAMES, seed=SEEDS)
def test_a_walk_is_the_same_each_time(spec: str, name: str, seed: int) -> None:
    """Nothing but the events decides what becomes of a machine."""
    one, two = walk(spec, name, seed, 60), walk(spec, name, seed, 60)
    if one is None or two is None:
        return
    assert one.events == two.events
    assert repr(one.model.capture()) == repr(two.model.capture())
    assert one.model.snapshot() == two.model.snapshot()


@pytest.mark.long
@QUICK
@given(spec=st.sampled_from(KERNELS), name=NAMES, seed=SEEDS)
def test_going_back_is_exact(spec: str, name: str, seed: int) -> None:
    """A captured state can be restored, and the same events lead on to the same states."""
    if RISCV.unsupported(RISCV.catalogue.kernel(spec), "rv64", WORLDS[name]):
        return
    way = Walk(spec, WORLDS[name], seed)
    states = [way.model.capture()]
    prints = [fingerprint(way.model)]
    for n in range(40):
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


@QUICK
@given(spec=st.sampled_from(RELEASES), name=NAMES, seed=SEEDS)
def test_names_do_not_count(spec: str, name: str, seed: int) -> None:
    """The same walk of a task and a vcpu by other names is the same to a search."""
    w = WORLDS[name]
    kernel = RISCV.catalogue.kernel(spec)
    if RISCV.unsupported(kernel, "rv64", w):
        return
    way = Walk(spec, w, seed)
    for _ in range(40):
        way.step()
        if any(way.model.dead(who) for who in EVERYONE):
            break
    new = {who: f"some{n}" for n, who in enumerate((*EVERYONE, *VCPUS))}
    prints = []
    for names in ({}, new):
        lines = [_renamed(line, names) for line in written(way.events, w, spec)]
        replay = Replay(Checker("walk.trace", "walk").read(lines), kernel, "rv64")
        replay.run()
        prints.append(fingerprint(replay.model))
    assert prints[0] == prints[1]


def _renamed(line: str, names: dict[str, str]) -> str:
    words = line.replace(",", " ,").replace(";", " ;").split(" ")
    return " ".join(names.get(word, word) for word in words)
