"""The shortest story of a violation."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from harness.dsl import Trace, read_trace
from harness.dsl.check import Checker
from harness.dsl.heading import header
from harness.engine import Replay
from harness.engine.judge import cases
from harness.model import architecture
from harness.model.catalogue import Kernel
from harness.search.bug import bug_of
from harness.search.play import Way, play, units, way_of
from harness.search.reduce import Reducer
from harness.search.renaming import renamed
from harness.search.shortest import _searched, shorten
from harness.search.swap import swaps

ROOT = Path(__file__).resolve().parents[2]
TRACES = sorted((ROOT / "traces").rglob("*.trace"))
STRANGE = ("irq", "read", "switch", "neon", "ret_to_user", "get", "from", "in", "x0", "sm")


def trace(name: str) -> Trace:
    return read_trace(ROOT / "traces" / f"{name}.trace")


def kernel(t: Trace, name: str) -> Kernel:
    return architecture(t.arch).catalogue.kernel(name)


def reduced(name: str, on: str, mode: str, kind: str | None = None) -> Reducer:
    t = trace(name)
    reducer = Reducer(t, kernel(t, on), mode, kind)
    reducer.run()
    return reducer


def test_what_is_left_is_a_trace_that_goes_wrong_in_the_same_way() -> None:
    reducer = reduced("arm64/sve-not-trapped-after-guest", "v6.13", "vhe")
    t = Checker("x.trace", "x").read([*header(reducer.trace), *reducer.lines()])
    outcome = Replay(t, reducer.kernel, "vhe").run()
    assert reducer.way == Way("missing-trap", "SVE")
    assert reducer.way in {way_of(v) for _, v in outcome.violations}
    assert len(units(t)) == 4


def test_each_event_that_is_left_is_needed() -> None:
    """Without it the rest cannot happen, or nothing goes wrong."""
    reducer = reduced("riscv/fwft-value-lost-by-fast-path", "v7.1", "rv64")
    assert len(reducer.lines()) == 5
    assert all(why.startswith("without it: ") for why in reducer.why())
    assert "without it: not-loaded instead" not in reducer.why()


def test_a_long_story_becomes_the_short_one() -> None:
    """Hundreds of events that have nothing to do with it are gone, and so are other actors."""
    t = trace("arm64/sve-not-trapped-after-guest")
    noise = ["cpu1 switch idle -> X", *["X write v0 = 0xc1", "X read v0", "X syscall"] * 100]
    lines = [*t.source]
    at = next(n for n, line in enumerate(lines) if line.startswith("A "))
    lines[at:at] = noise
    text = "\n".join(lines).replace("cpus 1", "cpus 2").replace("task A, B", "task A, B, X")
    long = Checker("long.trace", "long").read(text.split("\n"))
    reducer = Reducer(long, kernel(t, "v6.13"), "vhe")
    reducer.run()
    short = reduced("arm64/sve-not-trapped-after-guest", "v6.13", "vhe")
    assert reducer.lines() == short.lines()
    assert header(reducer.trace) == header(short.trace)


def leak(*lines: str, tasks: str = "A, B", thread: str = "A") -> Reducer:
    """The guest's senvcfg, left to a task by v6.6, in these events."""
    head = [
        *('trace "leak"', 'link "a@b.c"', "machine riscv rv64 { cpus 2; isa f d zicboz }"),
        *("verdict v6.6 violates leak", f"task {tasks}", f"vm V {{ vcpu v0 in {thread} }}"),
    ]
    long = Checker("leak.trace", "leak").read([*head, *lines])
    reducer = Reducer(long, kernel(long, "v6.6"), "rv64")
    reducer.run()
    return reducer


def test_a_shorter_one_can_take_events_and_tasks_that_are_gone() -> None:
    """A's own return takes an event more than a switch to B, who takes no part in the story."""
    reducer = leak(
        "A ioctl KVM_RUN v0", "v0 write senvcfg = 0x80", "v0 guest_exit irq", "A ret_to_user"
    )
    assert [name for name, _ in reducer.trace.tasks] == ["A"]
    assert len(reducer.lines()) == 4
    tried = shorten(reducer, 30)
    assert (tried.deep, tried.all) == (2, True)
    assert {"run", "csr", "vmm"} <= {*tried.groups}
    assert [" ".join(line.split()) for line in reducer.lines()] == [
        *("A ioctl KVM_RUN v0", "v0 write senvcfg = 0x80", "cpu0 switch A -> B"),
    ]


