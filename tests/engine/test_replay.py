"""Replaying: stimuli in, reactions, violations, snapshots and counts out."""

from __future__ import annotations

import pytest

from harness.dsl import Trace
from harness.engine import Outcome, Replay, Step, fingerprint, judge_all
from harness.errors import SourceError
from harness.model.arm64.fixes import CATALOGUE
from tests.engine.text import HEAD, line_of, trace

BUG = """\
A write z0 = 0xa1
A ioctl KVM_RUN v0
v0 guest_exit
A ret_to_user
A write z1 = 0xa2
A write z2 = 0xa3
"""


def replay(t: Trace, spec: str = "v7.2", mode: str = "vhe", record: bool = False) -> list[Step]:
    return list(Replay(t, CATALOGUE.kernel(spec), mode, record).steps())


def outcome(t: Trace, spec: str = "v7.2", mode: str = "vhe") -> Outcome:
    return Replay(t, CATALOGUE.kernel(spec), mode).run()


def test_a_violation_is_reported_once() -> None:
    """What stays wrong is reported at the step that made it so, and not again."""
    steps = replay(trace(BUG), "v6.11")
    assert [[v.kind for v in s.violations] for s in steps] == [[], [], [], ["missing-trap"], [], []]


def test_a_violation_that_comes_back_is_reported_again() -> None:
    """Once it was right in between, the same thing wrong is news."""
    again = "A ioctl KVM_RUN v0\nv0 write v0 = 0xb1\nv0 guest_exit\nA ret_to_user\n"
    steps = replay(trace(BUG + again + BUG), "v6.11")
    found = [s.event.line for s in steps for v in s.violations if v.kind == "missing-trap"]
    assert len(found) == 2


def test_reactions_are_recorded_on_request() -> None:
    """A recording replay has calls, register writes and traps, in order, with their depth."""
    (step,) = replay(trace("A write z0 = 0xa1"), record=True)
    assert [(r.kind, r.depth, r.text) for r in step.reactions] == [
        ("trap", 0, "ec=0x19 el=2"),
        ("call", 0, "exit_to_user_mode"),
        ("call", 1, "do_sve_acc"),
        ("flag", 2, "A: set TIF_SVE"),
        ("call", 2, "fpsimd_bind_task_to_cpu"),
        ("reg", 3, "cpacr_el1 := 0x1330000"),
        ("call", 1, "do_notify_resume"),
    ]


def test_recording_changes_nothing() -> None:
    """A recording replay comes to the same outcome as a silent one."""
    t = trace(BUG)
    kernel = CATALOGUE.kernel("v6.11")
    silent, loud = Replay(t, kernel, "vhe"), Replay(t, kernel, "vhe", record=True)
    assert silent.run().plain() == loud.run().plain()
    assert fingerprint(silent.model) == fingerprint(loud.model)


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        pytest.param("B read v0", 1, "B is not current on any CPU", id="not-current"),
        pytest.param("v0 read v0", 1, "v0 is not loaded", id="vcpu-not-loaded"),
        pytest.param(
            "A ioctl KVM_RUN v0\nv0 guest_exit\nv0 read v0",
            3,
            "v0 is loaded, but not in the guest; `v0 guest_enter` would make it possible",
            id="vcpu-not-in-guest",
        ),
        pytest.param(
            "A syscall_enter\nA read v0",
            2,
            "A is in a system call; `A ret_to_user` would make it possible",
            id="in-syscall",
        ),
        pytest.param(
            "cpu0 sched_switch A -> B\nB read v0",
            2,
            "B is in the kernel; `B ret_to_user` would make it possible",
            id="in-kernel",
        ),
        pytest.param("cpu0 switch B -> A", 1, "cpu0 runs A, not B", id="wrong-prev"),
        pytest.param(
            "cpu0 switch A -> B\ncpu1 switch idle -> B", 2, "B is current on cpu0", id="elsewhere"
        ),
        pytest.param("A exit\ncpu0 switch idle -> A", 2, "A exited in line 8", id="dead"),
        pytest.param("A ret_to_user", 1, "A is in user space, not in the kernel", id="ret"),
        pytest.param("A neon_begin", 1, "A is in user space, not in the kernel", id="neon-in-user"),
        pytest.param(
            "A ioctl KVM_RUN v0\nv0 trap fp\nv0 trap fp",
            3,
            "v0's FP instruction would not trap here",
            id="no-trap",
        ),
        pytest.param(
            "A fork D\nA syscall_enter\nA neon_begin\nA ret_to_user",
            4,
            "A is in kernel-mode NEON; `A neon_end` would make it possible",
            id="ret-in-neon",
        ),
        pytest.param("v0 vcpu_load", 1, "A is in user space, not in the kernel", id="load-in-user"),
        pytest.param(
            "A ioctl KVM_RUN v0\ncpu1 switch idle -> B\nB ioctl KVM_RUN v0",
            3,
            "v0 is in KVM_RUN already, by A",
            id="run-twice",
        ),
    ],
)
def test_what_cannot_happen_is_an_error_at_its_place(body: str, line: int, message: str) -> None:
    """An event that the machine cannot take is refused, with its line and the reason."""
    t = trace(body)
    with pytest.raises(SourceError) as caught:
        outcome(t)
    (found,) = caught.value.diagnostics
    assert found.at.line == HEAD.count("\n") + line
    assert found.message.startswith(message)
    assert found.message.endswith("(on v7.2 vhe)")


