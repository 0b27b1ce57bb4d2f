"""The whole corpus on every kernel of Debian's, in every mode, under QEMU.

    python -m tests.long.machine [--kernel SERIES] [--mode MODE] [--write]

Each kernel is told by the version that has booted, and must have an entry in the catalogue. Exit
status 1 if one answer differs from the model's, or if too little was compared. With --write the
table in docs/on-a-machine.md is made anew. It takes a quarter of an hour, and fetches kernels.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.rig.debian import SUITES
from harness.rig.machine import MODES

DOC = Path(__file__).parents[2] / "docs" / "on-a-machine.md"
# There is no hVHE before v6.4, and 5.10 does not take kvm-arm.mode=nvhe.
LACKING = {("5.10", "nvhe"), ("5.10", "hvhe"), ("5.10", "protected"), ("6.1", "hvhe")}
HEAD = "| kernel | mode | machines | traces | answers | reads | differ | not entitled to |"
_MARK = re.compile(r"(<!-- tests/machine.py begins -->\n).*(<!-- tests/machine.py ends -->)", re.S)


def boots(kernel: str, mode: str) -> tuple[int, dict[str, Any] | None]:
    """The exit status of `kvm-replay rig` for all of the corpus, and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["rig", "arm64", "--kernel", kernel, "--mode", mode, "--json", "-o", folder]
        ran = subprocess.run(
            [sys.executable, "-m", "harness", *command, "arm64"],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else None


def row(tree: dict[str, Any]) -> str:
    version = {machine["version"] for machine in tree["machines"]}
    short = ", ".join(name.removeprefix("arm64/") for name in tree["unentitled"]) or "none"
    return (
        f"| {', '.join(sorted(version))} as `{tree['kernel']}` | {tree['mode']} | "
        f"{len(tree['machines'])} | {tree['traces']} | {tree['compared']:,} | {tree['reads']:,} | "
        f"{len(tree['differ'])} | {short} |"
    )


def rows(kernels: list[str], modes: list[str], failed: list[str]) -> Iterator[str]:
    yield HEAD
    yield re.sub(r"[^|]+", " --- ", HEAD)
    for kernel in kernels:
        for mode in modes:
            if (kernel, mode) in LACKING:
                continue
            status, tree = boots(kernel, mode)
            if tree is None or status == 2 or tree["differ"] or tree["too_little"]:
                failed.append(f"{kernel} {mode}: exit status {status}")
            if tree is not None:
                line = row(tree)
                print(line, flush=True)
                yield line


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", choices=SUITES)
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    failed: list[str] = []
    kernels = [args.kernel] if args.kernel else [*reversed(SUITES)]
    table = [*rows(kernels, [args.mode] if args.mode else [*MODES], failed)]
    if args.write:
        text = DOC.read_text("utf-8")
        DOC.write_text(_MARK.sub(lambda m: m[1] + "\n".join(table) + "\n" + m[2], text), "utf-8")
    print("\n".join(failed))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