def test_a_task_begins_where_no_switch_is_needed() -> None:
    lines = ("A ioctl KVM_RUN v0", "v0 write senvcfg = 0x80", "cpu0 switch A -> B")
    reducer = leak(lines[0], "cpu1 switch B -> idle", *lines[1:], tasks="A, B on cpu1")
    assert [" ".join(line.split()) for line in reducer.lines()] == [*lines]
    assert reducer.trace.tasks == (("A", 0), ("B", -1))


def test_who_takes_the_first_step_is_there_from_the_beginning() -> None:
    lines = ("B ioctl KVM_RUN v0", "v0 write senvcfg = 0x80", "cpu0 switch B -> A")
    reducer = leak("cpu0 sched_switch A -> B", "B ret_to_user", *lines, thread="B")
    assert [" ".join(line.split()) for line in reducer.lines()] == [
        *("A ioctl KVM_RUN v0", "v0 write senvcfg = 0x80", "cpu0 switch A -> B"),
    ]
    assert reducer.trace.tasks == (("A", 0), ("B", -1))


def test_a_detour_in_one_place() -> None:
    """A is in the kernel for its NEON by way of KVM_RUN and back: a system call does as well."""
    events = (
        *("A ioctl KVM_RUN v0", "v0 guest_exit irq", "B smstart sm", "A neon_begin"),
        *("cpu0 sched_switch A -> idle", "cpu1 switch B -> A"),
    )
    head = [
        *('trace "neon"', 'link "a@b.c"', "machine arm64 vhe { cpus 2; sme 16 }"),
        *("verdict v6.13 violates lost", "task A, B on cpu1", "vm V { vcpu v0 in A }"),
    ]
    t = Checker("neon.trace", "neon").read([*head, *events])
    way = Way("lost", "kernel v")
    first = next(swaps(t, kernel(t, "v6.13"), "vhe", way, lambda: None))
    assert [event[:2] for event in first[:2]] == [("A", "syscall_enter"), ("B", "smstart")]
    assert len(first) == 5
    assert not [*swaps(t, kernel(t, "v7.2"), "vhe", way, lambda: None)]


@pytest.mark.long
def test_another_bug_of_the_same_kind_is_not_the_same() -> None:
    """sigreturn's `stale svcr` takes 4 events; that of KVM is ended by other fixes, and takes 6."""
    events = (
        *("A smstart sm", "cpu0 switch A -> B", "cpu0 switch B -> A", "A ioctl KVM_RUN v0"),
        *("v0 write v0 = 0xb1", "v0 guest_exit irq", "A ret_to_user"),
    )
    head = [
        *('trace "stale"', 'link "a@b.c"', "machine arm64 vhe { cpus 1; sme 16 }"),
        *("verdict v6.11 violates stale", "task A, B", "vm V { vcpu v0 in A }"),
    ]
    t = Checker("stale.trace", "stale").read([*head, *events])
    reducer = Reducer(t, kernel(t, "v6.11"), "vhe")
    reducer.run()
    assert reducer.way == Way("stale", "svcr")
    assert len(reducer.lines()) == 7
    assert not shorten(reducer, 0).all  # there was no time
    assert len(reducer.lines()) == 7
    shorten(reducer, 8)
    assert len(reducer.lines()) == 6
    assert any("KVM_RUN" in line for line in reducer.lines())


def test_nothing_to_reduce_where_nothing_goes_wrong() -> None:
    t = trace("arm64/eight-steps")
    assert Reducer(t, kernel(t, "v7.2"), "vhe").way is None


def test_what_costs_too_much_is_reduced_too() -> None:
    reducer = reduced("arm64/kneon-lazy-restore", "v6.9", "vhe")
    assert reducer.way == Way("cost", "neon_loads")
    shorten(reducer, 20)
    assert [" ".join(line.split()) for line in reducer.lines()] == [
        *("A syscall_enter", "A neon_begin"),
        *("cpu0 sched_switch A -> idle", "cpu0 sched_switch idle -> A"),
    ]
    assert "budget neon_loads 0" in header(reducer.trace)


def test_a_kind_can_be_asked_for() -> None:
    reducer = reduced("arm64/sve-not-trapped-after-guest", "v6.13", "vhe", "lost")
    assert reducer.way is not None
    assert reducer.way.kind == "lost"
    t = trace("arm64/sve-not-trapped-after-guest")
    assert Reducer(t, kernel(t, "v6.13"), "vhe", "warning").way is None