@pytest.mark.parametrize(
    ("event", "expect", "why"),
    [
        ("A write z0 = 1", "expect trap ec=0x07", "there was a trap ec=0x19 el=2"),
        ("A write z0 = 1", "expect no trap", "there was a trap ec=0x19 el=2"),
        ("A write v0 = 1", "expect trap", "there was no trap"),
        ("A read v0", "expect read v0 = 0x5", "it read 0x0"),
        ("A one_reg get v1 v0", "expect no errno", "it gave EINVAL"),
        ("A one_reg get v0 v0", "expect errno EINVAL", "it gave no error"),
        ("A syscall", "expect signal SIGKILL", "there was no signal"),
        ("A syscall", "expect undef", "the guest took no UNDEFINED exception"),
        ("A syscall", "expect cpu0.fpsimd_last_state = B", "it is A"),
        ("A syscall", "expect B.sve_vl = x", "it is nothing"),
    ],
)
def test_an_expectation_that_fails_says_what_there_was(event: str, expect: str, why: str) -> None:
    """A failed `expect` is a violation with the line it stands in and what happened instead."""
    t = trace(f"{event}\n{expect}\n")
    ((line, violation),) = outcome(t).violations
    assert line == line_of(t, "expect")
    assert violation.kind == "expect"
    assert violation.text == f"`{expect}`: {why}"


@pytest.mark.parametrize(
    ("event", "expect"),
    [
        ("A write z0 = 1", "expect trap ec=0x19 el=2"),
        ("A smstart", "expect trap ec=0x1d el=2 smtc=0"),
        ("A write v0 = 1", "expect no trap"),
        ("A read v0", "expect read v0 = 0"),
        ("A one_reg get v1 v0", "expect errno EINVAL"),
        ("A one_reg get v0 z0", "expect errno ENOENT"),
        ("A one_reg get v0 v0", "expect no errno"),
        ("A syscall", "expect cpu0.fpsimd_last_state = A"),
    ],
)
def test_an_expectation_that_holds_is_silent(event: str, expect: str) -> None:
    """An `expect` that holds changes nothing."""
    assert not outcome(trace(f"{event}\n{expect}\n")).violations


def test_sve_on_a_kernel_without_is_sigill() -> None:
    """EL0 SVE on v4.13 is UNDEFINED; what the task would have done after that is skipped."""
    t = trace("A write z0 = 1\nexpect signal SIGILL\nA read v0\n", "verdict v4.13 holds")
    steps = replay(t, "v4.13")
    assert not steps[0].violations
    assert steps[1].skipped == "A has been killed"


