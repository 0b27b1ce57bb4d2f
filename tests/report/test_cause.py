"""Why a violation happened."""

from __future__ import annotations

from harness.engine import Replay
from harness.model.arm64.fixes import CATALOGUE
from harness.report.cause import explain
from tests.engine.text import line_of, trace

LOST = """\
A write z0 = 0xa1
A ioctl KVM_RUN v0
v0 guest_exit
A ret_to_user
A write z1 = 0xa2
cpu0 switch A -> B
cpu0 switch B -> A
"""


def test_the_event_that_made_it_inevitable() -> None:
    """SVE is left open by vcpu_load already; from KVM_RUN on, A returns to that."""
    t = trace(LOST)
    cause = explain(t, CATALOGUE.kernel("v6.11"), "vhe", 1)
    assert cause is not None
    assert cause.violation.kind == "missing-trap"
    assert cause.inevitable is not None
    assert cause.inevitable.event.line == line_of(t, "A ioctl")


def test_where_the_values_came_from_and_went() -> None:
    """The lost value was written by A, and last seen before the switch that saved only V."""
    t = trace(LOST)
    cause = explain(t, CATALOGUE.kernel("v6.11"), "vhe", 2)
    assert cause is not None
    assert cause.violation.kind == "lost"
    assert cause.inevitable is not None
    assert cause.inevitable.event.line == line_of(t, "cpu0 switch A")
    written = line_of(t, "A write z1")
    assert cause.want_from == f"written by A in line {written}"
    assert cause.last_seen is not None
    assert cause.last_seen.line == written
    assert cause.last_seen.places == ["cpu0's registers"]
    assert cause.gone_after is not None
    assert cause.gone_after.event.line == line_of(t, "cpu0 switch A")


def test_a_leak_names_who_wrote_the_value() -> None:
    """A value of the guest is told by its origin."""
    run = "A ioctl KVM_RUN v0\nv0 write v0 = 0xb1\nv0 guest_exit\nA ret_to_user\n"
    t = trace("A write v0 = 0xa1\n" + run)
    kernel = CATALOGUE.kernel("v6.10+hd-kernel-copy")
    found = [v.kind for s in Replay(t, kernel, "nvhe").steps() for v in s.violations]
    cause = explain(t, kernel, "nvhe", found.index("leak") + 1)
    assert cause is not None
    assert cause.violation.kind == "leak"
    assert cause.got_from == f"written by v0 in line {line_of(t, 'v0 write')}"


def test_an_act_has_no_moment_of_inevitability() -> None:
    """A cost is no state that could be met earlier."""
    t = trace("A write v0 = 1\ncpu0 switch A -> B\n", "verdict v7.2 holds\nbudget saves 0")
    cause = explain(t, CATALOGUE.kernel("v7.2"), "vhe")
    assert cause is not None
    assert cause.inevitable is None


def test_nothing_to_explain() -> None:
    """A trace that holds has no cause."""
    assert explain(trace(LOST), CATALOGUE.kernel("v6.16"), "vhe") is None
