"""`kvm-replay rig` of traces: driven, run on each machine that they need, and held."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import files
from harness.cli.conform_log import differences, read, sums, too_little
from harness.cli.drive import test_of
from harness.cli.select import distinct, find_traces
from harness.cli.term import Terminal, aside
from harness.drive.held import Played, hold_log
from harness.drive.script import Driven, Skipped, written
from harness.errors import HarnessError
from harness.model import architecture
from harness.model.catalogue import Kernel
from harness.rig.boot import Outcome, verdict
from harness.rig.corpus import machines, slug
from harness.rig.machine import Cpu


@dataclass(slots=True)
class _Result:
    """What came of all boots."""

    kernel: Kernel
    mode: str
    status: int = 0
    tests: list[Played] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    machines: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def differ(self) -> list[Played]:
        return [test for test in self.tests if test.held.differs]

    @property
    def unentitled(self) -> list[str]:
        return [test.ran.id for test in self.tests if test.ran.unentitled]


def traces_of(paths: list[Path]) -> list[Path]:
    """The traces that are meant by files, folders and names; none if these are scripts.

    Raises HarnessError.
    """
    scripts = [path for path in paths if path.is_file() and path.suffix != ".trace"]
    if scripts and len(scripts) < len(paths):
        raise HarnessError(f"{scripts[0]}: is no .trace file: expected traces or scripts, not both")
    if scripts:
        return []
    found = find_traces([str(path) for path in paths])
    distinct(found)
    if not found:
        raise HarnessError(f"{paths[0]}: has no .trace files")
    return found


def run_traces(
    args: argparse.Namespace,
    out: Terminal,
    paths: list[Path],
    name: str,
    boot_on: Callable[[Cpu, list[Path], Path], Outcome],
) -> int:
    """Exit status: 1 if an answer is not as the model says, or a program reads what is not its."""
    result = _Result(architecture(args.arch).catalogue.kernel(name), args.mode)
    for cpu, tests in machines(_driven(args, paths, result)).items():
        with files.folder("kvm-replay-scripts-") as place:
            script = Path(place) / f"{slug(cpu)}.script"
            files.write(script, "\n".join(written(tests, f"{name} {args.mode}")) + "\n")
            outcome = boot_on(cpu, [script], args.output / slug(cpu))
        result.status = max(result.status, verdict(outcome))
        _hold(args, result, cpu, outcome)
    if result.differ or result.reasons:
        result.status = max(result.status, 1)
    if args.json:
        out.line(json.dumps(_tree(result), indent=1))
    else:
        _report(out, result)
    return result.status


def _driven(args: argparse.Namespace, paths: list[Path], result: _Result) -> list[Driven]:
    tests = [test_of(path, result.kernel, args.mode) for path in paths]
    result.skipped += (test for test in tests if isinstance(test, Skipped))
    if len(result.skipped) == len(tests):
        why = "".join(f"\n    {one.id}: {one.why}" for one in result.skipped[:8])
        raise HarnessError(f"nothing to run:{why}")
    if result.skipped:
        count = len(result.skipped)
        aside(f"kvm-replay: {count} of {len(tests)} traces cannot be driven (see `drive`)")
    return [test for test in tests if isinstance(test, Driven)]


def _hold(args: argparse.Namespace, result: _Result, cpu: Cpu, outcome: Outcome) -> None:
    path = str(args.output / slug(cpu) / f"{slug(cpu)}.log")
    log = read(path)
    tests = [*hold_log(path, log, result.kernel, args.mode)]
    result.tests += tests
    result.skipped += (Skipped(ran.id, ran.skipped) for ran in log.tests if ran.skipped)
    result.reasons += (f"{cpu}: {reason}" for reason in too_little(log, tests))
    facts = outcome.facts
    result.machines.append(
        {
            "cpu": str(cpu),
            "release": facts.release,
            "version": facts.version or "",
            "mode": facts.mode,
            "seconds": round(outcome.seconds, 1),
            "log": path,
            "traces": len(tests),
        }
    )


def _report(out: Terminal, result: _Result) -> None:
    differences(out, result.tests, 8)
    for reason in result.reasons:
        out.line(out.paint(f"too little evidence: {reason}", "red"))
    if result.unentitled:
        names = ", ".join(result.unentitled[:6]) + (", ..." if len(result.unentitled) > 6 else "")
        out.line(f"a program has not got what it is entitled to in {names}")
    compared, reads = sums(result.tests)
    text = (
        f"{result.kernel.name} {result.mode}: {len(result.tests)} traces, {compared} answers "
        f"compared ({reads} reads), {len(result.differ)} traces differ"
    )
    out.line(out.paint(text, "red" if result.differ or result.reasons else "green"))


def _tree(result: _Result) -> dict[str, Any]:
    compared, reads = sums(result.tests)
    return {
        "schema": "kvm-replay/rig/1",
        "kernel": result.kernel.name,
        "mode": result.mode,
        "machines": result.machines,
        "traces": len(result.tests),
        "compared": compared,
        "reads": reads,
        "too_little": result.reasons,
        "unentitled": result.unentitled,
        "differ": [
            {
                "trace": test.ran.id,
                "differs": [
                    {"event": test.trace.source[one.line - 1], **one._asdict()}
                    for one in test.held.differs
                ],
            }
            for test in result.differ
        ],
        "skipped": [{"trace": one.id, "why": one.why} for one in result.skipped],
    }