def test_an_expectation_has_to_hold_on_the_good_kernel() -> None:
    """Else it would be enough to leave out what it speaks of."""
    t = trace("riscv/sbi-pmu-without-counters")
    bad, good = kernel(t, "v6.5-sbi-probe"), kernel(t, "v6.5")
    alone, held = Reducer(t, bad, "rv64"), Reducer(t, bad, "rv64", good=[good])
    assert len(units(alone.run())) < len(units(held.run())) == 5


def test_an_expectation_that_fails_keeps_its_answer() -> None:
    """v6.1 refuses 0x80000489 for two reasons, and any value for one of them."""
    head = [
        *('trace "mvendorid"', 'link "a@b.c"', "machine riscv rv64 { isa f d }"),
        *("verdict v6.2 holds", "task A", "vm V { vcpu v0 in A }"),
    ]
    lines = (
        *("A one_reg set v0 config.mvendorid = 0x80000489", "expect no errno"),
        *("A one_reg get v0 config.mvendorid", "expect read config.mvendorid = 0x80000489"),
    )
    t = Checker("m.trace", "m").read([*head, *lines])
    bad, part = kernel(t, "v6.1"), kernel(t, "v6.2-config-size-check")
    alone = Reducer(t, bad, "rv64", good=[kernel(t, "v6.2")])
    alone.run()
    assert alone.lines()[0] == "A one_reg set v0 config.mvendorid = 0xa1"
    held = Reducer(t, bad, "rv64", good=[kernel(t, "v6.2")], bad=[part])
    held.run()
    assert held.lines() == [
        *("A one_reg set v0 config.mvendorid = 0x80000489", "expect no errno"),
    ]
    assert held.way is not None
    assert held.way.what.endswith("expect no errno: it gave EINVAL")


def test_names_and_values_are_no_text() -> None:
    """A task may be called as an exit is, and a value may have several quadwords."""
    head = [
        *('trace "irq"', 'link "a@b.c"', "machine arm64 vhe { cpus 2; sve 16..64 }"),
        *("needs sve-host", "verdict v6.13 violates lost, missing-trap"),
        *("task irq, switch", "vm V { vcpu read in irq }"),
    ]
    lines = (
        *("irq write z0 = { 0xc1, 0xc2 }  # irq", "irq ioctl KVM_RUN read", "read guest_exit irq"),
        *("irq ret_to_user", "irq write z1 = {0xc3, 0xc4}", "cpu0 switch irq -> switch"),
        *("cpu0 switch switch -> irq",),
    )
    t = Checker("irq.trace", "irq").read([*head, *lines])
    reducer = Reducer(t, kernel(t, "v6.13"), "vhe", "lost")
    reducer.run()
    assert "needs sve-host" in header(reducer.trace)
    assert "v0 guest_exit irq" in reducer.lines()
    assert "cpu0 switch A -> B" in reducer.lines()
    assert "A write z1 = {0xa3, 0xa4}" in reducer.lines()
    again = Checker("x.trace", "x").read([*header(reducer.trace), *reducer.lines()])
    assert "lost" in Replay(again, reducer.kernel, "vhe").run().kinds


