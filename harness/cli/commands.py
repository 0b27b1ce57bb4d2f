"""The command line: every command, and what is said of an error."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness import __version__
from harness.cli.archs import warn, warn_idle
from harness.cli.term import Terminal, aside
from harness.dsl.reader import choose_root
from harness.errors import HarnessError, SourceError
from harness.model.patch import load, loaded

# Each command by the module that has it, in the order of the help.
_NAMES = (
    "run show explain fmt matrix audit bisect bisect-run reduce explore fuzz kernels fixes reglist "
    "drive rig import conform identify probes upstream"
)
MODULES = {name: name for name in _NAMES.split()} | {
    "audit": "matrix",
    "bisect-run": "bisect_run",
    "kernels": "listing",
    "fixes": "listing",
    "import": "importing",
}


def command_of(argv: Sequence[str]) -> str:
    """The command that is called, as far as one sees; '' if it is none."""
    words = iter(argv)
    for word in words:
        if word == "--color":
            next(words, "")
        elif not word.startswith("-"):
            return word if word in MODULES else ""
    return ""


def build_parser(command: str = "") -> argparse.ArgumentParser:
    """The parser of the command line, with this command alone or (none) with every one.

    A command imports what it needs, and who calls one need not wait for the others.
    """
    parser = argparse.ArgumentParser(
        prog="kvm-replay",
        description="Replay traces of the state that a host kernel, its hypervisor and the CPU "
        "hand to each other against a model of all three, on any kernel from v4.13 on.",
    )
    parser.add_argument("--version", action="version", version=f"kvm-replay {__version__}")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    parser.add_argument("-v", dest="verbose", action="count", default=0, help="-vv: tracebacks")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = [MODULES[command]] if command else dict.fromkeys(MODULES.values())
    for name in wanted:
        module = importlib.import_module(f"harness.cli.{name}")
        module.add_parser(commands)
    for each in {id(c): c for c in commands.choices.values()}.values():
        each.add_argument(
            "--model",
            action="append",
            default=[],
            metavar="FILE",
            help="a change of your own as a fix: then K+ID is a kernel (docs/trying-a-patch.md)",
        )
        each.add_argument(
            "--traces",
            metavar="DIR",
            help="the folder of the project's own traces (default: that of the clone that you are "
            "in, else those of the package)",
        )
    return parser


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    _streams()
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser(command_of(argv)).parse_args(argv)
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
