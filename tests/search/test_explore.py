"""The search: what it finds, that its reductions lose nothing, and that it counts right."""

from __future__ import annotations

import dataclasses
import re

import pytest

from harness.engine import Replay
from harness.model import architecture
from harness.model.base import Refused
from harness.search import parallel
from harness.search.bounds import Bounds
from harness.search.canon import Canon, fresh_number
from harness.search.discovery import trace_of
from harness.search.explore import Search, summary
from harness.search.explorer import Explorer, Node
from harness.search.parallel import ParallelSearch
from tests.search.worlds import SME, SVE, VECTORS, bounds, world

# Bounds on which everything is tried, and on several kernels something is found.
SMALL = {
    "two CPUs": bounds("v6.10", "vhe", world(2, 2, 1, settings=SVE), 4),
    "two vcpus": bounds("v6.13", "nvhe", world(1, 2, 2, ("sve",), settings=SVE), 5),
    "two CPUs and vcpus": bounds("v6.13", "vhe", world(2, 2, 2, settings=SVE), 4),
    "neon": bounds("v6.8", "vhe", world(2, 1, 0), 8),
    "sme": bounds("v6.13", "vhe", world(1, 2, 1, settings=SME), 5),
    "life": bounds("v4.15-sve-dead-task", "vhe", world(2, 2, 0), 4, groups=("switch", "life")),
    "riscv": bounds("v6.6", "rv64", world(2, 2, 1, words=VECTORS), 4, arch="riscv"),
    "riscv, two vcpus": bounds("v7.2", "rv64", world(1, 2, 2, words=VECTORS), 4, arch="riscv"),
    "fpmr": bounds("v6.13", "vhe", world(1, 2, 1, settings={"fpmr": (1, 1)}), 5),
    "pointers": bounds(
        "v4.15-sve-dead-task-sve-kvm-null",
        "vhe",
        world(2, 2, 1, settings=SVE),
        5,
        groups=("run", "switch", "sve"),
    ),
    "ptrace": bounds(
        "v6.1", "vhe", world(1, 2, 0, settings=SME), 4, groups=("switch", "sve", "sme", "ptrace")
    ),
    "vmm": bounds(
        "v6.1", "nvhe", world(2, 2, 1, ("sve",), SVE), 4, groups=("run", "switch", "vmm")
    ),
    "vmm, sme": bounds(
        "v7.2+sme-guest", "vhe", world(1, 1, 2, ("sme",), SME), 2, groups=("vmm", "onereg")
    ),
    "efi": bounds("v6.8", "vhe", world(2, 1, 1, settings=SVE), 4, groups=("run", "switch", "efi")),
    "power": bounds("v4.15", "vhe", world(2, 1, 1), 5, groups=("run", "switch", "power")),
}


def ways(search: Search) -> set[tuple[str, str]]:
    return set(search.tally.found)


def levels(search: Search) -> dict[tuple[str, str], int]:
    """How many events lead to each way in which something goes wrong, or costs too much."""
    tally = search.tally
    every = [*tally.found.items(), *((("cost", name), told) for name, told in tally.costs.items())]
    return {way: len(search.tree.way(parent)) + 1 for way, (_, parent, _) in every}


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", SMALL)
def test_reductions_lose_no_violation(name: str) -> None:
    """Symmetry and commuting events change how much is tried, never what is found, and when."""
    full = Search(dataclasses.replace(SMALL[name], symmetry=False, commuting=False), every=True)
    full.run()
    for symmetry, commuting in ((True, False), (False, True), (True, True)):
        less = dataclasses.replace(SMALL[name], symmetry=symmetry, commuting=commuting)
        search = Search(less, every=True)
        search.run()
        assert levels(search) == levels(full)
        assert search.tally.transitions <= full.tally.transitions
        if not symmetry:
            assert len(search.tree) == len(full.tree)
            several = less.world.settings["cpus"][1] > 1
            assert (search.tally.transitions < full.tally.transitions) is several


