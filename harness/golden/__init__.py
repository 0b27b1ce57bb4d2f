"""Golden files: what each trace shows on each kernel, reviewed by a person."""

from __future__ import annotations

from harness.golden.check import Result, Status, examine, update
from harness.golden.compare import differences
from harness.golden.store import GoldenError, dump, golden_path, load

__all__ = [
    "GoldenError",
    "Result",
    "Status",
    "differences",
    "dump",
    "examine",
    "golden_path",
    "load",
    "update",
]
