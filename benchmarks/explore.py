"""Does `kvm-replay explore` find the known bugs by itself, how fast, and is its trace as short?

    python benchmarks/explore.py [-j N]

Writes the table in docs/explore.md anew: each of the bugs that the model was made for, on the
kernel that has it, within bounds, by the usual events unless others are named; then the newest
kernel within the same bounds. The times are those of one run on the machine at hand, as a whole.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import table
from watch import Watch, machine

from harness.dsl import read_trace
from harness.dsl.check import Checker
from harness.dsl.nodes import Event
from harness.engine import Replay
from harness.model import architecture
from harness.model.catalogue import RELEASES
from harness.resources import folder


class Bug(NamedTuple):
    """A trace of ours, a kernel that has its bug, bounds, and what is to be found."""

    trace: str
    kernel: str
    bounds: str
    kind: str
    without: str  # a kernel without this very bug, the nearest there is
    what: str = ""  # the register's kind, where several are found
    arch: str = "arm64"


SVE, SME = "'arm64 vhe { sve 16..64 }'", "'arm64 vhe { sve 16..64; sme 16..64 }'"
BUGS = (
    Bug(
        "eight-steps",
        "v4.15+null-always",
        "'arm64 vhe { cpus 1 }' --depth 8",
        "cost",
        "v4.15",
        "reloads",
    ),
    Bug(
        "fp-type-case-2",
        "v6.13+trap-sve-v1+sme-built",
        f"{SME} --depth 7",
        "stale",
        "v6.13+save-and-flush+sme-built",
        "z",
    ),
    Bug(
        "sve-not-trapped-after-guest",
        "v6.13",
        f"{SVE} --depth 8",
        "missing-trap",
        "v6.13+trap-sve-v1",
    ),
    Bug(
        "sve-lost-around-guest",
        "v4.15-sve-dead-task-sve-kvm-null",
        "'arm64 nvhe { sve 16..64 }' --depth 8",
        "lost",
        "v4.15-sve-dead-task",
    ),
    Bug(
        "sve-trap-stale-cpu",
        "v6.10",
        f"{SVE} --cpus 2 --vcpus 0 --depth 7",
        "spurious-trap",
        "v6.10+sve-stale-cpu",
    ),
    Bug(
        "host-data-wrong-copy",
        "v6.10+hd-kernel-copy",
        "'arm64 nvhe { cpus 1 }' --depth 8",
        "wrong-copy",
        "v6.10",
    ),
    Bug(  # the same one: what comes of it
        "host-data-wrong-copy",
        "v6.10+hd-kernel-copy",
        "'arm64 nvhe { cpus 1 }' --except wrong-copy --depth 8",
        "leak",
        "v6.10",
    ),
    Bug(
        "fpmr-stale-after-guest",
        "v6.13",
        "'arm64 vhe { fpmr 1 }' --depth 8",
        "stale",
        "v6.13+save-and-flush",
        "fpmr",
    ),
    Bug(
        "nvhe-guest-vl-kills-vmm",
        "v6.13",
        "'arm64 nvhe { sve 16..64 }' sve --depth 7",
        "wrong-vl",
        "v6.14",
    ),
    Bug(
        "kneon-lazy-restore",
        "v6.8-kneon-lazy",
        "'arm64 vhe { cpus 1 }' --vcpus 0 --depth 8",
        "cost",
        "v6.8",
        "neon_reloads",
    ),
    Bug(
        "kneon-smstop-clobbers",
        "v6.13+sme-built",
        f"{SME} --vcpus 0 --depth 7",
        "lost",
        "v6.13+kneon-smstop+sme-built",
    ),
    Bug(
        "kneon-user-reload-elided",
        "v6.8",
        "'arm64 vhe { cpus 2 }' --tasks 1 --vcpus 0 --depth 10",
        "leak",
        "v6.8+kneon-elide-fix",
    ),
    Bug(
        "ptrace-sve-discarded",
        "v6.18",
        f"{SVE} --vcpus 0 --depth 6 --events switch,sve,trap,ptrace",
        "warning",
        "v6.18+ptrace-no-sme",
    ),
    Bug(
        "senvcfg-shared-with-guest",
        "v6.6",
        "'riscv rv64 { isa f d zicbom zicboz }' --depth 7",
        "leak",
        "v6.7",
        arch="riscv",
    ),
    Bug(
        "signal-return-corrupts-vectors",
        "v6.9-rt-sigreturn-v",
        "'riscv rv64 { isa f d v }' --tasks 1 --vcpus 0 --depth 8",
        "lost",
        "v6.9",
        arch="riscv",
    ),
    Bug(
        "senvcfg-lost-over-suspend",
        "v6.7",
        "'riscv rv64 { isa f d zicboz }' --depth 7",
        "lost",
        "v6.8",
        arch="riscv",
    ),
    Bug(
        "softirq-in-a-vcpu-thread",
        "v6.8",
        "'riscv rv64 { isa f d v }' --depth 6",
        "leak",
        "v6.7",
        arch="riscv",
    ),
)
NEWEST = RELEASES[-1]
# Where hyp and host each have a copy of a vcpu: v7.3 changed who has which.
PROTECTED = ("'arm64 protected { sve 16..64 }' --depth 8", "'arm64 hvhe { sve 16..64 }' --depth 8")


def explored(kernel: str, bounds: str, jobs: str) -> dict[str, Any]:
    """What the command says, and how long it took as a whole."""
    command = ["kvm-replay", "explore", *shlex.split(bounds), "--all", "--json"]
    watch = Watch()
    done = subprocess.run(
        [*command, "--kernel", kernel, "-j", jobs], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    tree: dict[str, Any] = json.loads(done.stdout)
    return tree | {"whole": watch.wall, "cpu": watch.cpu}


def events_of(bug: Bug) -> int:
    trace = read_trace(folder("traces") / bug.arch / f"{bug.trace}.trace")
    return sum(isinstance(s, Event) for s in trace.body)


def shown(text: str, bug: Bug) -> bool:
    """Whether a trace that was found goes wrong in the same way without the bug: it is another."""
    trace = Checker("found", "found").read(text.splitlines())
    kernel = architecture(bug.arch).catalogue.kernel(bug.without)
    return bug.kind in Replay(trace, kernel, trace.modes[0]).run().kinds


def alone(bounds: str) -> str:
    """Bounds without what is to be passed over."""
    return re.sub(r" --except \S+", "", bounds)


def rows(jobs: str) -> Iterator[str]:
    yield f"Measured on {machine()}:"
    yield ""
    head = "| bug | kernel | bounds | found | ours | states | transitions | s | s CPU |"
    yield f"{head} bytes a state |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for bug in BUGS:
        tree = explored(bug.kernel, bug.bounds, jobs)
        found = [
            one
            for one in (*tree["found"], *tree["costs"])
            if one["kind"] == bug.kind and one["what"].startswith(bug.what)
        ]
        if not found:
            sys.exit(f"{bug.trace}: not found on {bug.kernel} within {bug.bounds}")
        lengths = [len(one["events"]) for one in found if not shown(one["trace"], bug)]
        if not lengths:
            sys.exit(f"{bug.trace}: {bug.without} shows what was found on {bug.kernel}")
        ours = events_of(bug)
        if min(lengths) > ours or tree["whole"] > 120:
            sys.exit(f"{bug.trace}: {min(lengths)} events, ours has {ours}; {tree['whole']:.0f} s")
        yield (
            f"| {bug.trace} | {bug.kernel} | `{bug.bounds}` | {bug.kind}, {min(lengths)} "
            f"{'event' if min(lengths) == 1 else 'events'} | {ours} | {figures(tree)} |"
        )
    yield ""
    yield f"The newest kernel, {NEWEST}, within the same bounds:"
    yield ""
    yield "| bounds | violations | costs | states | transitions | s | s CPU | bytes a state |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for bounds in dict.fromkeys((*(alone(bug.bounds) for bug in BUGS), *PROTECTED)):
        tree = explored(NEWEST, bounds, jobs)
        wrong = ", ".join(one["kind"] for one in tree["found"]) or "none"
        costs = ", ".join(one["what"] for one in tree["costs"]) or "none"
        yield f"| `{bounds}` | {wrong} | {costs} | {figures(tree)} |"


def figures(tree: dict[str, Any]) -> str:
    size = f"{tree['bytes_a_state']:.0f}" if tree["states"] > 100 else ""  # an empty table's
    times = f"{tree['whole']:.1f} | {tree['cpu']:.1f}"
    return f"{tree['states']:,} | {tree['transitions']:,} | {times} | {size}"


def main() -> None:
    jobs = sys.argv[sys.argv.index("-j") + 1] if "-j" in sys.argv else "1"
    table.write("benchmarks/explore.py", rows(jobs))


if __name__ == "__main__":
    main()