@pytest.mark.long
@pytest.mark.parametrize("name", ["two CPUs", "two vcpus", "neon", "riscv"])
def test_symmetry_counts_each_orbit_once(name: str) -> None:
    """The states of the full search, each under the name that symmetry gives it."""
    spec = dataclasses.replace(SMALL[name], symmetry=False, commuting=False)
    full = Search(spec, every=True)
    full.run()
    explorable = architecture(spec.arch).explorable
    assert explorable is not None
    canon = Canon([explorable.anatomy(full.explorer.model)])
    orbits = set()
    for index in range(len(full.tree)):
        full.explorer.node(full.tree, index)
        full.explorer._back(full.explorer.node(full.tree, index).state)
        orbits.add(canon.fingerprint(canon.parts(full.explorer.model.capture()[0], ())))
    less = Search(dataclasses.replace(spec, symmetry=True), every=True)
    less.run()
    assert len(orbits) == len(less.tree) < len(full.tree)


@pytest.mark.parametrize(
    "spec",
    [
        bounds("v7.2", "vhe", world(2, 2, 1, settings=SME), 3),
        bounds(
            "v7.2",
            "rv64",
            world(2, 2, 1, words=VECTORS),
            3,
            arch="riscv",
            groups=("run", "switch", "fp", "vector", "kernel", "signal", "power"),
        ),
    ],
    ids=["arm64", "riscv"],
)
def test_what_the_alphabet_does_not_offer_is_refused(spec: Bounds) -> None:
    """`enabled()` leaves out nothing that the model would take."""
    search = Search(spec)
    search.run()
    explorer = search.explorer
    model = explorer.model
    for index in range(0, len(search.tree), 7):
        node = explorer.node(search.tree, index)
        explorer._back(node.state)
        offered = set(explorer._enabled())
        for number in range(len(explorer.events)):
            if number in offered:
                continue
            model.restore(node.state)
            with pytest.raises(Refused):
                model.apply(*explorer.event(number, 9))
        model.restore(node.state)
        explorer._now = node.state


def plain(state: object, seen: dict[int, int]) -> object:
    """A canonical state with the written values by the order in which they come."""
    if isinstance(state, tuple):
        return tuple(plain(part, seen) for part in state)
    if type(state) is int and fresh_number(state) is not None:
        return "value", seen.setdefault(state, len(seen))
    return state


@pytest.mark.long
@pytest.mark.parametrize("name", ["two vcpus", "fpmr", "neon", "riscv"])
def test_a_fingerprint_is_of_one_state(name: str) -> None:
    """Two states with one fingerprint have the same canonical form, computed another way."""
    spec = dataclasses.replace(SMALL[name], symmetry=False, commuting=False)
    explorer = Explorer(spec)
    model, canon = explorer.model, explorer.canon
    forms: dict[int, object] = {}
    beginning = model.capture()
    level = [(beginning, canon.parts(beginning[0], ()))]
    known: set[object] = set()
    for depth in range(1, min(spec.depth, 6) + 1):
        after = []
        for state, parts in level:
            node = Node(parts, (tuple(part.values for part in parts[: len(state[0])]), *state[1:]))
            explorer._now = None
            for _, there, _ in explorer.steps(node, depth):
                form = plain(model.canonical(), {})  # type: ignore[union-attr]
                key = canon.fingerprint(there)
                assert forms.setdefault(key, form) == form
                if (key, form) not in known and not model.check():
                    known.add((key, form))
                    after.append((model.capture(), there))
        level = after
    assert len(forms) > 200


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", ["sme", "fpmr", "two CPUs", "riscv, two vcpus"])
def test_what_is_told_is_what_a_replay_shows(name: str) -> None:
    """Word for word, with the values of the events that are told."""
    search = Search(SMALL[name], every=True)
    search.run()
    assert search.found()
    for one in search.found():
        outcome = Replay(
            trace_of(search.bounds, one), search.bounds.kernel, search.bounds.mode
        ).run()
        assert one.violation.text in {v.text for _, v in outcome.violations}


