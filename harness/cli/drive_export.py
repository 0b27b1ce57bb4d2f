"""`kvm-replay drive --export`: traces as files of a test suite."""

from __future__ import annotations

import re
from pathlib import Path

from harness import files
from harness.drive import known
from harness.drive.script import Skipped
from harness.drive.undriven import Undriven
from harness.dsl import read_trace
from harness.errors import HarnessError
from harness.model.catalogue import Kernel

FORMATS = ("kselftest",)


def export(paths: list[Path], kernel: Kernel, mode: str, folder: Path) -> list[str | Skipped]:
    """Write a file for each trace; the name of each trace, or why it has no file."""
    if folder.exists() and not folder.is_dir():
        raise HarnessError(f"-o {folder}: is not a folder")
    found: list[str | Skipped] = []
    taken: dict[str, str] = {}
    for path in paths:
        one = exported(path, kernel, mode)
        if isinstance(one, Skipped):
            found.append(one)
            continue
        trace, name, text = one
        if name in taken:
            raise HarnessError(f"{taken[name]} and {trace}: both would be {name}.c")
        taken[name] = trace
        files.write(folder / f"{name}.c", text, parents=True)
        found.append(trace)
    return found


def exported(path: Path, kernel: Kernel, mode: str) -> tuple[str, str, str] | Skipped:
    """The id of a trace, the name of its file, and the text."""
    from harness.drive.arm64.kselftest import export as as_kselftest

    trace = read_trace(path, scratch=True)
    if trace.arch not in known():
        return Skipped(trace.id, f"traces of {trace.arch} are not driven yet")
    name = re.sub(r"[^A-Za-z0-9._-]", "-", trace.id.rpartition("/")[2]).lstrip(".-") or "trace"
    try:
        return trace.id, name, as_kselftest(trace, kernel, mode, name)
    except Undriven as why:
        return Skipped(trace.id, str(why))
