"""How much faster is a search that remembers what the model did?

    python benchmarks/paired.py [--rounds N] [--only TEXT]

Writes the table in docs/explore.md anew; with --only, it is only printed. It is the same search
with each event run on the model (`Bounds.plain`) and with what is known of it, in turns, each in a
process of its own. Both must come to the same states, transitions, violations and costs. The ratio
is that of CPU time, the median of N rounds (3).
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import table
from watch import Watch, machine

from harness.cli.bounds import bounds_of
from harness.cli.explore import add_parser
from harness.search.bounds import Bounds
from harness.search.explore import Search

SEARCHES = (
    "'arm64 vhe { sve 16..64 }' --kernel v7.2 --depth 9",
    "'arm64 nvhe { sve 16..64 }' sve --kernel v7.2 --depth 10",
    "'arm64 vhe { sve 16..64 }' --cpus 2 --kernel v7.2 --depth 8",
    "'arm64 vhe { sve 16..64; sme 16..64 }' --kernel v7.2 --depth 8",
    "'riscv rv64 { isa f d v }' --kernel v7.2 --depth 7",
)
HEAD = "| search | states | transitions | plain, s CPU | s CPU | s | states/s of CPU | ratio |"
COUNTS = ("states", "transitions", "found", "costs")


def bounds_in(text: str) -> Bounds:
    """As the command line of `explore` gives them."""
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["explore", *shlex.split(text)])
    place = bounds_of(args, int(args.depth))
    return dataclasses.replace(place.bounds, noted=tuple(place.explorable.waste))


def searched(text: str, plain: bool) -> dict[str, Any]:
    """One search, in this process."""
    search = Search(dataclasses.replace(bounds_in(text), plain=plain), every=True)
    gc.disable()  # as the command does
    watch = Watch()
    tally = search.run()
    times = {"cpu": watch.cpu, "wall": watch.wall}
    return times | {
        "states": len(search.tree),
        "transitions": tally.transitions,
        "found": sorted(map(str, tally.found)),
        "costs": sorted(tally.costs),
    }


def measured(text: str, plain: bool) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", text, *["--plain"][: int(plain)]]
    told: dict[str, Any] = json.loads(subprocess.run(command, stdout=-1, check=True).stdout)
    return told


def rows(rounds: int, only: str) -> Iterator[str]:
    yield f"Measured on {machine()}:"
    yield ""
    yield HEAD
    yield "| " + " | ".join("---" for _ in HEAD.split("|")[1:-1]) + " |"
    for text in SEARCHES:
        if only not in text:
            continue
        pairs = [(measured(text, True), measured(text, False)) for _ in range(rounds)]
        for slow, fast in pairs:
            if any(slow[name] != fast[name] for name in COUNTS):
                sys.exit(f"{text}: {slow} is not {fast}")
        ratio = statistics.median(slow["cpu"] / fast["cpu"] for slow, fast in pairs)
        plain = statistics.median(slow["cpu"] for slow, _ in pairs)
        cpu = statistics.median(fast["cpu"] for _, fast in pairs)
        wall = statistics.median(fast["wall"] for _, fast in pairs)
        states, transitions = pairs[0][1]["states"], pairs[0][1]["transitions"]
        yield (
            f"| `{text}` | {states:,} | {transitions:,} | {plain:.1f} | {cpu:.1f} | {wall:.1f} "
            f"| {states / cpu:,.0f} | {ratio:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--one")  # search, in a process of its own
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(searched(args.one, args.plain)))
    elif args.only:
        for line in rows(args.rounds, args.only):
            print(line, flush=True)
    else:
        table.write("benchmarks/paired.py", rows(args.rounds, args.only))


if __name__ == "__main__":
    main()
