"""How a difference is put into words."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from harness.golden import differences

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    # id: (expected, got, lines)
    "equal": ({"counts": {"saves": 1}}, {"counts": {"saves": 1}}, []),
    "value": (
        {"counts": {"saves": 1}},
        {"counts": {"saves": 2}},
        ["counts.saves: expected 1, got 2"],
    ),
    "missing": (
        {"counts": {"saves": 1, "loads": 3}},
        {"counts": {"saves": 1}},
        ["counts.loads: expected 3, got nothing"],
    ),
    "added": (
        {"counts": {"saves": 1}},
        {"counts": {"saves": 1, "loads": 3}},
        ["counts.loads: not expected, got 3"],
    ),
    "snapshot": (
        {"snapshots": {"A is back": {"A": {"fp_type": "FP_STATE_SVE"}}}},
        {"snapshots": {"A is back": {"A": {"fp_type": "FP_STATE_FPSIMD"}}}},
        ["A.fp_type at 'A is back': expected FP_STATE_SVE, got FP_STATE_FPSIMD"],
    ),
    "snapshot with an apostrophe": (
        {"snapshots": {"B's vcpu": {"A": {"flags": "TIF_SVE"}}}},
        {"snapshots": {"B's vcpu": {"A": {"flags": "-"}}}},
        ['A.flags at "B\'s vcpu": expected TIF_SVE, got -'],
    ),
    "mapping": (
        {"snapshots": {"s": {"A": {"regs": {"v0": "0x1", "v1": "0x2"}}}}},
        {"snapshots": {"s": {"A": {}}}},
        ["A.regs at 's': expected {v0: 0x1, v1: 0x2}, got nothing"],
    ),
    "violation": (
        {"violations": ["line 1: lost: a", "line 2: lost: b"]},
        {"violations": ["line 1: lost: a", "line 3: lost: b"]},
        ["violation 2: expected line 2: lost: b, got line 3: lost: b"],
    ),
    "more violations": (
        {"violations": ["line 1: lost: a"]},
        {"violations": ["line 1: lost: a", "line 2: lost: b"]},
        ["violation 2: not expected, got line 2: lost: b"],
    ),
    "sorted": (
        {"counts": {"saves": 1, "loads": 1}},
        {"counts": {"saves": 2, "loads": 2}},
        ["counts.loads: expected 1, got 2", "counts.saves: expected 1, got 2"],
    ),
    "everything": ({"counts": {"saves": 1}}, {}, ["counts: expected {saves: 1}, got nothing"]),
    "text for a number": (
        {"counts": {"saves": "1"}},
        {"counts": {"saves": 1}},
        ["counts.saves: expected '1', got 1"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_differences(case: str) -> None:
    """Each difference is one line: the path of fields, what was expected, what was got."""
    expected, got, lines = CASES[case]
    assert differences(expected, got) == lines


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_deepdiff_is_not_imported_for_equal_outcomes() -> None:
    """A run in which everything is as expected never pays for deepdiff."""
    code = (
        "import sys; from harness.cli.main import main;"
        "status = main(['run', '-q', 'eight-steps']); print(status, 'deepdiff' in sys.modules)"
    )
    assert _run(code).splitlines()[-1] == "0 False"


def test_deepdiff_is_imported_to_explain() -> None:
    """The test above would see an import if there were one."""
    code = (
        "import sys; from harness.golden import differences; differences({'a': 1}, {'a': 2});"
        "print('deepdiff' in sys.modules)"
    )
    assert _run(code) == "True"
