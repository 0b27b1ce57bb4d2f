"""Does `reduce` make of a long fuzzed violation one that is as short as any that is known?

    python benchmarks/reduce.py [--walks N] [--seed N]

Walks at random on kernels that have bugs, 500 events a walk, and reduces each violation that comes
late in one, as `kvm-replay fuzz` does. The shortest known of a bug is the shortest that any of
these came to, or that `explore` finds within DEPTH events on the same machine by all events
there are. A bug is told by how it goes wrong, the releases that have it, and what ends it. Writes
the table in docs/explore.md anew; longer ones, and those that take over 30 s, are an error. A time
is that of one run on the machine at hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from typing import NamedTuple

import table
from watch import Watch, machine

from harness.dsl.nodes import Trace
from harness.model import architecture
from harness.model.world import World
from harness.search.bounds import Bounds, Found
from harness.search.bug import Bug, bug_of
from harness.search.discovery import trace_of
from harness.search.explore import Search
from harness.search.fuzz import Walker
from harness.search.play import Way, units, way_of
from harness.search.reduce import Reducer
from harness.search.shortest import shorten

LENGTH, LATE = 500, 250  # events of a walk, and of a violation that is worth the while
SECONDS, MOST = 20.0, 30.0  # as the command gives the search, and what all may take
DEPTH = 5
VECTORS = {"sve": (16, 64), "sme": (16, 64)}
KERNELS: tuple[tuple[str, str, str, dict[str, tuple[int, int]]], ...] = (
    ("arm64", "v4.15", "vhe", {"sve": (16, 64)}),
    ("arm64", "v6.1", "nvhe", VECTORS),
    ("arm64", "v6.8", "vhe", VECTORS),
    ("arm64", "v6.13+sme-built", "vhe", VECTORS),
    ("riscv", "v6.6", "rv64", {}),
    ("riscv", "v6.8", "rv64", {}),
)


class Reduced(NamedTuple):
    """One violation: its events, those that are left, how long that took."""

    way: Way
    bug: Bug
    start: int
    left: int
    proved: bool  # that by the verbs it had there is none that is shorter
    seconds: float
    cpu: float


def bounds_of(arch: str, kernel: str, mode: str, settings: dict[str, tuple[int, int]]) -> Bounds:
    """Two CPUs, two tasks and a vcpu, and all that can happen."""
    model = architecture(arch)
    explorable = model.explorable
    assert explorable is not None
    words: dict[str, tuple[str, ...]] = {}
    if arch == "riscv":
        words = {"isa": ("f", "d", "v", "zicboz")}
    world = World(
        {"cpus": (2, 2), **settings}, (("A", 0), ("B", -1)), ("CHILD",), (("v0", "A", ()),), words
    )
    groups = tuple(explorable.groups)
    return Bounds(arch, model.catalogue.kernel(kernel), mode, world, groups, LENGTH)


def identified(bounds: Bounds, trace: Trace, way: Way) -> Bug:
    """Which bug it is; on one machine for all, as that decides which kernels can run it."""
    settings = bounds.world.settings | {"cpus": trace.settings.get("cpus", (1, 1))}
    same = dataclasses.replace(trace, settings=settings, words=bounds.world.words)
    return bug_of(same, bounds.kernel, bounds.mode, way)


def reduced(bounds: Bounds, found: Found) -> Reduced:
    watch = Watch()
    trace, way = trace_of(bounds, found), way_of(found.violation)
    reducer = Reducer(trace, bounds.kernel, bounds.mode)
    reducer.trace, reducer.way = trace, way
    reducer.run()
    tried = shorten(reducer, SECONDS)
    times = watch.wall, watch.cpu
    left = len(units(reducer.trace))
    bug = identified(bounds, reducer.trace, way)
    return Reduced(way, bug, len(found.events), left, tried.deep >= left - 1, *times)


def explored(bounds: Bounds) -> list[tuple[Way, Bug, int]]:
    """What a search from the beginning finds, and after how many events."""
    search = Search(dataclasses.replace(bounds, depth=DEPTH), every=True)
    search.run()
    out = []
    for found in search.found():
        way = way_of(found.violation)
        out.append((way, identified(bounds, trace_of(bounds, found), way), len(found.events)))
    return out


def rows(walks: int, seed: int) -> Iterator[str]:
    yield f"Measured on {machine()}:"
    yield ""
    yield "| kernel | violation | fuzzed | reduced to | shortest known | shown to be | s | s CPU |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for arch, kernel, mode, settings in KERNELS:
        bounds = bounds_of(arch, kernel, mode, settings)
        walker = Walker(bounds, seed)
        left = [
            reduced(bounds, found)
            for number in range(walks)
            for found in walker.walk(number).found
            if len(found.events) >= LATE
        ]
        elsewhere = explored(bounds)
        while left:
            first = left[0]
            those = [s for s in left if s.way == first.way and s.bug.same(first.bug)]
            left = [story for story in left if story not in those]
            known = [n for way, bug, n in elsewhere if way == first.way and bug.same(first.bug)]
            known += [story.left for story in those]
            lefts = sorted({story.left for story in those})
            starts = span([story.start for story in those])
            proved = "in all" if all(story.proved for story in those) else "not in all"
            seconds = max(story.seconds for story in those)
            cpu = max(story.cpu for story in those)
            yield (
                f"| {kernel} {mode} | {first.way.kind} {first.way.what} | {len(those)}: {starts} "
                f"| {', '.join(map(str, lefts))} | {min(known)} | {proved} | {seconds:.1f} "
                f"| {cpu:.1f} |"
            )
            if lefts[-1] > min(known) or seconds > MOST:
                sys.exit(f"{kernel} {mode}, {first.way}: longer than known, or too slow")


def span(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--walks", type=int, default=80, help="on each kernel")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    table.write("benchmarks/reduce.py", rows(args.walks, args.seed))


if __name__ == "__main__":
    main()
