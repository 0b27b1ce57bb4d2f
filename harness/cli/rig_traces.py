"""`kvm-replay rig` of traces: driven, run on each machine that they need, and held."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from harness import files
from harness.cli.conform_log import differences, read, sums, too_little
from harness.cli.drive import test_of
from harness.cli.select import distinct, find_traces
from harness.cli.term import Terminal, aside
from harness.drive.held import Test, hold_log
from harness.drive.script import Driven, Skipped, written
from harness.errors import HarnessError
from harness.model import architecture
from harness.model.catalogue import Kernel
from harness.rig.boot import Outcome, verdict
from harness.rig.corpus import machines, slug
from harness.rig.machine import Cpu


def is_script(path: Path) -> bool:
    """Whether this file is a script of `kvm-replay drive`."""
    try:
        with open(path, "rb") as file:
            return file.read(5) == b"plan "
    except OSError:
        return False


def plans(args: argparse.Namespace, name: str) -> list[Driven]:
    """What can be driven of the traces, on this kernel of the catalogue. Raises HarnessError."""
    paths = find_traces([str(path) for path in args.scripts])
    distinct(paths)
    kernel = architecture(args.arch).catalogue.kernel(name)
    tests = [test_of(path, kernel, args.mode) for path in paths]
    skipped = [test for test in tests if isinstance(test, Skipped)]
    if len(skipped) == len(tests):
        raise HarnessError(
            "nothing to run:" + "".join(f"\n    {t.id}: {t.why}" for t in skipped[:8])
        )
    if skipped:
        aside(f"kvm-replay: {len(skipped)} of {len(tests)} traces cannot be driven (see `drive`)")
    return [test for test in tests if isinstance(test, Driven)]


def run_traces(
    args: argparse.Namespace,
    out: Terminal,
    name: str,
    boot_on: Callable[[Cpu, list[Path], Path], Outcome],
) -> int:
    """Exit status: 1 if an answer is not as the model says, or a program reads what is not its."""
    kernel = architecture(args.arch).catalogue.kernel(name)
    status, every = 0, list[Test]()
    for cpu, tests in machines(plans(args, name)).items():
        with files.folder("kvm-replay-scripts-") as place:
            script = Path(place) / f"{slug(cpu)}.script"
            files.write(script, "\n".join(written(tests, f"{name} {args.mode}")) + "\n")
            outcome = boot_on(cpu, [script], args.output / slug(cpu))
        status = max(status, verdict(outcome))
        log = args.output / slug(cpu) / f"{slug(cpu)}.log"
        status = max(status, _held(args, out, str(log), kernel, cpu, every))
    compared, reads = sums(every)
    failed = sum(bool(test.ran.unentitled) for test in every)
    differ = sum(bool(test.held.differs) for test in every)
    out.line(
        out.paint(
            f"{name} {args.mode}: {len(every)} traces, {compared} answers compared ({reads} "
            f"reads); {differ} traces differ, in {failed} a program has not got what is due",
            "red" if status else "green",
        )
    )
    return status


def _held(
    args: argparse.Namespace,
    out: Terminal,
    path: str,
    kernel: Kernel,
    cpu: Cpu,
    every: list[Test],
) -> int:
    log = read(path)
    tests = [*hold_log(path, log, kernel, args.mode)]
    every += tests
    differences(out, tests, 8)
    reasons = too_little(log, tests)
    for reason in reasons:
        out.line(out.paint(f"{cpu}: too little evidence: {reason}", "red"))
    return 1 if reasons or any(test.held.differs for test in tests) else 0
