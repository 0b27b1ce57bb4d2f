"""The way out of a refusal: which events before it would make the refused event possible.

A model says why an event cannot happen. What would have to come first is looked for here, by
trying: so what is proposed can be done, and a search, which meets refusals by the million, does
not pay for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from harness.dsl.write import sentence
from harness.model.base import Architecture, Model, Refused, State
from harness.model.world import Event, World

DEPTH = 3  # events that are proposed at most
TRIES = 30000


class _Path(NamedTuple):
    """What has been tried, and the state it has led to; `near` if it concerns the event."""

    events: tuple[Event, ...]
    state: State
    near: bool


def moves(arch: Architecture, world: World) -> list[Event]:
    """What could come before an event in this world, whether or not it can happen now."""
    vcpus = tuple(name for name, *_ in world.vcpus)
    cpus = tuple(f"cpu{n}" for n in range(world.settings.get("cpus", (1, 1))[1]))
    who = {"task": world.everybody, "vcpu": vcpus, "cpu": cpus}
    found: dict[Event, None] = {}
    for name, verb in arch.verbs.items():
        for actors, args in itertools.product(verb.actors, verb.leads):
            choices = [
                operand.choices(world) if arg is None else (arg,)
                for operand, arg in zip(verb.operands, args, strict=False)
            ]
            for actor, *operands in itertools.product(who[actors], *choices):
                if len(operands) < 2 or operands[0] != operands[1]:
                    found.setdefault((actor, name, tuple(operands)))
    return list(found)


def concerned(world: World, event: Event) -> set[str]:
    """Who takes part in an event, and the threads and vcpus that belong to them."""
    actor, _, args = event
    names = {actor, *(arg for arg in args if isinstance(arg, str))} - {"idle"}
    for vcpu, thread, _ in world.vcpus:
        if vcpu in names:
            names.add(thread)
    return names


def way_out(arch: Architecture, world: World, model: Model, event: Event) -> tuple[Event, ...]:
    """The shortest way that was found, () if there was none. The machine is as it was."""
    start = model.capture()
    try:
        return next(_ways(arch, world, model, event, start), ())
    finally:
        model.restore(start)


def _ways(
    arch: Architecture, world: World, model: Model, event: Event, start: State
) -> Iterator[tuple[Event, ...]]:
    about = concerned(world, event)
    told = sorted(
        ((move, bool(concerned(world, move) & about)) for move in moves(arch, world)),
        key=lambda pair: not pair[1],
    )
    fatal, tries = model.fatal, 0
    paths = [_Path((), start, True)]
    for depth in range(1, DEPTH + 1):
        further: list[_Path] = []
        for path in paths:
            model.restore(path.state)
            for move, near in told:
                if depth == DEPTH and not (near and path.near):
                    break  # far ones are tried less deep; the near ones come first
                tries += 1
                if tries > TRIES:
                    return
                if move == event or not _happens(model, move):
                    continue
                if fatal or not model.fatal:
                    after = model.capture()
                    if _happens(model, event):
                        yield (*path.events, move)
                    further.append(_Path((*path.events, move), after, path.near and near))
                model.restore(path.state)
        paths = further


def _happens(model: Model, event: Event) -> bool:
    """Let an event happen, if it can."""
    if model.fatal and model.dead(event[0]):
        return False
    try:
        model.apply(*event)
    except Refused:
        return False
    return True


def proposed(arch: Architecture, world: World, events: tuple[Event, ...]) -> str:
    """What to say of a way out, '' if there is none."""
    if not events:
        return ""
    lines = ", then ".join(f"`{sentence(arch, world, *event)}`" for event in events)
    return f"{lines} would make it possible"
