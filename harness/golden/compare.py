"""How an outcome differs from its golden file, in the field's words."""

from __future__ import annotations

import re
from typing import Any

from harness.model.base import Tree

_STEP = re.compile(r"\['([^']*)'\]|\[\"([^\"]*)\"\]|\[(\d+)\]")


def differences(expected: Tree, got: Tree) -> list[str]:
    """One line for each difference; empty if there is none.

    Equal outcomes are told apart by `==` alone. deepdiff is imported only to
    explain.
    """
    if expected == got:
        return []
    from deepdiff import DeepDiff

    diff = DeepDiff(expected, got, ignore_order=False, verbose_level=2)
    lines = []
    for kind, found in diff.items():
        for path, change in _changes(kind, found):
            lines.append((_words(path), change))
    return [f"{path}: {change}" for path, change in sorted(lines)]


def _changes(kind: str, found: Any) -> list[tuple[str, str]]:
    if kind == "type_changes":
        return [
            (path, f"expected {c['old_value']!r}, got {c['new_value']!r}")
            for path, c in found.items()
        ]
    if kind == "values_changed":
        return [
            (path, f"expected {_value(c['old_value'])}, got {_value(c['new_value'])}")
            for path, c in found.items()
        ]
    items = found.items() if hasattr(found, "items") else ((path, "") for path in found)
    if kind.endswith("_added"):
        return [(path, f"not expected, got {_value(value)}") for path, value in items]
    if kind.endswith("_removed"):
        return [(path, f"expected {_value(value)}, got nothing") for path, value in items]
    return [(kind, str(found))]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_value(v)}" for k, v in value.items()) + "}"
    return str(value)


def _words(path: str) -> str:
    """`root['snapshots']['A is back']['A']['fp_type']` -> `A.fp_type at "A is back"`."""
    steps = [a or b or c for a, b, c in _STEP.findall(path)]
    if len(steps) > 2 and steps[0] == "snapshots":
        return f"{'.'.join(steps[2:])} at {steps[1]!r}"
    if len(steps) == 2 and steps[0] == "violations":
        return f"violation {int(steps[1]) + 1}"
    return ".".join(steps) or "outcome"