def test_a_guest_without_sve_takes_undef() -> None:
    """An SVE access of a vcpu without SVE leaves hyp and comes back as UNDEFINED."""
    body = "A ioctl KVM_RUN v0\nv0 write cpacr_el1 = 0x330000\nv0 trap sve\nexpect undef\n"
    assert not outcome(trace(body + "expect trap ec=0x19 el=2\n"), mode="nvhe").violations


def test_a_guests_own_setting_comes_first() -> None:
    """While its own CPACR_EL1.ZEN is closed, a guest's SVE access traps to its EL1."""
    body = "A ioctl KVM_RUN v0\nv0 trap sve\nexpect undef\nexpect trap ec=0x19 el=1\n"
    assert not outcome(trace(body), mode="nvhe").violations


def test_a_budget_that_is_exceeded_is_a_violation() -> None:
    """Cost is judged at the end, by the counters that the trace names."""
    t = trace("A write v0 = 1\ncpu0 switch A -> B\n", "verdict v7.2 holds\nbudget saves 0, loads 9")
    ((_, violation),) = outcome(t).violations
    assert (violation.kind, violation.what) == ("cost", "saves")
    assert violation.text == "1 saves, the budget is 0"


def test_names_do_not_count_in_a_fingerprint() -> None:
    """Two traces that differ in the names of tasks and vcpus lead to equivalent states."""

    def state(text: str, names: dict[str, str]) -> bytes:
        for old, new in names.items():
            text = text.replace(old, new)
        lines = ["# one line more, so that origins differ", *text.splitlines()]
        from harness.dsl.check import Checker

        t = Checker("x", "x").read(lines)
        run = Replay(t, CATALOGUE.kernel("v6.11"), "vhe")
        run.run()
        return fingerprint(run.model)

    text = HEAD.format(extra="verdict v6.11 holds") + BUG
    other = {"task A, B, C": "task X, Y, Z", "in A": "in X", "in B": "in Y"}
    other |= {"v0": "w7", "\nA ": "\nX "}
    assert state(text, {}) == state(text, other)


def test_values_count_in_a_fingerprint() -> None:
    """A state with another value in a register is another state."""
    prints = set()
    for value in ("1", "2"):
        run = Replay(trace(f"A write v0 = {value}"), CATALOGUE.kernel("v7.2"), "vhe")
        run.run()
        prints.add(fingerprint(run.model))
    assert len(prints) == 2


def test_a_verdict_of_a_mode_stands_before_one_of_all() -> None:
    """`verdict K nvhe ..` is said of nVHE, `verdict K ..` of the other modes."""
    extra = "verdict v6.11 holds\nverdict v6.11 nvhe violates lost"
    judged = judge_all(trace("A syscall", extra))
    assert [(j.case.mode, str(j.case.verdict), j.agrees) for j in judged] == [
        ("vhe", "holds", True),
        ("nvhe", "violates lost", False),
    ]


def test_a_kernel_that_cannot_run_in_one_mode_is_judged_in_the_other() -> None:
    """KVM refused SVE hardware without VHE until v5.13: nVHE is not judged, VHE is."""
    body = "A ioctl KVM_RUN v0"
    judged = judge_all(trace(body, "verdict v5.10 holds"))
    assert [(j.case.mode, j.outcome is None) for j in judged] == [("vhe", False), ("nvhe", True)]
    assert "KVM refuses SVE hardware without VHE" in judged[1].unsupported


def test_a_verdict_that_no_mode_can_be_judged_by_is_an_error() -> None:
    """It would be a check that cannot fail."""
    t = trace("A syscall", "needs kneon-preempt\nverdict v6.1 holds")
    with pytest.raises(SourceError, match=r"v6\.1 cannot run this trace: it lacks kneon-preempt"):
        judge_all(t)
