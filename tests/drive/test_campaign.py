"""Random traces on a machine: here a model, of the same kernel or of one that lacks a fix."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.drive.arm64 import make, needed, tells
from harness.drive.campaign import Plan, Tally, alike, hold, random_tests, reduced
from harness.drive.held import Played
from harness.drive.script import Driven, Log, Ran
from harness.dsl.nodes import Event
from harness.dsl.reader import parse
from harness.model import architecture
from harness.model.base import Refused
from harness.model.catalogue import Kernel
from tests.drive.machine import answers

CATALOGUE = architecture("arm64").catalogue
NEW = CATALOGUE.kernel("v7.3")
SVE = {"sve": (16, 64)}
SME = SVE | {"sme": (16, 64)}


def machine(kernel: Kernel, mode: str) -> Callable[[Sequence[Driven]], Log]:
    """Something that carries tests out as this kernel would."""

    def run(tests: Sequence[Driven]) -> Log:
        found = []
        for test in tests:
            ran = Ran(test.id, 0, [*test.source], result="ok")
            try:
                trace = parse(Path(test.id), test.source, scratch=True)
                ran.answers = answers(trace, test, kernel, mode)
            except Refused:
                ran.lost = "it cannot happen there"
            found.append(ran)
        return Log("x", "", found, True)

    return run


def length(test: Played) -> int:
    return sum(isinstance(each, Event) for each in test.trace.body)


def some(plan: Plan, count: int) -> list[Driven]:
    return [*itertools.islice(random_tests(plan), count)]


@pytest.mark.one_in(12)
@pytest.mark.parametrize("mode", ["vhe", "nvhe", "hvhe", "protected"])
@pytest.mark.parametrize("settings", [SVE, SME, {}], ids=["sve", "sme", "none"])
def test_a_machine_that_does_as_the_model_says_is_quiet(
    settings: dict[str, tuple[int, int]], mode: str
) -> None:
    plan, tally = Plan("arm64", NEW, mode, settings, 5), Tally()
    odd = hold(plan, machine(NEW, mode)(some(plan, 10)), tally)
    assert (odd, tally.lost, tally.cut) == ([], [], [])
    assert tally.traces == 10
    assert tally.compared > tally.reads > 50


@pytest.mark.long
@pytest.mark.parametrize("fix", ["ptrace-zero-target", "load-by-type"])
def test_a_machine_that_lacks_a_fix_is_found_out(fix: str) -> None:
    """In few random traces, of which one of each kind is reduced to a short one."""
    plan, tally = Plan("arm64", NEW, "vhe", SVE, 1), Tally()
    broken = machine(CATALOGUE.without(NEW, fix), "vhe")
    odd = hold(plan, broken(some(plan, 40)), tally)
    groups = alike(odd)
    assert sum(map(len, groups)) == len(odd) >= len(groups) > 0
    short = reduced(plan, odd, broken)
    assert len(short) == len(groups)
    for test in short:
        assert test.held.differs
        assert length(test) <= 32
        assert fix in needed(test.trace, NEW, "vhe")


def test_the_same_seed_makes_the_same_traces() -> None:
    one, other = (make(NEW, "nvhe", SME, 3, 17) for _ in range(2))
    assert one == other
    assert one != make(NEW, "nvhe", SME, 3, 18)


@pytest.mark.long
def test_most_traces_are_aimed() -> None:
    plan = Plan("arm64", NEW, "vhe", SVE, 2)
    aimed = [
        tells(parse(Path(test.id), test.source, scratch=True), NEW, "vhe")
        for test in some(plan, 20)
    ]
    assert sum(aimed) > 10
