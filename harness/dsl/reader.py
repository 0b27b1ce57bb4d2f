"""Reading trace files, whatever is in them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from harness.dsl.check import Checker
from harness.dsl.nodes import Trace
from harness.errors import Diagnostic, HarnessError, Position, SourceError
from harness.model.base import Architecture
from harness.model.world import World
from harness.resources import display, folder

MAX_BYTES = 1 << 20
STDIN = Path("-")


class Machine(NamedTuple):
    """A machine line by itself, and who is on it."""

    arch: Architecture
    modes: tuple[str, ...]
    world: World


def read_source(path: Path, repair: bool = False) -> tuple[str, ...]:
    """The lines of a text file, `-` for standard input. Raises HarnessError for what is none.

    With `repair` the byte order mark and the carriage returns of another system's editor go.
    """
    shown = "standard input" if path == STDIN else display(path)
    try:
        with sys.stdin.buffer if path == STDIN else path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (AttributeError, ValueError):
        raise HarnessError(f"{shown}: it is closed") from None
    except FileNotFoundError:
        raise HarnessError(f"{shown}: no such file") from None
    except IsADirectoryError:
        raise HarnessError(f"{shown}: is a folder, expected a .trace file") from None
    except OSError as error:
        raise HarnessError(f"{shown}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise HarnessError(f"{shown}: larger than {MAX_BYTES >> 20} MiB, this is no trace")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        message = f"byte {data[error.start]:#04x} is no UTF-8 text; expected a trace file"
        raise SourceError([Diagnostic(Position(shown, line, column), message)]) from None
    if repair:
        text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if text.startswith("\ufeff"):
        message = "a byte order mark; expected plain UTF-8 (`kvm-replay fmt` removes it)"
        raise SourceError([Diagnostic(Position(shown, 1), message)])
    if "\r" in text:
        line = text.count("\n", 0, text.index("\r")) + 1
        message = "a carriage return; expected lines that end in a newline alone"
        if text.count("\r") == text.count("\r\n"):
            message += " (`kvm-replay fmt` repairs them)"
        raise SourceError([Diagnostic(Position(shown, line), message)])
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        message = "a NUL byte: this is a binary file, expected a trace file"
        raise SourceError([Diagnostic(Position(shown, line), message)])
    return tuple(text.split("\n")[:-1] if text.endswith("\n") else text.split("\n"))


def trace_id(path: Path) -> str:
    """A trace's name for ever: its path below the traces' folder, without suffix."""
    if path == STDIN:
        return "stdin"
    resolved = Path(os.path.realpath(path))
    for parent in resolved.parents:
        if parent.name == "traces":
            return resolved.relative_to(parent).with_suffix("").as_posix()
    return path.stem


def read_trace(path: Path, scratch: bool = False) -> Trace:
    """The trace in `path`. Raises SourceError with everything that is wrong with it.

    A `scratch` trace needs neither source nor verdict.
    """
    return parse(path, read_source(path), scratch)


def parse(path: Path, lines: tuple[str, ...], scratch: bool = False) -> Trace:
    """The same of a file's lines."""
    shown = "stdin" if path == STDIN else display(path)
    return Checker(shown, trace_id(path)).read(lines, scratch)


_chosen: list[Path] = []


def choose_root(path: Path | None) -> None:
    """Take the traces of this folder for the project's own; None: as it is found."""
    _chosen[:] = [] if path is None else [path]


def default_root() -> Path:
    """Where the project's own traces are.

    The chosen folder; else `traces` of the nearest folder above here that has `traces` and
    `expected`, as a clone has; else those that came with the package.
    """
    if _chosen:
        return _chosen[0]
    with contextlib.suppress(OSError):  # here is gone
        here = Path.cwd()
        for above in (here, *here.parents):
            if (above / "traces").is_dir() and (above / "expected").is_dir():
                return above / "traces"
    return packaged_root()


def packaged_root() -> Path:
    """Where the traces are that came with the package."""
    return folder("traces")


def read_machine(text: str, features: Iterable[str] = ()) -> Machine:
    """What a machine line says (without its first word), with a vcpu `v0` of a task.

    Raises SourceError as for a file.
    """
    vm = " ".join(["vm V { vcpu v0 in A", *features, "}"])
    lines = (f"machine {text}", "task A", vm)
    for known in (lines[:1], lines):  # what is wrong with the first says all
        checker = Checker("MACHINE", "")
        checker.take(known)
        checker.complain()
    assert checker.arch is not None
    return Machine(checker.arch, checker.modes, checker.world())
