"""Random walks: the same from the same seed, legal, and reduced to the shortest."""

from __future__ import annotations

import pytest

from harness.engine import Replay
from harness.search.bounds import Bounds
from harness.search.discovery import trace_of
from harness.search.explore import Search
from harness.search.fuzz import Walker, walks
from harness.search.play import units, way_of
from harness.search.reduce import Reducer
from harness.search.shortest import shorten
from tests.search.worlds import SVE, VECTORS, bounds, world

ARM64 = bounds("v6.13", "vhe", world(2, 3, 2, (), SVE), 500)
RISCV = bounds("v7.2", "rv64", world(2, 2, 1, words=VECTORS), 200, arch="riscv")


def told(within: Bounds, seed: int, jobs: int) -> list[object]:
    """What some walks came to. A value is another one in another process."""
    return [
        (walk.number, walk.length, [(way_of(one.violation), one.events) for one in walk.found])
        for walk in walks(within, seed, range(30), jobs)
    ]


@pytest.mark.parametrize("within", [ARM64, RISCV], ids=["arm64", "riscv"])
def test_a_walk_is_all_in_its_seed(within: Bounds) -> None:
    one = told(within, 7, 1)
    assert one == told(within, 7, 2)
    walk = Walker(within, 7).walk(4)
    assert one[4] == (4, walk.length, [(way_of(w.violation), w.events) for w in walk.found])
    assert one != told(within, 8, 1)


@pytest.mark.parametrize("within", [ARM64, RISCV], ids=["arm64", "riscv"])
def test_what_a_walk_finds_a_replay_shows(within: Bounds) -> None:
    """And nothing else before, though the walk has taken steps back."""
    found = [one for walk in walks(within, 1, range(20), 1) for one in walk.found]
    assert found
    for one in found:
        trace = trace_of(within, one)
        outcome = Replay(trace, within.kernel, within.mode).run()
        last = units(trace)[-1].event.line
        assert {line for line, _ in outcome.violations} == {last}
        assert way_of(one.violation) in {way_of(v) for _, v in outcome.violations}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    within = bounds("v7.2", "vhe", world(2, 3, 2, (), SVE), 500)
    assert not [one for walk in walks(within, 1, range(10), 1) for one in walk.found]


@pytest.mark.long
def test_a_long_walk_is_reduced_to_the_shortest_there_is() -> None:
    """As short as what an exhaustive search finds first."""
    search = Search(bounds("v6.13", "vhe", world(1, 1, 1, (), SVE), 5))
    search.run()
    (best,) = search.found()
    long = [
        one
        for walk in walks(ARM64, 1, range(200), 1)
        for one in walk.found
        if len(one.events) > 300 and way_of(one.violation) == way_of(best.violation)
    ]
    assert long
    for one in long[:4]:
        reducer = Reducer(trace_of(ARM64, one), ARM64.kernel, ARM64.mode)
        reducer.run()
        shorten(reducer, 30)
        assert len(units(reducer.trace)) == len(best.events)
