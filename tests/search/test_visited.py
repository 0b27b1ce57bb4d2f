"""The visited set: what is in it, and what it takes."""

from __future__ import annotations

import random

from harness.search.tree import Tree
from harness.search.visited import Visited


def test_it_is_a_set() -> None:
    numbers = random.Random(1)
    keys = [numbers.randrange(1, 1 << 64) for _ in range(5000)]
    visited = Visited()
    assert all(visited.add(key) for key in keys)
    assert not any(visited.add(key) for key in keys)
    assert len(visited) == len(keys)
    assert all(key in visited for key in keys)
    assert not any(key ^ 1 in visited for key in keys if key ^ 1 not in set(keys))


def test_keys_that_fall_into_one_slot() -> None:
    visited = Visited()
    keys = [n << 40 | 7 for n in range(1, 600)]
    assert all(visited.add(key) for key in keys)
    assert all(key in visited for key in keys)
    assert 600 << 40 | 7 not in visited


def test_a_state_takes_40_bytes_at_most() -> None:
    """The issue allows 120, with 40 as the stretch; the ways to the states are in it."""
    numbers = random.Random(2)
    tree = Tree(1)
    worst = 0.0
    for n in range(1, 100_000):
        tree.add(numbers.randrange(2, 1 << 64), n - 1, 3)
        if n > 2000 and n % 97 == 0:
            worst = max(worst, tree.size / len(tree))
    assert worst <= 40
    assert Visited.of(tree.visited.table).add(1) is False
