"""Results for outside tools: JSON, KTAP, JUnit XML."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from harness.dsl import read_trace
from harness.engine import judge_all
from harness.golden import Result, examine
from harness.model.base import Tree
from harness.report.formats import (
    Suites,
    as_json,
    as_junit,
    as_ktap,
    broken_entries,
    entries,
    summary,
)
from tests.dsl.samples import SAMPLE, TRACES, put

Grouped = list[tuple[str, list[Result]]]
SKIP = "KVM has no SVE guests (until kvm-sve-guest)"


@pytest.fixture
def grouped(tmp_path: Path) -> Grouped:
    """A case of each kind: as expected, wrong verdict, differs, no golden file, not judged."""
    ok = SAMPLE.replace("vhe nvhe", "vhe")
    results: Grouped = []
    rows: list[tuple[str, str, dict[str, Tree] | None, tuple[str, ...]]] = [
        ("ok", ok, {"v6.16 vhe": {}}, ()),
        ("verdict", ok + "expect read v0 = 2\n", {}, ()),
        ("differs", ok, {"v6.16 vhe": {"counts": {"saves": 7}}}, ()),
        ("missing", ok, None, ()),
        ("skipped", ok, {"v6.16 vhe": {}}, ("v4.15", "v6.16")),
    ]
    for name, text, golden, kernels in rows:
        trace = read_trace(put(tmp_path, text, f"{name}.trace"))
        results.append((name, examine(judge_all(trace, kernels), golden)))
    return results


def suites(grouped: Grouped) -> Suites:
    return [(name, entries(results, {}, ())) for name, results in grouped]


def test_summary(grouped: Grouped) -> None:
    """The summary counts traces, cases, and those that failed or were not judged."""
    assert summary(grouped) == {
        "traces": 5,
        "cases": 6,
        "failed": 3,
        "skipped": 1,
        "unbuilt": 0,
        "missing": 1,
    }


# JSON -----------------------------------------------------------------------------


def test_json_is_sorted(grouped: Grouped) -> None:
    """The document parses, and its keys are sorted at every depth."""
    text = as_json(grouped)
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True)


def test_json_has_a_schema(grouped: Grouped) -> None:
    """The document names its schema and its version, and has the summary."""
    tree = json.loads(as_json(grouped))
    assert (tree["schema"], tree["summary"]) == (
        "kvm-replay/run/1",
        summary(grouped) | {"broken": 0},
    )
    assert set(tree) == {"schema", "summary", "cases", "errors"}


@pytest.mark.parametrize(
    ("n", "wanted"),
    [
        (
            0,
            {
                "trace": "ok",
                "kernel": "v6.16",
                "mode": "vhe",
                "said": "holds",
                "verdict": "holds",
                "status": "ok",
                "details": [],
                "violations": [],
            },
        ),
        (
            1,
            {
                "status": "wrong verdict",
                "said": "holds",
                "verdict": "violates expect",
                "violations": [
                    {
                        "invariant": "expect",
                        "line": 10,
                        "text": "`expect read v0 = 2`: it read 0x1",
                        "what": "expect read v0 = 2",
                        "who": "A",
                    }
                ],
            },
        ),
        (2, {"status": "differs", "details": ["counts: expected {saves: 7}, got nothing"]}),
        (3, {"status": "no golden file"}),
        (4, {"status": "not judged", "kernel": "v4.15", "said": None, "details": [SKIP]}),
    ],
    ids=["ok", "verdict", "differs", "missing", "skipped"],
)
def test_json_case(grouped: Grouped, n: int, wanted: dict[str, Any]) -> None:
    """A case has what was said of it, what came of it, and why that is not as expected."""
    case = json.loads(as_json(grouped))["cases"][n]
    assert {key: case[key] for key in wanted} == wanted


def test_json_of_a_case_that_was_not_judged(grouped: Grouped) -> None:
    """A case without an outcome claims none."""
    case = json.loads(as_json(grouped))["cases"][4]
    assert not {"verdict", "violations", "counts"} & set(case)


def test_json_of_nothing() -> None:
    """A run without traces is a document all the same."""
    assert json.loads(as_json([]))["cases"] == []


# KTAP -----------------------------------------------------------------------------


def parse_ktap(lines: list[str], indent: str = "") -> list[tuple[bool, str, str, Any]]:
    """(ok, name, directive, subtests) of each test, by the rules of ktap.rst."""
    assert lines.pop(0) == indent + "KTAP version 1"
    if lines[0].startswith(indent + "# Subtest: "):
        lines.pop(0)
    plan = re.fullmatch(r"1\.\.(\d+)", lines.pop(0).removeprefix(indent))
    assert plan
    tests: list[tuple[bool, str, str, Any]] = []
    while len(tests) < int(plan[1]):
        below = None
        while lines[0].startswith(indent + "# "):
            lines.pop(0)
        if lines[0] == indent + "  KTAP version 1":
            below = parse_ktap(lines, indent + "  ")
        match = re.fullmatch(
            r"(not )?ok (\d+) ([^#]*?)(?: # (.*))?", lines.pop(0).removeprefix(indent)
        )
        assert match
        assert int(match[2]) == len(tests) + 1
        tests.append((match[1] is None, match[3], match[4] or "", below))
    return tests


def test_ktap_of_each_kind(grouped: Grouped) -> None:
    """Each trace is a test, each case a subtest, and a test is as bad as its subtests."""
    lines = as_ktap(suites(grouped)).splitlines()
    tests = parse_ktap(lines)
    assert lines == []
    assert tests == [
        (True, "ok", "", [(True, "v6.16_vhe", "", None)]),
        (False, "verdict", "", [(False, "v6.16_vhe", "", None)]),
        (False, "differs", "", [(False, "v6.16_vhe", "", None)]),
        (False, "missing", "", [(False, "v6.16_vhe", "", None)]),
        (
            True,
            "skipped",
            "",
            [(True, "v4.15_vhe", f"SKIP {SKIP}", None), (True, "v6.16_vhe", "", None)],
        ),
    ]


def test_ktap_says_why(grouped: Grouped) -> None:
    """The details of a failure stand as diagnostics before its result."""
    lines = as_ktap(suites(grouped)).splitlines()
    at = lines.index("not ok 3 differs")
    assert lines[at - 2 : at] == [
        "  # counts: expected {saves: 7}, got nothing",
        "  not ok 1 v6.16_vhe",
    ]


@pytest.mark.long
def test_ktap_names_are_unique() -> None:
    """No two tests, and no two subtests of a test, of the project share a name."""
    traces = [read_trace(path) for path in TRACES]
    lines = as_ktap(suites([(t.id, examine(judge_all(t), None)) for t in traces])).splitlines()
    tests = parse_ktap(lines)
    assert [name for _, name, _, _ in tests] == [t.id for t in traces]
    for _, _, _, below in tests:
        names = [name for _, name, _, _ in below]
        assert len(set(names)) == len(names)
        assert not any(" " in name for name in names)


def test_ktap_names_do_not_depend_on_the_result(grouped: Grouped) -> None:
    """A name is the trace's id, and kernel and mode: nothing that comes and goes."""
    names = {
        name
        for _, _, _, below in parse_ktap(as_ktap(suites(grouped[:4])).splitlines())
        for _, name, _, _ in below
    }
    assert names == {"v6.16_vhe"}


