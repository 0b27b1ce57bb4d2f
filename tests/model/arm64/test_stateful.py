"""Sequences of legal events, chosen and shrunk by hypothesis, on every kernel.

By default a few on each. To look for longer on one:

    timeout 600 pytest tests/model/arm64/test_stateful.py -k v6.12 --hypothesis-profile=long
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from harness.model import architecture
from harness.model.base import Model, Refused
from harness.model.catalogue import RELEASES
from harness.model.world import World
from tests.model.arm64.walk import KNOWN, NEWEST, alphabet, fill, switches, world, written

ARM64 = architecture("arm64")
KERNELS = (*RELEASES, *ARM64.catalogue.hybrids)


class Machine(RuleBasedStateMachine):
    """One machine; `spec` is the kernel, `known` the events that it is known to fail on."""

    spec = NEWEST
    known: tuple[Any, ...] = ()
    holds = False  # whether a violation is a failure

    def __init__(self) -> None:
        super().__init__()
        self.model: Model | None = None

    @initialize(
        mode=st.sampled_from(ARM64.modes),
        w=st.builds(world, st.just(True), st.booleans(), st.booleans(), st.booleans()),
    )
    def boot(self, mode: str, w: World) -> None:
        kernel = ARM64.catalogue.kernel(self.spec)
        assume(not ARM64.unsupported(kernel, mode, w))
        self.mode, self.world, self.events = mode, w, 0
        self.alphabet = [event for event in alphabet(w) if event not in self.known]
        self.model = ARM64.machine(kernel, mode, w, False)
        self.lines = written([], w, self.spec, mode)

    @precondition(lambda self: self.model is not None)
    @rule(data=st.data())
    def event(self, data: st.DataObject) -> None:
        for _ in range(8):  # most of what makes sense somewhere is refused here
            event = fill(data.draw(st.sampled_from(self.alphabet)), self.events + 1)
            if self.happen(event):
                break

    @precondition(lambda self: self.model is not None)
    @rule(data=st.data())
    def switch(self, data: st.DataObject) -> None:
        self.happen(data.draw(st.sampled_from(switches(self.model))))

    def happen(self, event: tuple[str, str, tuple[Any, ...]]) -> bool:
        model = self.model
        assert model is not None
        if model.dead(event[0]):
            return False
        before = model.capture()
        model.violations.clear()
        model.step = self.events + 1
        try:
            model.apply(*event)
        except Refused:
            model.restore(before)
            return False
        self.events += 1
        found = [*model.violations, *model.check()]
        assert not (found and self.holds), found
        return True

    def teardown(self) -> None:
        if self.model is not None:
            self.model.snapshot()
            self.model.owners()


FEW = settings(
    max_examples=4,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def limits() -> settings:
    return settings() if settings.get_current_profile_name() == "long" else FEW


@pytest.mark.one_in(8)
@pytest.mark.parametrize("spec", KERNELS)
def test_no_sequence_upsets_a_kernel(spec: str) -> None:
    """Whatever is legal, the model of every kernel takes its steps without an internal error."""
    run(type("Machine", (Machine,), {"spec": spec}), settings=limits())


def test_no_sequence_shows_a_violation_on_the_newest_kernel() -> None:
    """But for those that are written up as traces."""
    run(type("Machine", (Machine,), {"known": KNOWN, "holds": True}), settings=limits())