@pytest.mark.one_in(8)
@pytest.mark.parametrize("path", TRACES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_trace_that_goes_wrong_can_be_reduced(path: Path) -> None:
    """To a trace that goes wrong in the same way, and is not longer, whatever its names are."""
    t = read_trace(path)
    failing = (c for c in cases(t) if c.verdict and c.verdict.violates and not c.unsupported)
    case = next(failing, None)
    if case is None:
        return
    names = [*(task[0] for task in t.tasks), *(vcpu[0] for vcpu in t.vcpus)]
    strange = dict(zip(names, STRANGE, strict=False))
    other = dataclasses.replace(
        t,
        tasks=tuple((strange[name], cpu) for name, cpu in t.tasks),
        vcpus=tuple((strange[name], strange[thread], f) for name, thread, f in t.vcpus),
    )
    some = [renamed(unit, strange, t.arch) for unit in units(t)]
    odd = Reducer(t, case.kernel, case.mode).parsed(some, other)
    assert odd is not None
    reducer = Reducer(odd, case.kernel, case.mode)
    reducer.run()
    again = Checker("x.trace", "x").read([*header(reducer.trace), *reducer.lines()])
    assert again.needs == t.needs
    assert len(units(again)) <= len(units(t))
    ran = play(again, units(again), case.kernel, case.mode, reducer.way)
    assert ran.violation is not None
    assert not ran.refused
    left = {*(task[0] for task in again.tasks), *(vcpu[0] for vcpu in again.vcpus)}
    assert not left & set(STRANGE)


@pytest.mark.parametrize("name", ["arm64/eight-steps", "riscv/smnpm-disabled-by-v4"])
def test_the_best_so_far_is_there_at_any_time(name: str) -> None:
    """Whoever interrupts it has a whole trace."""

    class Enough(Exception):
        pass

    def interrupt(stage: str, n: int) -> None:
        if stage == "actors":
            raise Enough

    t = trace(name)
    on = next(v.kernel for v in t.verdicts if not v.holds)
    reducer = Reducer(t, kernel(t, on), t.modes[0], progress=interrupt)
    with pytest.raises(Enough):
        reducer.run()
    Checker("x.trace", "x").read([*header(reducer.trace), *reducer.lines()])


@pytest.mark.parametrize(
    ("last", "same"),
    [
        # A's tracer and A's own change of its vector length both lose Z in streaming mode.
        (("A prctl PR_SVE_SET_VL 16", "A smstart sm", "A write z0 = 0xb1", "cpu0 softirq neon"), 0),
        (("A write z1 = 0xb1", "cpu0 switch A -> B", "B ptrace_set", "cpu0 switch B -> A"), 1),
    ],
)
def test_a_bug_is_told_by_what_ends_it(last: tuple[str, ...], same: bool) -> None:
    head = [
        *('trace "lost"', 'link "a@b.c"', "machine arm64 vhe { cpus 1; sve 16..64; sme 16 }"),
        *("verdict v6.1 violates lost", "task A, B"),
    ]
    traced = "B ptrace set A v0 = 0xa1"
    one = ("A smstart sm", "cpu0 switch A -> B", traced, "cpu0 switch B -> A")
    other = ("A smstart sm", *(traced if line == "B ptrace_set" else line for line in last))
    bugs = []
    for lines in (one, other):
        t = Checker("lost.trace", "lost").read([*head, *lines])
        bugs.append(bug_of(t, kernel(t, "v6.1"), "vhe", Way("lost", "z")))
        assert any(bugs[-1].releases)
    assert bugs[0].same(bugs[1]) is bool(same)


@pytest.mark.long
def test_a_vcpu_stays_in_its_virtual_machine() -> None:
    """An IPI reaches the vcpus of one VM, so a trace of two is one of two when it is written."""
    head = [
        *('trace "two"', 'link "a@b.c"', "machine riscv rv64 { cpus 2; isa f d zicboz }"),
        *("verdict v6.6 violates leak", "task A, B on cpu1"),
        *("vm V { vcpu u0 in B }", "vm W { vcpu v0 in A; vcpu v1 in A }"),
    ]
    lines = ("A ioctl KVM_RUN v0", "v0 write senvcfg = 0x80", "v0 guest_exit irq", "A ret_to_user")
    trace = Checker("two.trace", "two").read([*head, *lines])
    again = Checker("two.trace", "two").read([*header(trace), *lines])
    assert (again.vcpus, again.vms) == (trace.vcpus, trace.vms)
    assert again.vms == (0, 1, 1)
    reducer = Reducer(trace, kernel(trace, "v6.6"), "rv64")
    reducer.run()
    shorten(reducer, 5)
    assert len(reducer.trace.vcpus) == len(reducer.trace.vms) == 1


def test_what_comes_after_another_violation_is_tried() -> None:
    """By the search as by `reduce`, or it could not be said that nothing shorter exists."""
    head = [
        *('trace "frame"', 'link "a@b.c"', "machine arm64 vhe { sve 16..64; sme 16..64 }"),
        *("verdict v6.3 violates lost", "task A"),
    ]
    events = ("A syscall", "A smstart za", "A prctl PR_SVE_SET_VL 16", "A smstart sm")
    t = Checker("frame.trace", "frame").read([*head, *events, "cpu0 softirq neon"])
    reducer = Reducer(t, kernel(t, "v6.3"), "vhe", "lost")
    end = time.process_time() + 60
    assert _searched(reducer, end, lambda event, names: True, True, True) == 3
    assert len(reducer.lines()) == 4
