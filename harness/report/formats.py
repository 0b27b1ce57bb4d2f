"""The results of `run` in the formats that outside tools read."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from xml.etree import ElementTree

from harness.golden import Result, Status

if TYPE_CHECKING:
    from harness.search.bugs import Finding
    from harness.search.culprit import Edit

SCHEMA = "kvm-replay/run/1"
_LINES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Grouped = Sequence[tuple[str, Sequence[Result]]]
"""The results by trace id, in order."""

Broken = Sequence[tuple[str, str]]
"""The traces that could not be judged, by id, and why."""

Findings: TypeAlias = "Mapping[tuple[str, str], Finding]"
"""What goes wrong, by trace id and kernel."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One case as outside tools count it. A `known` failure counts as one that is expected."""

    name: str
    state: Literal["ok", "failed", "known", "skipped", "error"]
    message: str = ""
    details: tuple[str, ...] = ()
    seconds: float = 0.0


Suites = Sequence[tuple[str, Sequence[Entry]]]
"""The tests by trace id, in order."""


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


def as_json(
    grouped: Grouped,
    broken: Broken = (),
    kernels: Sequence[str] = (),
    findings: Findings | None = None,
    counted: Mapping[str, int] | None = None,
) -> str:
    """One document, keys sorted; its schema has a version.

    It has `findings`, the kernels that they are of, and how many are `counted` as what, if
    kernels were asked about.
    """
    cases = [_case(trace, result) for trace, results in grouped for result in results]
    errors = [{"trace": trace, "message": text} for trace, text in broken]
    total = summary(grouped) | {"broken": len(broken)}
    document = {"schema": SCHEMA, "summary": total, "cases": cases, "errors": errors}
    if findings is not None:
        total |= counted or {}
        document["kernels"] = list(kernels)
        document["findings"] = [plain_finding(found) for found in findings.values()]
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


def plain_finding(found: Finding) -> dict[str, Any]:
    """A finding for JSON: what goes wrong where, and each smallest set of changes that ends it."""
    return {
        "trace": found.trace.id,
        "kernel": found.kernel.name,
        "class": found.shows,
        "violates": {mode: list(kinds) for mode, kinds in found.kinds.items()},
        "cures": {mode: [_edits(edits) for edits in sets] for mode, sets in found.cures.items()},
        "new": None if found.new is None else sorted(found.new),
    }


def _edits(edits: Iterable[Edit]) -> list[dict[str, Any]]:
    return [
        {
            "change": sign,
            "fix": fix.id,
            "commits": [{"id": c.id, "title": c.title} for c in fix.commits],
        }
        for sign, fix in edits
    ]


def entries(
    results: Iterable[Result], findings: Findings, known: Container[Finding] = ()
) -> list[Entry]:
    """The cases of one trace. A bug that the kernel has is a failure, as a wrong verdict is."""
    tests = []
    for result in results:
        judgement, details = result.judgement, tuple(result.details)
        case = judgement.case
        found = findings.get((case.trace.id, case.kernel.name))
        message = result.status.value
        state: Literal["ok", "failed", "known", "skipped"] = "ok"
        if result.status.failed:
            state = "failed"
        elif result.status.skipped:
            state, message = "skipped", judgement.unsupported
        elif found is not None and found.bug and case.mode in found.kinds:
            state = "known" if found in known else "failed"
            message = f"{', '.join(found.kinds[case.mode])}; {found.under(case.mode)}"
            lines = judgement.outcome.violations if judgement.outcome else []
            details = (*(f"line {n}: {v.kind}: {v.text}" for n, v in lines), *found.commits)
        seconds = judgement.seconds
        tests.append(Entry(case.label.replace(" ", "_"), state, message, details, seconds))
    return tests


def broken_entries(broken: Broken) -> list[tuple[str, list[Entry]]]:
    """What could not be judged, as a suite of one test each."""
    return [
        (trace, [Entry("read", "error", "cannot be judged", tuple(text.splitlines()))])
        for trace, text in broken
    ]


def as_ktap(suites: Suites) -> str:
    """KTAP version 1 (Documentation/dev-tools/ktap.rst): a test a trace, a subtest a case."""
    lines = ["KTAP version 1", f"1..{len(suites)}"]
    for number, (name, tests) in enumerate(suites, 1):
        lines += ["  KTAP version 1", f"  # Subtest: {_ktap(name)}", f"  1..{len(tests)}"]
        for n, test in enumerate(tests, 1):
            bad = test.state in ("failed", "error")
            if bad:
                first = [test.message] if test.message else []
                said = [line for text in (*first, *test.details) for line in text.splitlines()]
                lines += [f"  # {_ktap(line)}" for line in said]
            directive = {"skipped": " # SKIP ", "known": " # XFAIL "}.get(test.state)
            tail = f"{directive}{_ktap(test.message)}" if directive else ""
            lines.append(f"  {'not ok' if bad else 'ok'} {n} {_ktap(test.name)}{tail}")
        failed = any(test.state in ("failed", "error") for test in tests)
        lines.append(f"{'not ok' if failed else 'ok'} {number} {_ktap(name)}")
    return "\n".join(lines)


def _ktap(text: str) -> str:
    """A test's name or a diagnostic: no directive (` # SKIP`) and no line can be forged in it."""
    return _LINES.sub("?", text).replace("#", "\\#")


def as_junit(suites: Suites) -> str:
    """JUnit XML as Jenkins' junit-10.xsd has it, a suite a trace.

    Control characters, which XML cannot hold, are left out.
    """
    root = ElementTree.Element("testsuites", _counts([t for _, tests in suites for t in tests]))
    for name, tests in suites:
        counts = _counts(tests)
        counts["skipped"] = str(sum(t.state in ("skipped", "known") for t in tests))
        suite = ElementTree.SubElement(root, "testsuite", {"name": _clean(name), **counts})
        for test in tests:
            where = {"classname": _clean(name), "name": _clean(test.name)}
            case = ElementTree.SubElement(suite, "testcase", where, time=f"{test.seconds:.3f}")
            tag = {"failed": "failure", "error": "error"}.get(test.state, "skipped")
            if test.state != "ok":
                said = ElementTree.SubElement(case, tag, message=_clean(test.message))
                said.text = _clean("\n".join(test.details)) or None
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _counts(tests: Sequence[Entry]) -> dict[str, str]:
    return {
        "tests": str(len(tests)),
        "failures": str(sum(test.state == "failed" for test in tests)),
        "errors": str(sum(test.state == "error" for test in tests)),
        "time": f"{sum(test.seconds for test in tests):.3f}",
    }


def _clean(text: str) -> str:
    return _CONTROL.sub("", text)
