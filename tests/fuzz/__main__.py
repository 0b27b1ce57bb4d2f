"""Coverage-guided fuzzing of everything that comes in, by atheris.

    tox -e fuzz                         # ten minutes of CPU for each kind
    python -m tests.fuzz trace 60       # one kind, so many seconds of CPU

An input that breaks something is written to tests/fuzz/crashes; there it is an ordinary test from
then on (test_crashes.py). Exit status 1 if there was one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 600
_FLAGS = ("-timeout=60", "-rss_limit_mb=3000", "-print_final_stats=1", "-max_len=20000")


def one(kind: str, seconds: int) -> None:
    """Fuzz one kind in this process, which ends with it, for so many seconds of its time."""
    import atheris

    with atheris.instrument_imports(include=["harness"], enable_loader_override=False):
        from tests.fuzz.targets import CRASHES, TARGETS, seeds

    with tempfile.TemporaryDirectory() as corpus:
        for n, seed in enumerate(seeds(kind)):
            Path(corpus, f"seed{n}").write_bytes(seed)
        prefix = f"-artifact_prefix={CRASHES}/{kind}-"
        done = 0

        def target(data: bytes) -> None:
            nonlocal done
            if time.process_time() > seconds:  # on a busy machine an hour can be a minute
                print(f"stat::number_of_executed_units: {done}", file=sys.stderr, flush=True)
                shutil.rmtree(corpus)
                os._exit(0)
            TARGETS[kind](data)
            done += 1

        atheris.Setup([sys.argv[0], *_FLAGS, prefix, corpus], target)
        atheris.Fuzz()


def every(kinds: list[str], seconds: int) -> int:
    """Fuzz each kind in a process of its own, and print how it went."""
    broken = 0
    for kind in kinds:
        command = [sys.executable, "-m", "tests.fuzz", kind, str(seconds), "--here"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        stats = dict(
            line.removeprefix("stat::").split(":", 1)
            for line in done.stderr.splitlines()
            if line.startswith("stat::")
        )
        many = stats.get("number_of_executed_units", "?").strip()
        covered = [line for line in done.stderr.splitlines() if " cov: " in line]
        last = covered[-1].split(" cov: ")[1].split()[0] if covered else "?"
        print(f"{kind}: {many} inputs, {last} branches, exit status {done.returncode}", flush=True)
        if done.returncode:
            broken += 1
            print(done.stderr[-4000:], file=sys.stderr)
    return 1 if broken else 0


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.isdigit() and word != "--here"]
    seconds = next((int(word) for word in sys.argv[1:] if word.isdigit()), SECONDS)
    if "--here" in sys.argv:
        one(words[0], seconds)
        return
    from tests.fuzz.targets import TARGETS

    os.chdir(Path(__file__).resolve().parents[2])
    sys.exit(every(words or list(TARGETS), seconds))


main()
