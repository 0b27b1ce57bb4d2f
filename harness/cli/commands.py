"""The command line: every command, and what is said of an error."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness import __version__
from harness.cli import (
    bisect,
    bisect_run,
    conform,
    explain,
    explore,
    fmt,
    fuzz,
    identify,
    importing,
    listing,
    matrix,
    probes,
    reduce,
    reglist,
    run,
    show,
    upstream,
)
from harness.cli.archs import warn, warn_idle
from harness.cli.term import Terminal, aside
from harness.dsl.reader import choose_root
from harness.errors import HarnessError, SourceError
from harness.model.patch import load, loaded


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, with every command in it."""
    parser = argparse.ArgumentParser(
        prog="kvm-replay",
        description="Replay traces of the state that a host kernel, its hypervisor and the CPU "
        "hand to each other against a model of all three, on any kernel from v4.13 on.",
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
    bisect.add_parser(commands)
    bisect_run.add_parser(commands)
    reduce.add_parser(commands)
    explore.add_parser(commands)
    fuzz.add_parser(commands)
    listing.add_parsers(commands)
    reglist.add_parser(commands)
    importing.add_parser(commands)
    conform.add_parser(commands)
    identify.add_parser(commands)
    probes.add_parser(commands)
    upstream.add_parser(commands)
    for command in {id(c): c for c in commands.choices.values()}.values():
        command.add_argument(
            "--model",
            action="append",
            default=[],
            metavar="FILE",
            help="a change of your own as a fix: then K+ID is a kernel (docs/trying-a-patch.md)",
        )
        command.add_argument(
            "--traces",
            metavar="DIR",
            help="the folder of the project's own traces (default: that of the clone that you are "
            "in, else those of the package)",
        )
    return parser


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    _streams()
    args = build_parser().parse_args(argv)
    try:
        choose_root(_traces(args.traces))
        for path in args.model:
            warn_idle(load(Path(path)))
        warn(args)
        status: int = args.command(args, Terminal(sys.stdout, args.color))
        sys.stdout.flush()
        return status
    except HarnessError as error:
        return _fail(2, str(error) if isinstance(error, SourceError) else f"kvm-replay: {error}")
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _drop_output()
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _drop_output()
            return _fail(2, f"kvm-replay: standard output: {error.strerror}")
        if isinstance(error, FileNotFoundError) and not _is_somewhere():
            return _fail(2, "kvm-replay: the working folder is gone; change to another one")
        if args.verbose >= 2:
            traceback.print_exc()
        kind = type(error).__name__
        text = f"kvm-replay: internal error: {kind}: {error} (-vv shows where)"
        patches = ", ".join(patch.name for patch in loaded())
        return _fail(3, f"{text}; the model was changed by {patches}" if patches else text)


def _traces(text: str | None) -> Path | None:
    if text is not None and not Path(text).is_dir():
        raise HarnessError(f"--traces {text[:80]}: no such folder")
    return Path(text) if text is not None else None


def _is_somewhere() -> bool:
    """Whether the working folder exists."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _fail(status: int, message: str) -> int:
    aside(message)
    return status


def _streams() -> None:
    """Make sure that there is something to read and to write to, whatever it can show."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - kept open
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - kept open
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Let what is still buffered go nowhere, so that nothing fails at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
