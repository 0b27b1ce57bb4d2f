"""How fast is the search beside TLC, on a public TLA+ model of this very code?

    python benchmarks/fpsimd_tla.py [--rounds N] [--vals N] [--tlc tla2tools.jar --spec fpsimd.tla]

The model is fpsimd.tla of https://github.com/shamiali2008/kernel-tla, with 1 CPU, 2 threads and
no symmetry. kernel_tla.py is the same transition system; kernel_tla_search.py searches it on the
tree of `explore`, kernel_tla_packed.py with a state as one number. All runs are on one core, in
turns. TLC runs with one worker, on a copy of the spec with the guard that keeps it finite, and is
timed from its first states to its last, without the start of Java. With a TLC, counts that differ
are an error. Times are those of the machine at hand: nothing is asserted of them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from kernel_tla import System
from kernel_tla_packed import PackedSearch
from kernel_tla_search import Search

UNGUARDED = "/\\ ~in_interrupt[self]"
GUARD = ' /\\ pc[self] # "handle_int"'
CONFIG = """\
CONSTANT defaultInitValue = defaultInitValue
SPECIFICATION OSSpec
CONSTANTS
    CPUS = {{p1}}
    THREADS = {{t1, t2}}
    VALS = {{{vals}}}
INVARIANTS TypeInv SchedInv
"""
EACH, PACKED = "a step at a time", "packed"


class Run(NamedTuple):
    """One run: what it counted, and what it took."""

    states: int
    transitions: int
    depth: int
    seconds: float
    tree: float = 0.0  # bytes a state of what is kept of it, and of the way to it
    process: float = 0.0  # and those by which the whole process has grown

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.states, self.transitions, self.depth

    @property
    def rate(self) -> float:
        return self.states / self.seconds


def searched(vals: int, name: str) -> Run:
    """Ours, in a process that does nothing else."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    system = System(vals=vals)
    search = PackedSearch(system) if name == PACKED else Search(system)
    out = search.run()
    if out.broken:
        sys.exit(f"level {out.depth}: {out.broken}")
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    n = out.states
    return Run(n, out.transitions, out.depth, out.seconds, out.size / n, grown / n)


def guarded(spec: str) -> str:
    """The spec with the guard, unless it is there."""
    if GUARD.strip() in spec:
        return spec
    if spec.count(UNGUARDED) != 1:
        sys.exit("this is not the fpsimd.tla that is known here")
    return spec.replace(UNGUARDED, UNGUARDED + GUARD)


def checked(jar: Path, spec: Path, vals: int) -> Run:
    """TLC's, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = guarded(spec.read_text(encoding="utf-8"))
        (folder / "fpsimd.tla").write_text(text, encoding="utf-8")
        values = ", ".join(f"v{n + 1}" for n in range(vals))
        (folder / "fpsimd.cfg").write_text(CONFIG.format(vals=values), encoding="utf-8")
        java = ["java", "-XX:+UseParallelGC", f"-Djava.io.tmpdir={name}", "-cp", str(jar.resolve())]
        command = [*java, "tlc2.TLC", "-workers", "1", "-metadir", name, "fpsimd.tla"]
        began = ended = 0.0
        said = []
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as tlc:
            assert tlc.stdout is not None
            for line in tlc.stdout:
                said.append(line)
                if line.startswith("Computing initial states"):
                    began = time.perf_counter()
                elif line.startswith("Model checking completed"):
                    ended = time.perf_counter()
    whole = "".join(said)
    counts = re.search(r"^(\d+) states generated, (\d+) distinct", whole, re.MULTILINE)
    depth = re.search(r"depth of the complete state graph search is (\d+)", whole)
    if tlc.returncode or counts is None or depth is None or not ended:
        sys.exit(whole)
    return Run(int(counts[2]), int(counts[1]), int(depth[1]), ended - began)


def show(name: str, run: Run) -> None:
    line = f"| {name} | {run.states:,} | {run.transitions:,} | {run.depth} | {run.seconds:.2f} "
    line += f"| {run.rate:,.0f} "
    memory = f"| {run.tree:.0f} | {run.process:.0f} |" if run.tree else "| | |"
    print(line + memory, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vals", type=int, default=1, help="values that are written")
    parser.add_argument("--tlc", type=Path, metavar="JAR", help="tla2tools.jar")
    parser.add_argument("--spec", type=Path, metavar="FILE", help="fpsimd.tla")
    args = parser.parse_args()
    if (args.tlc is None) != (args.spec is None):
        parser.error("--tlc and --spec go together")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # and those that are started
    runs: dict[str, list[Run]] = {}
    print("| | states | transitions | levels | s | states/s | bytes a state | in all |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for _ in range(args.rounds):
            if args.tlc:
                runs.setdefault("TLC", []).append(checked(args.tlc, args.spec, args.vals))
                show("TLC", runs["TLC"][-1])
            for name in (EACH, PACKED):
                run = pool.apply(searched, (args.vals, name))
                runs.setdefault(name, []).append(run)
                show(name, run)
    if len({run.counts for found in runs.values() for run in found}) > 1:
        sys.exit("the counts differ")
    for name, found in runs.items():
        rates = [run.rate for run in found]
        line = f"{name}: {min(rates):,.0f} to {max(rates):,.0f} states/s"
        if args.tlc and name != "TLC":
            times = statistics.median(rates) / statistics.median(r.rate for r in runs["TLC"])
            line += f", {times:.1f} times TLC by the medians"
        print(line)


if __name__ == "__main__":
    main()
