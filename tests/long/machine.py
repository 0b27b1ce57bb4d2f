"""The whole corpus on every kernel of Debian's, in every mode, under QEMU.

    python -m tests.long.machine [--kernel SERIES] [--mode MODE] [--write]

Each kernel is told by the version that has booted, and must have an entry in the catalogue. Exit
status 1 if one answer differs from the model's, or if too little was compared. With --write the
logs in tests/drive/logs are made anew, and the table of them in docs/on-a-machine.md. It takes a
quarter of an hour, and fetches kernels.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness.rig.debian import SUITES
from harness.rig.machine import MODES
from tests.drive.table import LOGS

# There is no hVHE before v6.4, and 5.10 does not take kvm-arm.mode=nvhe.
LACKING = {("5.10", "nvhe"), ("5.10", "hvhe"), ("5.10", "protected"), ("6.1", "hvhe")}


def boots(kernel: str, mode: str, folder: str) -> tuple[int, dict[str, Any] | None]:
    """The exit status of `kvm-replay rig` for all of the corpus, and what it printed."""
    command = ["rig", "arm64", "--kernel", kernel, "--mode", mode, "--json", "-o", folder]
    ran = subprocess.run(
        [sys.executable, "-m", "harness", *command, "arm64"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else None


def wrong(status: int, tree: dict[str, Any] | None) -> str:
    """What is wrong with it, or ''."""
    if tree is None or status == 2:
        return f"exit status {status}"
    if not tree["kernel"].startswith("debian-"):
        return f"no entry in the catalogue, compared as {tree['kernel']}"
    if not all(machine["version"] for machine in tree["machines"]):
        return "the version that has booted is not known"
    differ = ", ".join(one["trace"] for one in tree["differ"])
    return f"differ: {differ}" if differ else ", ".join(tree["too_little"])


def keep(tree: dict[str, Any]) -> None:
    """Put the logs of a kernel and a mode where the tests look for them."""
    for machine in tree["machines"]:
        log = Path(machine["log"])
        cpu = log.stem.replace("..", "-")
        file = LOGS / f"{tree['kernel']}-{tree['mode']}-{cpu}.log.xz"
        file.write_bytes(lzma.compress(log.read_bytes(), preset=9 | lzma.PRESET_EXTREME))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", choices=SUITES)
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    failed = 0
    for kernel in [args.kernel] if args.kernel else [*reversed(SUITES)]:
        for mode in [args.mode] if args.mode else [*MODES]:
            if (kernel, mode) in LACKING:
                continue
            with tempfile.TemporaryDirectory() as folder:
                status, tree = boots(kernel, mode, folder)
                why = wrong(status, tree)
                failed += bool(why)
                if args.write and tree is not None and not why:
                    keep(tree)
            told = f"{tree['kernel']} {mode}: {tree['compared']} answers" if tree else mode
            print(f"{told}: {why or 'all as the model says'}", flush=True)
    if args.write:
        subprocess.run([sys.executable, "-m", "tests.drive.table"], check=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
