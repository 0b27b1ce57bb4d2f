"""A small trace, and ways to change one thing in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.dsl import Trace, read_trace
from harness.errors import Diagnostic, SourceError

ROOT = Path(__file__).resolve().parents[2]
TRACES = sorted((ROOT / "traces").rglob("*.trace"))

HEADER = """\
trace "a sample"
link "user-1@host.example"
machine arm64 vhe nvhe { cpus 2; sve 16..64; sme 16..32 }
verdict v6.16 holds
task A, B
vm V { vcpu v0 in A sve; vcpu v1 in B sve }
"""
BODY = """\

A     write v0 = 0x1
A     read v0
"""
SAMPLE = HEADER + BODY


def put(folder: Path, text: str | bytes, name: str = "x.trace") -> Path:
    """A file with `text` in it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(folder: Path, text: str) -> Trace:
    """The trace that `text` is."""
    return read_trace(put(folder, text))


def complaints(folder: Path, text: str | bytes) -> list[Diagnostic]:
    """What is wrong with `text`, which must not be a trace."""
    path = put(folder, text)
    with pytest.raises(SourceError) as caught:
        read_trace(path)
    return caught.value.diagnostics


def places(found: list[Diagnostic]) -> list[tuple[int, int, str]]:
    """Line, column and message of each complaint."""
    return [(d.at.line, d.at.column, d.message) for d in found]
