"""Reading trace files, whatever is in them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from harness.dsl.check import Checker
from harness.dsl.nodes import Trace
from harness.errors import Diagnostic, HarnessError, Position, SourceError
from harness.model.base import Architecture, World
from harness.resources import display, folder

MAX_BYTES = 1 << 20


class Machine(NamedTuple):
    """A machine line by itself, and who is on it."""

    arch: Architecture
    modes: tuple[str, ...]
    world: World


def read_source(path: Path) -> tuple[str, ...]:
    """The lines of a text file. Raises HarnessError for what is no such file."""
    shown = display(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
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
    if text.startswith("\ufeff"):
        message = "a byte order mark; expected plain UTF-8"
        raise SourceError([Diagnostic(Position(shown, 1), message)])
    if "\r" in text:
        line = text.count("\n", 0, text.index("\r")) + 1
        message = "a carriage return; expected lines that end in a newline alone"
        raise SourceError([Diagnostic(Position(shown, line), message)])
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        message = "a NUL byte: this is a binary file, expected a trace file"
        raise SourceError([Diagnostic(Position(shown, line), message)])
    return tuple(text.split("\n")[:-1] if text.endswith("\n") else text.split("\n"))


def trace_id(path: Path) -> str:
    """A trace's name for ever: its path below the traces' folder, without suffix."""
    resolved = Path(os.path.realpath(path))
    for parent in resolved.parents:
        if parent.name == "traces":
            return resolved.relative_to(parent).with_suffix("").as_posix()
    return path.stem


def read_trace(path: Path) -> Trace:
    """The trace in `path`. Raises SourceError with everything that is wrong with it."""
    return Checker(display(path), trace_id(path)).read(read_source(path))


def default_root() -> Path:
    """Where the traces that come with the project are."""
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
