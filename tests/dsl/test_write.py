"""Every event of the corpus can be written down again, and means the same."""

from __future__ import annotations

import pytest

from harness.cli.select import find_traces
from harness.dsl import read_trace
from harness.dsl.check import Checker
from harness.dsl.heading import header
from harness.dsl.nodes import Event, Expect
from harness.dsl.syntax import code_of
from harness.dsl.write import sentence, sentences
from harness.engine.replay import world
from harness.model import architecture
from harness.search.play import units


@pytest.mark.one_in(6)
@pytest.mark.parametrize("path", find_traces([]), ids=lambda path: path.stem)
def test_an_event_is_written_as_it_was_read(path: object) -> None:
    trace = read_trace(path)  # type: ignore[arg-type]
    arch = architecture(trace.arch)
    events = [s for s in trace.body if isinstance(s, Event)]
    lines = [sentence(arch, world(trace), e.actor.text, e.verb, e.args) for e in events]
    again = Checker(trace.path, trace.id).read([*header(trace), *lines])
    got = [(s.actor.text, s.verb, s.args) for s in again.body if isinstance(s, Event)]
    assert got == [(e.actor.text, e.verb, e.args) for e in events]


@pytest.mark.one_in(6)
@pytest.mark.parametrize("path", find_traces([]), ids=lambda path: path.stem)
def test_an_expectation_is_written_as_it_was_read(path: object) -> None:
    trace = read_trace(path)  # type: ignore[arg-type]
    arch = architecture(trace.arch)
    now = world(trace)
    lines = [line for u in units(trace) for line in sentences(arch, now, u.event, u.expects)]
    again = Checker(trace.path, trace.id).read([*header(trace), *lines])
    got = [(s.what, s.args) for s in again.body if isinstance(s, Expect)]
    assert got == [(s.what, s.args) for s in trace.body if isinstance(s, Expect)]


@pytest.mark.one_in(6)
@pytest.mark.parametrize("path", find_traces([]), ids=lambda path: path.stem)
def test_words_stay_as_they_were_written(path: object) -> None:
    """Names of arguments and flags, registers by name or id, numbers in either base."""
    trace = read_trace(path)  # type: ignore[arg-type]
    arch, now = architecture(trace.arch), world(trace)
    for unit in units(trace):
        source = code_of(trace.source[unit.event.line - 1])
        assert sentences(arch, now, unit.event)[0].split() == source.replace("{ ", "{").split()
