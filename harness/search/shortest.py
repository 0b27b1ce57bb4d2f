"""A reduced trace may still be a detour: is there a shorter one that is no part of it?

What is left of a long trace is the least of its events that goes wrong, and the least need not
be the shortest. Where the detour is in one place, fewer events are tried there (`swap`). Then the
trace is short enough for a search of all that its tasks, vcpus and CPUs can do in fewer steps:
first by events like those that are left, which goes deepest, then by the verbs of the trace as it
was, then by whatever there is, and at last with all who were there. What was not in the trace could
be another bug that goes wrong in the same way, so it has to be ended by the same fixes (`bug`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from harness.dsl.nodes import Trace
from harness.engine.replay import world
from harness.model import architecture
from harness.model.world import Event, World
from harness.search.bounds import MOST_ORDERS, Bounds, Found, orders
from harness.search.explore import Search
from harness.search.play import units
from harness.search.reduce import Reducer, units_of
from harness.search.swap import swaps

BATCH = 512  # states between two looks at the clock


Wanted = Callable[[Event, Collection[str]], bool]


class _Late(Exception):
    """The time is up."""


class Tried(NamedTuple):
    """What a search for something shorter has tried in vain.

    With `deep` events or fewer, events of the verbs that the trace had do not go wrong in this
    way. If `all`, nothing shorter does, by any event of `groups`, with the tasks, vcpus and CPUs
    that the trace had.
    """

    deep: int = 0
    all: bool = False
    groups: tuple[str, ...] = ()


def shorten(reducer: Reducer, seconds: float) -> Tried:
    """Make the best trace of a reducer a shortest one, if there is time: seconds of this process.

    On a busy machine the result is the same. Can be interrupted.
    """
    arch = architecture(reducer.trace.arch)
    way = reducer.way
    if way is None or way.kind == "expect" or arch.explorable is None:
        return Tried()
    if way.kind == "cost" and reducer.trace.budget[way.what]:
        return Tried()  # a search knows only what is not due at all
    began = time.process_time()
    with contextlib.suppress(_Late):
        _swapped(reducer, began + 0.2 * seconds)
    like, verbs = set(_kinds(reducer.trace)), reducer.verbs

    def search(share: float, wanted: Wanted, other: bool = True, everybody: bool = False) -> int:
        return _searched(reducer, began + share * seconds, wanted, other, everybody)

    search(0.4, lambda event, names: _kind(event, names) in like, other=False)
    deep = search(0.6, lambda event, names: event[1] in verbs, other=False)
    search(0.8, lambda event, names: True)
    every = search(1.0, lambda event, names: True, everybody=True)
    most = len(units(reducer.trace)) - 1
    whole = 0 < most <= every
    groups = arch.explorable.narrow(reducer.verbs) if whole else ()
    return Tried(min(deep, most), whole, groups)


def _swapped(reducer: Reducer, end: float) -> None:
    """Fewer events in place of some, until none can be found. Raises _Late."""

    def look() -> None:
        reducer.progress("swaps", len(units(trace)))
        if time.process_time() > end:
            raise _Late

    while True:
        assert reducer.way is not None
        machine = _machine(reducer)
        trace = dataclasses.replace(reducer.trace, **machine)
        bug = reducer.bug(trace)
        for events in swaps(trace, reducer.kernel, reducer.mode, reducer.way, look):
            some = units_of(events)
            candidate = reducer.same(reducer.parsed(some, trace))
            own = {verb for _, verb, _ in events} <= {*reducer.verbs}
            if candidate is not None and (own or bug.same(reducer.bug(candidate))):
                reducer.offer(some, **machine)
                reducer.run()
                break
        else:
            return


def _searched(reducer: Reducer, end: float, wanted: Wanted, other: bool, everybody: bool) -> int:
    """With how many events or fewer nothing was found; what was found is the best trace now."""
    trace = reducer.trace
    length = len(units(trace))
    if length < 2 or time.process_time() > end:
        return 0
    whole = _whole(reducer, everybody)
    now = world(dataclasses.replace(trace, **whole))
    arch = architecture(trace.arch)
    assert arch.explorable is not None
    groups = arch.explorable.narrow(reducer.verbs)
    symmetry = orders(now) <= MOST_ORDERS
    search = Search(
        Bounds(
            *(trace.arch, reducer.kernel, reducer.mode, now, groups, length - 1),
            symmetry=symmetry,
            way=reducer.way,
            budget=tuple(trace.budget),
        )
    )
    names = _names(now)
    search.explorer.only(lambda event: wanted(event, names))

    def look(search: Search) -> None:
        reducer.progress(f"search {search.tally.depth + 1} deep", length)
        if time.process_time() > end:
            raise _Late

    def meant(found: Found) -> bool:
        look(search)
        candidate = reducer.same(reducer.parsed(units_of(found.events), trace, **whole))
        return candidate is not None and (not other or bug.same(reducer.bug(candidate)))

    # On the same machine: what a kernel can run depends on that.
    bug = reducer.bug(dataclasses.replace(trace, **_machine(reducer)))
    search.meant = meant
    search.batch = BATCH
    search.after_batch.append(look)
    try:
        search.run()
    except _Late:
        return min(search.tally.depth, search.pruned or search.tally.depth)
    for found in search.found():
        if reducer.offer(units_of(found.events), **whole):
            reducer.run()
            break
    tally = search.tally
    deep = length - 1 if tally.exhausted and not tally.found else tally.depth - bool(tally.found)
    # What comes after another bug that goes wrong in this way was not tried.
    return min(deep, search.pruned or deep)


def _whole(reducer: Reducer, everybody: bool) -> dict[str, Any]:
    """All of the machine that there was; with everybody, or with those who are left, on CPUs."""
    trace, origin = reducer.trace, reducer.origin
    if everybody:
        kept = ("settings", "words", "tasks", "unborn", "vcpus", "vms")
        return {name: getattr(origin, name) for name in kept}
    features = tuple(dict.fromkeys(f for *_, every in origin.vcpus for f in every))
    return {
        **_machine(reducer),
        "tasks": _placed(trace),
        "vcpus": tuple((name, thread, features) for name, thread, _ in trace.vcpus),
    }


def _machine(reducer: Reducer) -> dict[str, Any]:
    """All that the machine had, with as many CPUs as are left."""
    had, left = reducer.origin.settings, reducer.trace.settings
    settings = {name: span for name, span in had.items() if name != "cpus"}
    settings |= {name: span for name, span in left.items() if name == "cpus"}
    return {"settings": settings, "words": reducer.origin.words}


def _placed(trace: Trace) -> tuple[tuple[str, int], ...]:
    """The tasks, with one on each CPU as far as they go: to come there takes events."""
    cpus = trace.settings.get("cpus", (1, 1))[1]
    taken = {cpu for _, cpu in trace.tasks}
    free = (cpu for cpu in range(cpus) if cpu not in taken)
    return tuple((name, next(free, -1) if cpu < 0 else cpu) for name, cpu in trace.tasks)


def _names(now: World) -> set[str]:
    return {"idle", *now.unborn, *(task[0] for task in now.tasks), *(vcpu[0] for vcpu in now.vcpus)}


def _kinds(trace: Trace) -> list[tuple[object, ...]]:
    names = _names(world(trace))
    events = (unit.event for unit in units(trace))
    return [_kind((e.actor.text, e.verb, e.args), names) for e in events]


def _kind(event: Event, names: Collection[str]) -> tuple[object, ...]:
    """What an event is, but for who takes part, values, and which register of its kind."""
    _, verb, args = event
    kind: list[object] = [verb]
    for arg in args:
        if isinstance(arg, tuple):
            kind += [each for each in arg if isinstance(each, str)]
        elif isinstance(arg, str) and arg not in names:
            kind.append(arg)
    return tuple(kind)
