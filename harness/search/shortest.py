"""A reduced trace may still be a detour: is there a shorter one that is no part of it?

What is left of a long trace is the least of its events that goes wrong, and the least need not
be the shortest. It is short enough now for a search of all that its tasks, vcpus and CPUs can do
in fewer steps, by the events that there were in the long one.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from harness.dsl.nodes import Trace
from harness.dsl.write import sentence
from harness.engine.replay import world
from harness.model import architecture
from harness.search.explore import MOST_ORDERS, Bounds, Search, orders
from harness.search.play import LAST, units
from harness.search.reduce import Reducer


class _Late(Exception):
    """The time is up."""


def shorten(reducer: Reducer, seconds: float) -> int:
    """Make the best trace of a reducer a shortest one, if there is time.

    How many events are too few is returned: with as many or fewer, what a search can try does not
    go wrong in this way. Can be interrupted.
    """
    trace, way = reducer.trace, reducer.way
    arch = architecture(trace.arch)
    # As few take part as it is, on all of the machine that there was, and each is where it can run.
    features = tuple(dict.fromkeys(f for *_, every in reducer.origin.vcpus for f in every))
    whole: dict[str, Any] = {
        "settings": reducer.origin.settings
        | {name: span for name, span in trace.settings.items() if name == "cpus"},
        "words": reducer.origin.words,
        "tasks": _placed(trace),
        "vcpus": tuple((name, thread, features) for name, thread, _ in trace.vcpus),
    }
    now = world(dataclasses.replace(trace, **whole))
    length = len(units(trace))
    if way is None or way.kind in LAST or arch.explorable is None or length < 2:
        return 0
    bounds = Bounds(
        trace.arch,
        reducer.kernel,
        reducer.mode,
        now,
        tuple(arch.explorable.groups),
        length - 1,
        symmetry=orders(now) <= MOST_ORDERS,
        way=way,
        verbs=reducer.verbs,
    )
    search = Search(bounds)
    end = time.monotonic() + seconds

    def look(search: Search) -> None:
        reducer.progress(f"search {search.tally.depth + 1} deep", length)
        if time.monotonic() > end:
            raise _Late

    search.after_batch.append(look)
    try:
        search.run()
    except _Late:
        return search.tally.depth
    for found in search.found():
        if reducer.offer([sentence(arch, now, *event) for event in found.events], **whole):
            reducer.run()
            break
    return search.tally.depth - bool(search.tally.found)


def _placed(trace: Trace) -> tuple[tuple[str, int], ...]:
    """The tasks, with one on each CPU as far as they go: to come there takes events."""
    cpus = trace.settings.get("cpus", (1, 1))[1]
    taken = {cpu for _, cpu in trace.tasks}
    free = (cpu for cpu in range(cpus) if cpu not in taken)
    return tuple((name, next(free, -1) if cpu < 0 else cpu) for name, cpu in trace.tasks)
