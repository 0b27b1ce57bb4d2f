"""The transition system of benchmarks/fpsimd_tla.py is the one that TLC checks."""

from __future__ import annotations

import pytest
from kernel_tla import System
from kernel_tla_packed import PackedSearch
from kernel_tla_search import Search

# What TLC says of fpsimd.tla with the guard, 1 CPU, 2 threads and 1 value, without symmetry.
STATES, GENERATED, LEVELS = 654_242, 811_292, 137


KINDS: list[type[Search | PackedSearch]] = [Search, PackedSearch]


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_it_has_the_states_and_steps_that_tlc_counts(kind: type[Search | PackedSearch]) -> None:
    out = kind(System()).run()
    assert (out.states, out.transitions, out.depth) == (STATES, GENERATED, LEVELS)
    assert not out.broken


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("planted", "level", "before"), [("last-state", 56, 188_634), ("task-state", 62, 312_014)]
)
def test_a_planted_bug_is_found_where_tlc_finds_it(
    planted: str, level: int, before: int, kind: type[Search | PackedSearch]
) -> None:
    """`before` is what TLC generates, and finds nothing, if that level is not gone on from."""
    out = kind(System(planted=planted)).run(depth=level - 1)
    assert (out.broken, out.transitions) == ("", before)
    out = kind(System(planted=planted)).run()
    assert (out.broken.partition(":")[0], out.depth) == ("read_fpsimd", level)


def test_both_searches_agree_on_two_values() -> None:
    one, other = (kind(System(vals=2)).run(depth=40) for kind in KINDS)
    assert (one.states, one.transitions) == (other.states, other.transitions)


def test_a_fingerprint_stands_for_one_state() -> None:
    """Fields themselves in place of digests come to as many states."""
    search = Search(System())
    level = [
        (search.part(machine), *map(search.part, threads))
        for machine, threads in search.system.starts()
    ]
    seen = {tuple([part.fields for part in state]) for state in level}
    for _ in range(32):
        found = []
        for state in level:
            for place in (1, 2):
                for step in search.steps(state, place):
                    changed = dict(step.parts)
                    after = tuple([changed.get(at, part) for at, part in enumerate(state)])
                    key = tuple([part.fields for part in after])
                    if key not in seen:
                        seen.add(key)
                        found.append(after)
        level = found
    assert len(seen) == search.run(depth=32).states


def test_the_way_to_a_packed_state_leads_there() -> None:
    """The steps of the tree can be taken one after the other, to as many states as it has."""
    search = PackedSearch(System())
    out = search.run(depth=24)
    parents = [parent for level in out.parents for parent in level.tolist()]
    ways = [way for level in out.ways for way in level.tolist()]
    starts = [
        (search.search.part(machine), *map(search.search.part, threads))
        for machine, threads in search.search.system.starts()
    ]
    states = sorted(starts, key=lambda state: [search.number(part) for part in reversed(state)])
    first = len(states)
    assert first == len(out.parents[0]) == 2
    for parent, way in zip(parents[first:], ways[first:], strict=True):
        before = states[parent]
        (step,) = (s for s in search.search.steps(before, way >> 8) if s.way == way)
        changed = dict(step.parts)
        states.append(tuple([changed.get(at, part) for at, part in enumerate(before)]))
    assert len(set(states)) == len(parents) == out.states
