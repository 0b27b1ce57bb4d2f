"""`kvm-replay conform` of a log of kvm-replay-runner."""

from __future__ import annotations

import argparse
import itertools
import json
import lzma
from typing import Any

from harness.capture.unpack import unpacked
from harness.cli.drive import mode_of
from harness.cli.term import Terminal
from harness.drive import script
from harness.drive.held import Change, Played, agreeing, hold_log
from harness.drive.script import Log, read_log
from harness.errors import HarnessError
from harness.model import architecture

_HEAD = 40  # lines, of which one says that it is such a log
_MOST = 256 << 20


def is_log(path: str) -> bool:
    """Whether this is a log of the runner, and no recording of a tracer."""
    try:
        with open(path, "rb") as raw, unpacked(raw) as file:
            head = file.read(4096)
    except (OSError, EOFError, lzma.LZMAError):
        return False  # who reads recordings says what is wrong
    return any(script.is_log(line) for line in head.decode("utf-8", "replace").split("\n")[:_HEAD])


def conform_log(args: argparse.Namespace, out: Terminal) -> int:
    path = args.capture
    log = read(path)
    arch = "arm64"
    kernel = architecture(arch).catalogue.kernel(args.kernel)
    planned = log.planned.partition(" ")[2]
    mode = mode_of(arch, args.mode or planned or None)
    tests = [*hold_log(path, log, kernel, mode)]
    changes = agreeing(tests, kernel, mode, args.seconds)
    reasons = too_little(log, tests)
    if args.json:
        out.line(json.dumps(_tree(path, log, kernel.name, mode, tests, changes, reasons), indent=1))
    else:
        _report(args, out, log, kernel.name, mode, tests, changes, reasons)
    return 1 if reasons or any(test.held.differs for test in tests) else 0


def read(path: str) -> Log:
    """The log in a file. Raises HarnessError."""
    try:
        with open(path, "rb") as raw, unpacked(raw) as file:
            data = file.read(_MOST + 1)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise HarnessError(f"{path}: cannot be read: {error}") from None
    if len(data) > _MOST:
        raise HarnessError(f"{path}: larger than {_MOST >> 20} MiB, this is no log")
    return read_log(path, data.decode("utf-8", "replace").split("\n"))


def too_little(log: Log, tests: list[Played]) -> list[str]:
    """Why there is no verdict, or none of all."""
    found = []
    if not log.whole:
        found.append("the log ends before the script did")
    if not any(test.held.compared for test in tests):
        found.append("nothing was compared")
    lost = [one.id for one in log.tests if not one.skipped and (one.lost or not one.result)]
    if lost:
        names = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
        found.append(f"{len(lost)} traces were not carried out to their end: {names}")
    return found


def _report(
    args: argparse.Namespace,
    out: Terminal,
    log: Log,
    kernel: str,
    mode: str,
    tests: list[Played],
    changes: list[Change],
    reasons: list[str],
) -> None:
    out.line(f"{args.capture}: {log.release}")
    differences(out, tests, args.most)
    if changes:
        out.line("\nfixes that would make them agree better, one at a time:")
        for change in changes[:6]:
            out.line(f"  {change.differs:6} differ  {change.change}")
    out.line()
    unentitled = [test.ran.id for test in tests if test.ran.unentitled]
    if unentitled:
        out.line(
            f"{len(unentitled)} traces in which a program has not got what it is entitled to: "
            + ", ".join(itertools.islice(unentitled, 6))
        )
    for reason in reasons:
        out.line(out.paint(f"too little evidence: {reason}", "red"))
    (compared, reads), skipped = sums(tests), sum(bool(ran.skipped) for ran in log.tests)
    differ = sum(len(test.held.differs) for test in tests)
    out.line(
        out.paint(
            f"{kernel} {mode}: {compared} answers of {len(tests)} traces compared ({reads} reads), "
            f"{differ} differ; {skipped} traces were skipped",
            "red" if differ or reasons else "green",
        )
    )


def sums(tests: list[Played]) -> tuple[int, int]:
    """Answers compared, and how many of them are reads."""
    return sum(test.held.compared for test in tests), sum(test.held.reads for test in tests)


def differences(out: Terminal, tests: list[Played], most: int) -> None:
    """Each trace in which machine and model say different things, and where."""
    odd = [test for test in tests if test.held.differs]
    for test in odd[:most]:
        out.line()
        out.line(out.paint(test.ran.id, "bold"))
        for one in test.held.differs[:4]:
            out.line(f"  {test.trace.source[one.line - 1]}")
            out.line(f"    machine  {one.what}: " + out.paint(one.machine, "green"))
            out.line(f"    model    {one.what}: " + out.paint(one.model, "red"))
    if len(odd) > most:
        out.line(f"\nand {len(odd) - most} more traces (-n shows more)")


def _tree(
    path: str,
    log: Log,
    kernel: str,
    mode: str,
    tests: list[Played],
    changes: list[Change],
    reasons: list[str],
) -> dict[str, Any]:
    compared, reads = sums(tests)
    return {
        "schema": "kvm-replay/conform-log/1",
        "log": path,
        "release": log.release,
        "kernel": kernel,
        "mode": mode,
        "whole": log.whole,
        "compared": compared,
        "reads": reads,
        "too_little": reasons,
        "skipped": [{"trace": t.id, "why": t.skipped} for t in log.tests if t.skipped],
        "traces": [
            {
                "trace": test.ran.id,
                "result": test.ran.result,
                "lost": test.ran.lost,
                "unentitled": test.ran.unentitled,
                "compared": test.held.compared,
                "differs": [
                    {"event": test.trace.source[one.line - 1], **one._asdict()}
                    for one in test.held.differs
                ],
            }
            for test in tests
        ],
        "would_agree": [change._asdict() for change in changes],
    }
