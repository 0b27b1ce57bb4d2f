"""Why a violation happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.dsl import Trace, read_trace
from harness.engine import Replay
from harness.model import architecture
from harness.model.arm64.fixes import CATALOGUE
from harness.model.catalogue import Kernel
from harness.report.cause import Cause, Difference, explain
from harness.report.graft import first_cured
from harness.search.culprit import nearest_fixed
from tests.engine.text import line_of, trace

ROOT = Path(__file__).resolve().parents[2]

LOST = """\
A write z0 = 0xa1
A ioctl KVM_RUN v0
v0 guest_exit
A ret_to_user
A write z1 = 0xa2
cpu0 switch A -> B
cpu0 switch B -> A
"""


def one(t: Trace, kernel: Kernel, mode: str, number: int, against: str = "") -> Cause:
    """The cause of one violation."""
    good = architecture(t.arch).catalogue.kernel(against) if against else None
    (cause,) = explain(t, kernel, mode, good, [number])
    return cause


def own(name: str) -> Trace:
    return read_trace(ROOT / "traces" / f"{name}.trace")


def test_the_event_that_made_it_inevitable() -> None:
    """SVE is left open by vcpu_load already; from KVM_RUN on, A returns to that."""
    t = trace(LOST)
    cause = one(t, CATALOGUE.kernel("v6.11"), "vhe", 1)
    assert cause.violation.kind == "missing-trap"
    assert cause.inevitable is not None
    assert cause.inevitable.event.line == line_of(t, "A ioctl")


def test_where_the_values_came_from_and_went() -> None:
    """The lost value was written by A, and last seen before the switch that saved only V."""
    t = trace(LOST)
    cause = one(t, CATALOGUE.kernel("v6.11"), "vhe", 2)
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
    cause = one(t, kernel, "nvhe", found.index("leak") + 1)
    assert cause.violation.kind == "leak"
    assert cause.got_from == f"written by v0 in line {line_of(t, 'v0 write')}"


def test_an_act_has_no_moment_of_inevitability() -> None:
    """A cost is no state that could be met earlier."""
    t = trace("A write v0 = 1\ncpu0 switch A -> B\n", "verdict v7.2 holds\nbudget saves 0")
    cause = one(t, CATALOGUE.kernel("v7.2"), "vhe", 1)
    assert cause.inevitable is None


def test_nothing_to_explain() -> None:
    """A trace that holds has no cause."""
    assert explain(trace(LOST), CATALOGUE.kernel("v6.16"), "vhe") == []


def test_the_cause_is_where_the_fixed_kernel_goes_another_way() -> None:
    """vcpu_load clears TIF_SVE and leaves A's registers in place; the fix saves and flushes."""
    t = trace(LOST)
    cause = one(t, CATALOGUE.kernel("v6.13"), "vhe", 2, "v6.13+save-and-flush")
    assert cause.proven
    lines = [link.step and link.step.event.line for link in cause.links]
    assert lines[0] == line_of(t, "A ioctl")
    assert Difference("cpu0.fpsimd_last_state", "A", "NULL") in cause.links[0].differences
    assert "+     fpsimd_save_and_flush_cpu_state()" in cause.did
    after_exit = cause.links[lines.index(line_of(t, "A ret_to_user"))]
    assert after_exit.differences == [Difference("cpu0.cptr_el2.zen", "0b11", "0b01")]
    assert lines[-1] == line_of(t, "cpu0 switch B")


def test_what_the_other_kernel_violates_as_well_has_no_cause_there() -> None:
    cause = one(trace(LOST), CATALOGUE.kernel("v6.13"), "vhe", 2, "v6.12")
    assert cause.shared
    assert cause.links == []


def test_a_failed_expectation_has_a_cause() -> None:
    """The first run overwrites hedeleg, and a later read finds that."""
    t = own("riscv/delegation-set-before-the-first-run")
    kernel = architecture("riscv").catalogue.kernel("v6.18-hedeleg-init-early")
    causes = explain(t, kernel, "rv64", architecture("riscv").catalogue.kernel("v6.18"))
    failed = [cause for cause in causes if cause.violation.kind == "expect"]
    assert failed
    for cause in failed:
        step = cause.links[0].step
        assert step is not None
        assert step.event.args[0] == "KVM_RUN"
        assert any(d.place.endswith("hedeleg") for d in cause.links[0].differences)


def test_what_no_snapshot_shows_has_the_models_name() -> None:
    t = own("riscv/timer-state-arms-for-cycle-1")
    kernel = architecture("riscv").catalogue.kernel("v7.1")
    cause = one(t, kernel, "rv64", 1, "v7.1+timer-state-restore")
    assert cause.links[0].differences == [Difference("v0.next_cycles", "0x1", "0x12345")]


def test_a_value_that_a_register_cannot_hold_has_nobody_who_wrote_zero() -> None:
    """The VMM wrote a PMM that the hart has no bits for, and zero is left of it."""
    t = own("riscv/migration-to-a-host-without-ssnpm")
    kernel = architecture("riscv").catalogue.kernel("v7.2")
    cause = one(t, kernel, "rv64", 1)
    line = line_of(t, "B     one_reg set v2 csr.senvcfg")
    assert cause.got_from == f"what is left of the value that B wrote for v2 in line {line}"
    assert cause.want_from == f"written by B for v2 in line {line}"


@pytest.mark.parametrize("linear", [256, 2])
def test_the_first_of_the_last_that_are_cured(linear: int) -> None:
    for first in range(12):
        assert first_cured(11, lambda n, first=first: n >= first, linear) == first  # type: ignore[misc]
    assert first_cured(11, lambda n: n < 5, linear) is None


@pytest.mark.parametrize(
    ("name", "kernel", "mode", "ids"),
    [
        ("arm64/sve-not-trapped-after-guest", "v6.13", "vhe", ["save-and-flush"]),
        ("riscv/delegation-set-before-the-first-run", "v6.18-hedeleg-init-early", "rv64", None),
        ("riscv/migration-to-a-host-without-ssnpm", "v7.2", "rv64", []),
    ],
)
def test_the_nearest_fixed_kernel(name: str, kernel: str, mode: str, ids: list[str] | None) -> None:
    t = own(name)
    catalogue = architecture(t.arch).catalogue
    fixed = nearest_fixed(t, catalogue.kernel(kernel), mode)
    if ids == []:
        assert fixed.kernel is None
        return
    assert fixed.kernel is not None
    assert fixed.kernel.fixes == catalogue.kernel(fixed.kernel.name).fixes  # its name can be typed
    assert [fix.id for _, fix in fixed.cures[0].edits] == (ids or ["hedeleg-init-early"])
