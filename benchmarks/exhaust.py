"""What is left to try on the newest kernels, at any depth?

    python benchmarks/exhaust.py [--limit SECONDS] [--only TEXT]

Writes the table in docs/explore.md anew: bounds of size, one CPU (then two), two tasks and a vcpu,
without a bound of length. Each search ends when nothing is left to try, or after SECONDS (3600)
with what it came to. Rows that do not have TEXT in them stay as they are. Times are of one run, CPU
time, on one core of the machine at hand; memory is the most that the process had.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator

import table

KERNELS = ("v7.3", "v7.2")
BOUNDS = (
    *(
        f"'arm64 {mode} {{ {machine} }}'{vcpu}"
        for mode in ("vhe", "nvhe")
        for machine, vcpus in (
            ("sve 16..64", ("", " sve")),
            ("sme 16..64", ("",)),
            ("sve 16..64; sme 16..64", ("", " sve")),
        )
        for vcpu in vcpus
    ),
    "'arm64 vhe { sve 16..64 }' --cpus 2",
    # Without signals: a handler can be interrupted by the next one, without an end.
    "'riscv rv64 { isa f d }' --events run,switch,fp,csr,power",
    "'riscv rv64 { isa f d v }' --events run,switch,fp,vector,csr,kernel,softirq,power",
)
HEAD = "| kernel | bounds | came to | violations | costs | states | transitions | s | MB |"


def row(kernel: str, bounds: str, limit: float) -> str:
    """A search, to its end or for so many seconds."""
    words = shlex.split(bounds)
    command = ["explore", *words, "--kernel", kernel, "--depth", "any", "--all", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *command], stdout=subprocess.PIPE, text=True
    )
    try:
        out, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
    used = os.times()
    tree = json.loads(out)
    came = f"depth {tree['depth']}" + (", all" if tree["exhausted"] else f" in {limit:.0f} s")
    wrong = ", ".join(f"{one['kind']} {one['what']}" for one in tree["found"]) or "none"
    costs = ", ".join(one["what"] for one in tree["costs"]) or "none"
    seconds = used.children_user + used.children_system
    return (
        f"| {kernel} | `{bounds}` | {came} | {wrong} | {costs} | {tree['states']:,} | "
        f"{tree['transitions']:,} | {seconds:.0f} | {_megabytes()} |"
    )


def _megabytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def rows(limit: float, only: str) -> Iterator[str]:
    kept = dict(re.findall(r"^(\| v\S+ \| `[^`]*` \|)(.*)$", table.DOC.read_text("utf-8"), re.M))
    yield HEAD
    yield re.sub(r"[^|]+", " --- ", HEAD)
    for kernel in KERNELS:
        for bounds in BOUNDS:
            name = f"| {kernel} | `{bounds}` |"
            if only in name:
                told = subprocess.run(
                    [sys.executable, __file__, "--row", kernel, bounds, "--limit", str(limit)],
                    check=True,
                    capture_output=True,
                    text=True,
                )
                yield told.stdout.strip()
            elif name in kept:
                yield name + kept[name]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=float, default=3600)
    parser.add_argument("--only", default="")
    parser.add_argument("--row", nargs=2)  # one of them, in a process of its own
    args = parser.parse_args()
    if args.row:
        kernel, bounds = args.row
        print(row(kernel, bounds, args.limit))
    else:
        table.write("benchmarks/exhaust.py", rows(args.limit, args.only))


if __name__ == "__main__":
    main()
