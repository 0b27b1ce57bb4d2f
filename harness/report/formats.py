"""The results of `run` in the formats that outside tools read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from harness.golden import Result, Status

SCHEMA = "kvm-replay/run/1"
_LINES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Grouped = Sequence[tuple[str, Sequence[Result]]]
"""The results by trace id, in order."""

Broken = Sequence[tuple[str, str]]
"""The traces that could not be judged, by id, and why."""


def summary(grouped: Grouped) -> dict[str, int]:
    """How many cases of each kind, and how many traces. What is not built is skipped, too."""
    results = [r for _, results in grouped for r in results]
    return {
        "traces": len(grouped),
        "cases": len(results),
        "failed": sum(r.status.failed for r in results),
        "missing": sum(r.status is Status.MISSING for r in results),
        "skipped": sum(r.status.skipped for r in results),
        "unbuilt": sum(r.status is Status.UNBUILT for r in results),
    }


def as_json(grouped: Grouped, broken: Broken = ()) -> str:
    """One document, keys sorted; its schema has a version."""
    cases = [_case(trace, result) for trace, results in grouped for result in results]
    errors = [{"trace": trace, "message": text} for trace, text in broken]
    total = summary(grouped) | {"broken": len(broken)}
    document = {"schema": SCHEMA, "summary": total, "cases": cases, "errors": errors}
    return json.dumps(document, indent=1, sort_keys=True)


def _case(trace: str, result: Result) -> dict[str, Any]:
    case, outcome = result.judgement.case, result.judgement.outcome
    tree: dict[str, Any] = {
        "trace": trace,
        "kernel": case.kernel.name,
        "mode": case.mode,
        "said": str(case.verdict) if case.verdict else None,
        "status": result.status.value,
        "details": result.details,
    }
    if outcome is not None:
        tree["verdict"] = result.judgement.text
        tree["counts"] = outcome.counts
        tree["violations"] = [
            {"line": n, "invariant": v.kind, "who": v.who, "what": v.what, "text": v.text}
            for n, v in outcome.violations
        ]
    return tree


def as_ktap(grouped: Grouped, broken: Broken = ()) -> str:
    """KTAP version 1 (Documentation/dev-tools/ktap.rst): a test a trace, a subtest a case."""
    lines = ["KTAP version 1", f"1..{len(grouped) + len(broken)}"]
    for number, (trace, results) in enumerate(grouped, 1):
        lines += ["  KTAP version 1", f"  # Subtest: {_ktap(trace)}", f"  1..{len(results)}"]
        for n, result in enumerate(results, 1):
            details = result.details if result.status.failed else []
            lines += [f"  # {_ktap(line)}" for detail in details for line in detail.splitlines()]
            state = "not ok" if result.status.failed else "ok"
            skip = f" # SKIP {result.judgement.unsupported}"
            tail = skip if result.status.skipped else ""
            label = _ktap(result.judgement.case.label.replace(" ", "_"))
            lines.append(f"  {state} {n} {label}{tail}")
        failed = any(r.status.failed for r in results)
        lines.append(f"{'not ok' if failed else 'ok'} {number} {_ktap(trace)}")
    for number, (trace, text) in enumerate(broken, len(grouped) + 1):
        lines += [f"# {line}" for line in text.splitlines()]
        lines.append(f"not ok {number} {_ktap(trace)}")
    return "\n".join(lines)


def _ktap(text: str) -> str:
    """A test's name or a diagnostic: no directive (` # SKIP`) and no line can be forged in it."""
    return _LINES.sub("?", text).replace("#", "\\#")


def as_junit(grouped: Grouped, broken: Broken = ()) -> str:
    """JUnit XML, a suite a trace. Control characters, which XML cannot hold, are left out."""
    total = summary(grouped)
    root = ElementTree.Element(
        "testsuites",
        tests=str(total["cases"] + len(broken)),
        failures=str(total["failed"]),
        errors=str(len(broken)),
    )
    for trace, results in grouped:
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_clean(trace),
            tests=str(len(results)),
            failures=str(sum(r.status.failed for r in results)),
            skipped=str(sum(r.status.skipped for r in results)),
        )
        for result in results:
            label = result.judgement.case.label
            case = ElementTree.SubElement(suite, "testcase", classname=_clean(trace), name=label)
            text = _clean("\n".join(result.details))
            if result.status.failed:
                bad = ElementTree.SubElement(case, "failure", message=result.status.value)
                bad.text = text
            elif result.status.skipped:
                ElementTree.SubElement(case, "skipped", message=text)
    for trace, text in broken:
        suite = ElementTree.SubElement(root, "testsuite", name=_clean(trace), tests="1", errors="1")
        case = ElementTree.SubElement(suite, "testcase", classname=_clean(trace), name="read")
        ElementTree.SubElement(case, "error", message="cannot be judged").text = _clean(text)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _clean(text: str) -> str:
    return _CONTROL.sub("", text)
