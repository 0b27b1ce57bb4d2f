"""The command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from harness import __version__
from harness.cli import explain, fmt, listing, matrix, run, show
from harness.cli.term import Terminal
from harness.errors import HarnessError, SourceError


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, with every command in it."""
    parser = argparse.ArgumentParser(
        prog="kvm-replay",
        description="Replay traces of FP/SIMD, SVE and SME state against a model of host, KVM "
        "and CPU, on any kernel from v4.13 on.",
    )
    parser.add_argument("--version", action="version", version=f"kvm-replay {__version__}")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    parser.add_argument("-v", dest="verbose", action="count", default=0, help="-vv: tracebacks")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    run.add_parser(commands)
    show.add_parser(commands)
    explain.add_parser(commands)
    fmt.add_parser(commands)
    matrix.add_parsers(commands)
    listing.add_parsers(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    args = build_parser().parse_args(argv)
    out = Terminal(sys.stdout, args.color)
    try:
        status: int = args.command(args, out)
        sys.stdout.flush()
        return status
    except HarnessError as error:
        text = str(error) if isinstance(error, SourceError) else f"kvm-replay: {error}"
        print(text, file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("kvm-replay: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if args.verbose >= 2:
            raise
        kind = type(error).__name__
        print(f"kvm-replay: internal error: {kind}: {error} (-vv shows where)", file=sys.stderr)
        return 3
