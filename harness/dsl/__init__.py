"""The trace language: parsing, checking, formatting."""

from __future__ import annotations

from harness.dsl.nodes import Event, Expect, Snapshot, Trace, Verdict
from harness.dsl.reader import read_source, read_trace

__all__ = ["Event", "Expect", "Snapshot", "Trace", "Verdict", "read_source", "read_trace"]
