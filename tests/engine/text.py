"""Traces made of text, for tests."""

from __future__ import annotations

from harness.dsl import Trace
from harness.dsl.check import Checker

HEAD = """\
trace "a test"
link "test@example.invalid"
machine arm64 vhe nvhe {{ cpus 2; sve 16..64; sme 16..64 }}
{extra}
task A, B, C
vm V {{ vcpu v0 in A }}
vm W {{ vcpu v1 in B sve }}
"""


def trace(body: str, extra: str = "verdict v7.2 holds") -> Trace:
    """A trace with the usual header, an `extra` header line or more, and this body."""
    text = HEAD.format(extra=extra) + body
    return Checker("test.trace", "test").read(text.splitlines())


def line_of(t: Trace, start: str) -> int:
    """The number of the first line that begins with `start`."""
    return next(n for n, line in enumerate(t.source, 1) if line.startswith(start))
