"""Whether a log in KTAP is whole, and how its tests have ended."""

from __future__ import annotations

import re
from typing import NamedTuple

_LINE = re.compile(
    r"(?P<indent> *)(?:1\.\.(?P<plan>\d{1,9})|(?P<not>not )?ok \d+\b(?P<rest>.*))(?: .*)?"
)
_SKIP = re.compile(r"# *SKIP\b", re.IGNORECASE)


class Log(NamedTuple):
    """The tests of the outermost level, and what the log lacks (None: it is whole)."""

    passed: int
    failed: int
    skipped: int
    lacks: str | None


def read(text: str) -> Log:
    """Judge a log: it begins with a version, has all the planned results, and ends with totals."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    plans: dict[int, list[int]] = {}  # by indentation: planned, met
    lacks = None
    if not lines or lines[0] not in ("KTAP version 1", "TAP version 13"):
        lacks = "it does not begin with `KTAP version 1`"
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            if line.startswith("Bail out!"):
                lacks = lacks or line
            continue
        depth = len(found["indent"])
        if found["plan"] is not None:
            plans[depth] = [int(found["plan"]), 0]
            continue
        for deeper in [d for d in plans if d > depth]:
            lacks = lacks or _short(plans.pop(deeper), f" before `{line.strip()[:60]}`")
        plans.setdefault(depth, [-1, 0])[1] += 1
        if depth == 0:
            skipped = _SKIP.search(found["rest"] or "")
            counts["skipped" if skipped else "failed" if found["not"] else "passed"] += 1
    if 0 not in plans or plans[0][0] < 0:
        lacks = lacks or "it has no plan (`1..N`)"
    for plan in plans.values():
        lacks = lacks or _short(plan, "")
    if not lacks and not lines[-1].startswith("# Totals:"):
        lacks = "it does not end with `# Totals:`"
    return Log(**counts, lacks=lacks)


def _short(plan: list[int], where: str) -> str | None:
    planned, met = plan
    return None if planned in (met, -1) else f"it has {met} of {planned} results{where}"
