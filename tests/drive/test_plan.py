"""What of a trace is driven, and how."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from harness.drive.arm64 import NEVER, RULES, plan
from harness.drive.arm64.judge import hold
from harness.drive.script import Driven
from harness.drive.undriven import Undriven
from harness.dsl import read_trace
from harness.dsl.nodes import Event, Trace
from harness.dsl.reader import parse
from harness.model import architecture
from harness.model.arm64.stimuli import VERBS
from tests.drive.machine import answers

ROOT = Path(__file__).parents[2] / "traces" / "arm64"
TRACES = sorted(path.stem for path in ROOT.glob("*.trace"))
CATALOGUE = architecture("arm64").catalogue
NEW = CATALOGUE.kernel("v7.3")
MODES = ("vhe", "nvhe", "hvhe", "protected")


@functools.cache
def planned(name: str, mode: str, kernel: str = "v7.3") -> Driven | str:
    try:
        test: Driven = plan(read_trace(ROOT / f"{name}.trace"), CATALOGUE.kernel(kernel), mode)
    except Undriven as why:
        return str(why)
    return test


def driven_trace(test: Driven) -> Trace:
    return parse(Path(test.id), test.source, scratch=True)


def told(trace: Trace) -> list[tuple[object, ...]]:
    return [(e.actor.text, e.verb, e.args) for e in trace.body if isinstance(e, Event)]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("mode", MODES)
def test_every_trace_is_driven_or_a_reason_is_given(mode: str) -> None:
    count = 0
    for name in TRACES:
        test = planned(name, mode)
        assert test, name
        count += isinstance(test, Driven)
    assert count >= {"vhe": 133, "nvhe": 96, "hvhe": 10, "protected": 13}[mode]


def test_every_verb_is_driven_or_a_reason_is_given() -> None:
    left = VERBS.keys() - RULES.keys() - NEVER.keys()
    assert left == {"neon_end"}  # which comes with neon_begin
    assert not RULES.keys() & NEVER.keys()


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", TRACES)
def test_what_is_driven_is_a_trace_that_is_driven_as_it_is(name: str) -> None:
    for mode in MODES:
        test = planned(name, mode)
        if isinstance(test, str):
            continue
        trace = driven_trace(test)
        again = plan(trace, NEW, mode)
        assert told(driven_trace(again)) == told(trace)


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", TRACES)
def test_a_machine_that_does_as_the_model_agrees_with_it(name: str) -> None:
    for mode in MODES:
        test = planned(name, mode)
        if isinstance(test, str):
            continue
        trace = driven_trace(test)
        got = answers(trace, test, NEW, mode)
        held = hold(trace, got, NEW, mode)
        assert held.differs == []
        assert held.compared == len(got) > 0


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", TRACES)
def test_every_line_with_an_answer_has_one_command(name: str) -> None:
    test = planned(name, "vhe")
    if isinstance(test, str):
        return
    lines = [int(command.split(" ", 1)[0]) for command in test.commands]
    numbered = [line for line in lines if line]
    assert len(numbered) == len(set(numbered))
    assert all(line <= len(test.source) for line in numbered)


def driven(*lines: str, machine: str = "vhe { sve 16..64 }", kernel: str = "v7.3") -> Driven:
    text = ['trace "t"', f"machine arm64 {machine}", "task A, B", "vm V { vcpu v0 in A sve }", ""]
    trace = parse(Path("t.trace"), (*text, *lines), scratch=True)
    test: Driven = plan(trace, CATALOGUE.kernel(kernel), "vhe")
    return test


def events(test: Driven) -> list[str]:
    return list(test.source[test.source.index("") + 1 :])


def test_a_stay_in_the_kernel_is_one_switch() -> None:
    test = driven("cpu0 sched_switch A -> B", "B ret_to_user", "B read v0")
    assert events(test) == ["cpu0 switch A -> B", "B read v0"]


def test_a_system_call_that_is_switched_away_from_blocks() -> None:
    test = driven("A syscall_enter", "cpu0 switch A -> B", "cpu0 switch B -> A", "A ret_to_user")
    assert events(test) == [
        *("A syscall_enter", "cpu0 switch A -> B", "cpu0 switch B -> A", "A ret_to_user")
    ]
    assert test.commands[-2:] == ("7 block 0 1 1", "8 switch 1 1 0")


def test_a_guest_is_left_by_mmio() -> None:
    test = driven("A ioctl KVM_RUN v0", "v0 guest_exit irq", "A ret_to_user")
    assert events(test) == ["A ioctl KVM_RUN v0", "v0 guest_exit dabt", "A ret_to_user"]


def test_a_guest_that_is_left_and_preempted_is_preempted() -> None:
    test = driven("A ioctl KVM_RUN v0", "v0 guest_exit irq", "cpu0 switch A -> B")
    assert events(test) == ["A ioctl KVM_RUN v0", "cpu0 switch A -> B"]


def test_what_a_program_is_entitled_to_stands_beside_a_read() -> None:
    test = driven("A write z1 = {0x1, 0x2}", "A syscall", "A read z1")
    assert test.commands[-1] == f"8 t 0 read_z 1 = 01{'00' * 63}"


def test_a_bug_does_not_change_what_is_due() -> None:
    """prctl() loses V there: the program is entitled to it all the same."""
    lines = ("A write z1 = 0xa1", "A prctl PR_SVE_SET_VL 16", "A read v1")
    for kernel in ("v7.3", "debian-6.12.107"):
        assert driven(*lines, kernel=kernel).commands[-1] == f"8 t 0 read_v 1 = a1{'00' * 15}"


def test_a_death_that_the_abi_asks_for_is_due() -> None:
    test = driven(
        *("A signal", "A prctl PR_SVE_SET_VL 16", "A sigreturn"), machine="vhe { sve 16..64 }"
    )
    assert test.commands[-1].endswith("! dies")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("cpu0 softirq neon",), "a softirq"),
        (("A syscall_enter", "A neon_begin", "cpu0 irq"), "neon_begin"),
        (("cpu0 sched_switch A -> B", "cpu0 sched_switch B -> A"), "from one switch to the next"),
        (("A write z0 = 0x1", "A ioctl KVM_RUN v0", "v0 guest_exit", "v0 vcpu_put"), "is put"),
        (("B ioctl KVM_RUN v0",), "another process"),
    ],
)
def test_what_cannot_be_driven(lines: tuple[str, ...], why: str) -> None:
    if lines[0].startswith("B "):
        lines = ("cpu0 switch A -> B", *lines)
    with pytest.raises(Undriven, match=why):
        driven(*lines)


def test_a_tracer_lets_one_go_before_it_stops_another() -> None:
    lines = ("cpu0 switch A -> B", "B ptrace get A v0", "B ptrace get C v0", "cpu0 switch B -> A")
    text = ['trace "t"', "machine arm64 vhe { sve 16..64 }", "task A, B, C", "", *lines]
    trace = parse(Path("t.trace"), tuple(text), scratch=True)
    for _ in range(2):  # of what is driven, too
        test = plan(trace, NEW, "vhe")
        done = [command.split(" ", 1)[1] for command in test.commands if " c " in command]
        assert [words.split(" ")[2] for words in done] == [
            *("seize", "getregset", "detach", "seize", "getregset")
        ]
        trace = driven_trace(test)
