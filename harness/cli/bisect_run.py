"""`kvm-replay bisect-run`: one verdict as an exit status, for `git bisect run`.

0 good, 1 bad, 125 cannot be judged, 254 stop: what other commands exit with would be
taken for bad.
"""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from harness.cli.select import find_traces
from harness.cli.term import Terminal, aside
from harness.dsl import read_trace
from harness.engine import cases, judge
from harness.errors import HarnessError, SourceError
from harness.model import architecture
from harness.model.catalogue import KernelError

GOOD, BAD, SKIP, ABORT = 0, 1, 125, 254


class _Parser(argparse.ArgumentParser):
    """A mistake on the command line must not be taken for a bad commit."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ABORT, f"{self.prog}: {message}\n")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "bisect-run",
        help="a verdict as an exit status, for `git bisect run`",
        description="Judge a trace on one kernel. Exit status 0 if the model says what is "
        "expected, 1 if it says something else, 125 if it cannot judge, 254 if something is wrong "
        "with the question: as `git bisect run` takes them.",
    )
    parser.__class__ = _Parser
    parser.add_argument("trace", metavar="TRACE", help="a file, or a name")
    parser.add_argument("--kernel", required=True, metavar="K", help="the kernel to judge on")
    parser.add_argument("--mode", metavar="M", help="default: each mode of the trace")
    parser.add_argument(
        "--expect",
        metavar="VERDICT",
        help="such as 'holds' or 'violates lost' (default: what the trace says of K, else holds)",
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    try:
        paths = find_traces([args.trace])
        if len(paths) != 1:
            raise HarnessError(f"{args.trace}: {len(paths)} traces, expected one")
        trace = read_trace(paths[0], scratch=True)
        architecture(trace.arch).catalogue.kernel(args.kernel)
        if args.mode not in (None, *trace.modes):
            raise HarnessError(f"--mode {args.mode}: the trace is for {' '.join(trace.modes)}")
        found = [c for c in cases(trace, (args.kernel,)) if args.mode in (None, c.mode)]
        judged = [(case, judge(case)) for case in found]
    except (SourceError, KernelError) as error:  # this commit does not know what is asked
        aside(str(error))
        return SKIP
    except HarnessError as error:
        aside(f"kvm-replay: {error}")
        return ABORT
    status = SKIP
    for case, judgement in judged:
        if judgement.outcome is None:
            aside(f"{case.label}: {judgement.text}")
            continue
        expected = args.expect or (str(case.verdict) if case.verdict else "holds")
        out.line(f"{case.label}: {judgement.text}")
        if judgement.text != expected:
            return BAD
        status = GOOD
    return status
