"""Fewer events in place of some that follow one another, anywhere in a short trace.

A search of all that is shorter takes longer the longer the trace is; this does not, and finds the
detours that are in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.dsl.nodes import Trace
from harness.engine.replay import world
from harness.model import architecture
from harness.model.base import Model, Refused, State
from harness.model.catalogue import Kernel
from harness.model.world import Event
from harness.search.explorer import happening
from harness.search.play import Way, units, way_of

MOST = 3  # events that are taken out at a time; one less is put in


def swaps(
    trace: Trace, kernel: Kernel, mode: str, way: Way, look: Callable[[], None]
) -> Iterator[list[Event]]:
    """Shorter sequences of events that go wrong in this way, the smallest change first.

    `look` is called at each that is tried, and raises when the time is up.
    """
    arch = architecture(trace.arch)
    explorable = arch.explorable
    assert explorable is not None
    now = world(trace)
    model = arch.machine(kernel, mode, now, False)
    events = [(u.event.actor.text, u.event.verb, u.event.args) for u in units(trace)]
    groups = explorable.narrow([verb for _, verb, _ in events])
    alphabet = explorable.alphabet(now, groups)
    states = [model.capture()]
    for n, event in enumerate(events[:-1], 1):
        _apply(model, event, n)
        states.append(model.capture())

    def those(state: State, many: int, step: int) -> Iterator[tuple[list[Event], State | None]]:
        """Every way to go on by so many events, and where it leads; None if it goes wrong."""
        if not many:
            yield [], state
            return
        model.restore(state)
        for number in alphabet.enabled(model):
            event = happening(alphabet.events[number], step)
            model.restore(state)
            wrong = _apply(model, event, step)
            if wrong is not None:
                if way in wrong:
                    yield [event], None
            else:
                for more, after in those(model.capture(), many - 1, step + 1):
                    yield [event, *more], after

    def after(state: State | None, rest: Sequence[Event], step: int) -> int | None:
        """How many of the rest it takes to go wrong."""
        if state is None:
            return 0
        model.restore(state)
        for n, event in enumerate(rest, 1):
            wrong = _apply(model, event, step + n)
            if wrong is not None:
                return n if way in wrong else None
        return None

    for out in range(2, MOST + 1):
        for first in range(len(events) - out + 1):
            for new, state in those(states[first], out - 1, first + 1):
                look()
                rest = events[first + out :]
                many = after(state, rest, first + out - 1)
                if many is not None:
                    yield [*events[:first], *new, *rest[:many]]


def _apply(model: Model, event: Event, step: int) -> set[Way] | None:
    """In which ways it goes wrong; that it cannot happen is none of them."""
    model.step = step
    model.violations.clear()
    if model.fatal and model.dead(event[0]):
        return set()
    try:
        model.apply(*event)
    except Refused:
        return set()
    return {way_of(violation) for violation in (*model.violations, *model.check())} or None
