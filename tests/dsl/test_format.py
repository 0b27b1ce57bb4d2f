"""The one layout: what it looks like, and that it changes nothing but layout."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.dsl import Event, Expect, Snapshot, Trace
from harness.dsl.check import Checker
from harness.dsl.format import COMMENT_COLUMN, format_lines
from harness.dsl.nodes import Name
from tests.dsl.samples import HEADER, TRACES

SOURCES = {path.stem: tuple(path.read_text().splitlines()) for path in TRACES}


def bare(value: Any) -> Any:
    """`value` without columns and lines."""
    if isinstance(value, Name):
        return value.text
    if isinstance(value, (tuple, list)):
        return tuple(bare(v) for v in value)
    if isinstance(value, Event):
        return value.actor.text, value.verb, bare(value.operands), value.args
    if isinstance(value, Expect):
        return value.what, bare(value.operands), value.args
    return value.name if isinstance(value, Snapshot) else value


def meaning(lines: tuple[str, ...] | list[str]) -> tuple[Any, ...]:
    """Everything that the trace in `lines` says, wherever it says it."""
    trace: Trace = Checker("x", "x").read(lines)
    verdicts = tuple((v.kernel, v.mode, v.violates) for v in trace.verdicts)
    header = (trace.title, trace.about, trace.links, trace.mails, trace.commits, trace.modes)
    world = (trace.settings, trace.tasks, trace.unborn, trace.vcpus, trace.needs, trace.budget)
    return header, world, verdicts, bare(trace.body)


def comments(lines: tuple[str, ...] | list[str]) -> list[str]:
    """The comments, in order."""
    found = [re.match(r'(?:[^"#]|"[^"]*")*#(.*)', line) for line in lines]
    return [match[1].strip() for match in found if match]


def mangled(lines: tuple[str, ...], rng: random.Random) -> list[str]:
    """`lines` with all whitespace changed that does not matter."""
    out = []
    for line in lines:
        text = ""
        for part in re.findall(r'"[^"]*"|#.*|\s+|[{};,=]|[^\s"#{};,=]+', line):
            space = "".join(rng.choices(" \t", k=rng.randint(1, 4)))
            if part.isspace():
                text += space
            elif part in "{};,=":
                text += rng.choice(["", space]) + part + rng.choice(["", space])
            else:
                text += part
        out.append(rng.choice(["", " ", "\t  "]) + text + rng.choice(["", "  ", "\t"]))
    return out


cases = given(name=st.sampled_from(sorted(SOURCES)), rng=st.randoms(use_true_random=False))
quickly = settings(max_examples=40, deadline=None, database=None, derandomize=True)


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", SOURCES)
def test_own_traces_are_laid_out(name: str) -> None:
    """The traces of the project stand in the canonical layout."""
    assert format_lines(SOURCES[name]) == list(SOURCES[name])


@pytest.mark.long
@quickly
@cases
def test_layout_does_not_depend_on_whitespace(name: str, rng: random.Random) -> None:
    """However the whitespace of a trace is mangled, its layout is the same."""
    assert format_lines(mangled(SOURCES[name], rng)) == list(SOURCES[name])


@pytest.mark.long
@quickly
@cases
def test_layout_keeps_the_meaning(name: str, rng: random.Random) -> None:
    """A mangled trace says the same before and after it is laid out."""
    lines = mangled(SOURCES[name], rng)
    assert meaning(format_lines(lines)) == meaning(lines) == meaning(SOURCES[name])


@quickly
@cases
def test_layout_keeps_comments(name: str, rng: random.Random) -> None:
    """Every comment of a mangled trace is there afterwards, in order."""
    lines = mangled(SOURCES[name], rng)
    assert comments(format_lines(lines)) == comments(SOURCES[name])


@quickly
@cases
def test_layout_is_stable(name: str, rng: random.Random) -> None:
    """Laying out twice changes no more than once, blank lines or not."""
    lines = mangled(SOURCES[name], rng)
    for _ in range(3):
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(["", "  ", "#", "#x", "\t# y "]))
    once = format_lines(lines)
    assert format_lines(once) == once


LAYOUT: dict[str, str] = {
    "A read   v0": "A     read v0",
    "A read v0#c": "A     read v0                   # c",
    "A read v0 #    c  ": "A     read v0                   # c",
    "A read v0 #": "A     read v0                   #",
    "A write z0={1,2 , 3}": "A     write z0 = {1, 2, 3}",
    "cpu0 switch A->B": "cpu0  switch A -> B",
    "expect trap ec = 0x19 el= 1": "expect trap ec=0x19 el=1",
    "expect trap cause = 22  tval=0x1": "expect trap cause=22 tval=0x1",
    "expect read  isa_ext.smnpm=1": "expect read isa_ext.smnpm = 1",
    "machine x m {isa  d v;pmlen 7 .. 16}": "machine x m { isa d v; pmlen 7..16 }",
    "expect read z0 [ 1 ]=2": "expect read z0[1] = 2",
    "expect cpu0.current=A": "expect cpu0.current = A",
    'snapshot   "a  b"': 'snapshot "a  b"',
    "machine arm64 vhe {cpus 1;sve 16 .. 64}": "machine arm64 vhe { cpus 1; sve 16..64 }",
    "verdict  v6.13+fp-type   violates lost ,stale": "verdict v6.13+fp-type violates lost, stale",
    "vm V{vcpu v0 in A;vcpu v1 in B sve}": "vm V { vcpu v0 in A; vcpu v1 in B sve }",
    "   # c": "# c",
    "#c": "# c",
    'about "a # b"#c': 'about "a # b"                   # c',
}


@pytest.mark.parametrize("line", LAYOUT)
def test_line(line: str) -> None:
    """One line in its layout."""
    assert format_lines([line]) == [LAYOUT[line]]


def test_longest_actor_sets_the_width() -> None:
    """Events line up behind the longest actor of the file."""
    assert format_lines(["A read v0", "thread read v0"]) == ["A       read v0", "thread  read v0"]


def test_comment_behind_a_long_line() -> None:
    """A comment behind code that reaches its column follows after two spaces."""
    code = "A     write z0 = {" + ", ".join("0x1111" for _ in range(4)) + "}"
    assert len(code) > COMMENT_COLUMN
    assert format_lines([code + "#c"]) == [code + "  # c"]


def test_blank_lines() -> None:
    """Of several blank lines one is left, at either end of the file none."""
    lines = ["", "A exec", "", " ", "A exec", ""]
    assert format_lines(lines) == ["A     exec", "", "A     exec"]


def test_header_alone() -> None:
    """A header stands as it is written in the documentation."""
    assert format_lines(HEADER.splitlines()) == HEADER.splitlines()


def test_there_are_traces() -> None:
    """The properties above are held against the project's traces."""
    assert len(SOURCES) > 20