def test_several_processes_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """In levels of several batches, of which some are shared out and some are not."""
    monkeypatch.setattr(parallel, "ALONE", 64)
    for every in (False, True):
        one = Search(bounds("v6.13", "vhe", world(1, 2, 1, settings=SME), 4), every)
        one.run()
        two = ParallelSearch(one.bounds, every, 2)
        two.batch = 128
        by: list[int] = []
        two.after_batch.append(lambda search, by=by: by.append(len(search._workers)))  # type: ignore[misc]
        two.run()
        assert {*by} == {0, 2}
        assert (two.tree.parents, two.tree.ways) == (one.tree.parents, one.tree.ways)
        assert two.tally.transitions == one.tally.transitions
        assert (two.found(), two.costs()) == (one.found(), one.costs())


def test_the_last_line_says_what_was_done() -> None:
    search = Search(bounds("v7.2", "vhe", world(1, 2, 1, settings=SVE), 3))
    tally = search.run()
    line = summary(search.bounds, tally, len(search.tree))
    text = (
        r"no violation within 1 CPU, 2 tasks, 1 vcpu \(sve 16..64; events \S+\), depth 3: "
        r"203 states, 359 transitions, "
        r"[0-9.]+ s, [0-9]+ states/s"
    )
    assert re.fullmatch(text, line), line


def test_nothing_is_left_at_any_depth() -> None:
    spec = bounds("v7.2", "vhe", world(1, 1, 0), 50, groups=("switch",))
    search = Search(spec)
    tally = search.run()
    assert tally.exhausted
    assert tally.depth < 50
    assert "at any depth" in summary(spec, tally, len(search.tree))


def test_two_kernels_are_told_apart() -> None:
    spec = bounds("v6.13+save-and-flush", "vhe", world(settings=SVE), 6, other="v6.13")
    search = Search(spec)
    search.run()
    assert {found.violation.kind for found in search.found()} == {"missing-trap"}
    cost = bounds("v4.15+null-always", "vhe", world(), 6, other="v4.15", budget=("reloads",))
    search = Search(cost)
    search.run()
    assert [len(found.events) for found in search.found()] == [5]


def test_what_costs_too_much_shows_by_itself() -> None:
    """KVM: a load of what the CPU still has; NEON: the same; both without another kernel."""
    for spec, vcpus, counter, length in (
        ("v4.15+null-always", 1, "reloads", 5),
        ("v4.15", 1, "", 0),
        ("v6.8-kneon-lazy", 0, "neon_reloads", 4),
    ):
        search = Search(bounds(spec, "vhe", world(1, 2, vcpus), 7), every=True)
        search.run()
        told = {found.violation.what: len(found.events) for found in search.costs()}
        assert told == ({counter: length} if counter else {})
        assert not any(found.violation.kind == "cost" for found in search.found())


def test_a_load_is_one_too_many_only_if_the_kernel_could_know() -> None:
    """A task that was on another CPU, or has written nothing yet, must be loaded."""
    search = Search(bounds("v6.10", "vhe", world(2, 1, 0), 9), every=True)
    search.run()
    assert not search.costs()


@pytest.mark.long
def test_equal_kernels_do_not_differ() -> None:
    spec = bounds("v6.13", "vhe", world(settings=SVE), 5, other="v6.13")
    assert not Search(spec).run().found


def test_a_state_that_was_left_is_found_again() -> None:
    """A walk to a state leads to the fingerprint under which it was found."""
    explorer = Explorer(bounds("v6.13", "vhe", world(2, 2, 1, settings=SVE), 4))
    search = Search(explorer.bounds)
    search.run()
    for index in range(0, len(search.tree), 11):
        node = search.explorer.node(search.tree, index)
        assert search.explorer.canon.fingerprint(node.parts) in search.tree.visited