def test_ktap_of_nothing() -> None:
    """A run without traces is an empty plan."""
    assert as_ktap([]) == "KTAP version 1\n1..0"


# JUnit ----------------------------------------------------------------------------


def test_junit(grouped: Grouped) -> None:
    """Each trace is a suite, each case a test case, with the counts that tools add up."""
    root = ElementTree.fromstring(as_junit(suites(grouped)))
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "6", "3")
    assert root.get("errors") == "0"
    assert [(s.get("name"), s.get("tests"), s.get("failures"), s.get("skipped")) for s in root] == [
        ("ok", "1", "0", "0"),
        ("verdict", "1", "1", "0"),
        ("differs", "1", "1", "0"),
        ("missing", "1", "1", "0"),
        ("skipped", "2", "0", "1"),
    ]


ALLOWED = {  # attributes and children by Jenkins' junit-10.xsd, those required first
    "testsuites": ({}, {"name", "time", "tests", "failures", "disabled", "errors"}, {"testsuite"}),
    "testsuite": (
        {"tests"},
        {"name", "failures", "errors", "time", "skipped"},
        {"testcase", "properties", "system-out", "system-err"},
    ),
    "testcase": ({"name"}, {"classname", "time"}, {"skipped", "error", "failure"}),
    "skipped": ({}, {"type", "message"}, set[str]()),
    "failure": ({}, {"type", "message"}, set[str]()),
    "error": ({}, {"type", "message"}, set[str]()),
}


def test_junit_is_as_jenkins_reads_it(grouped: Grouped) -> None:
    """Nothing but what junit-10.xsd knows, and what it requires; times are seconds."""
    text = as_junit([*suites(grouped), *broken_entries([("broken", "x:1:1: wrong")])])
    root = ElementTree.fromstring(text)
    for element in root.iter():
        required, optional, children = ALLOWED[element.tag]
        assert set(required) <= set(element.attrib) <= set(required) | optional
        assert {child.tag for child in element} <= children
        assert re.fullmatch(r"[0-9]+\.[0-9]{3}", element.get("time", "0.000"))
    assert (root.get("tests"), root.get("errors")) == ("7", "1")


def test_junit_failure(grouped: Grouped) -> None:
    """A failure has its kind as message and its details as text."""
    failure = ElementTree.fromstring(as_junit(suites(grouped))).find(
        "testsuite[@name='differs']//failure"
    )
    assert failure is not None
    assert failure.get("message") == "differs"
    assert failure.text == "counts: expected {saves: 7}, got nothing"


def test_junit_skipped(grouped: Grouped) -> None:
    """A case that was not judged is skipped, and says why."""
    skipped = ElementTree.fromstring(as_junit(suites(grouped))).find(".//skipped")
    assert skipped is not None
    assert skipped.get("message") == SKIP


def test_junit_declares_its_encoding(grouped: Grouped) -> None:
    """The document is UTF-8, and says so."""
    assert as_junit(suites(grouped)).lower().startswith("<?xml version='1.0' encoding='utf-8'?>")


@pytest.mark.parametrize("code", [*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF, 0xD800])
def test_junit_without_control_characters(grouped: Grouped, code: int) -> None:
    """Characters that XML cannot hold are left out wherever they come from."""
    name, results = grouped[2]
    results[0].found = [f"a{chr(code)}b <&> \U0001f600"]
    root = ElementTree.fromstring(as_junit(suites([(f"{name}{chr(code)}", results)])))
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.text == "ab <&> \U0001f600"
    assert root[0].get("name") == name


@pytest.mark.parametrize("name", ["x # SKIP y", "x\nok 2 forged", "x\rok 2 forged"])
def test_ktap_cannot_be_forged_by_a_name(name: str) -> None:
    text = as_ktap(broken_entries([(name, f"{name}: wrong")]))
    (result,) = [line for line in text.splitlines() if re.match("(not )?ok ", line)]
    assert result.startswith("not ok 1 x")
    assert " # SKIP" not in result
