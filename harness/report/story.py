"""A replay told step by step, for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.dsl.nodes import Event, Trace
from harness.engine.replay import Replay, Step
from harness.model.base import Reaction, Tree
from harness.model.catalogue import Kernel


@dataclass(slots=True)
class Page:
    """One step: what happened, what the model did, what is different now."""

    step: Step
    source: str
    owners: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)


def flatten(tree: Tree, prefix: str = "") -> dict[str, str]:
    """`{"cpu0": {"regs": {"z0": ..}}}` -> `{"cpu0.regs.z0": ..}`."""
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value)
    return flat


def changes(before: Tree, after: Tree) -> list[str]:
    """What is different, a line each: `A.flags: TIF_SVE -> -`."""
    old, new = flatten(before), flatten(after)
    lines = []
    for key in dict.fromkeys([*old, *new]):
        was, now = old.get(key, "-"), new.get(key, "-")
        if was != now:
            lines.append(f"{key}: {was} -> {now}")
    return lines


def tell(trace: Trace, kernel: Kernel, mode: str) -> Iterator[Page]:
    """The pages of one replay."""
    replay = Replay(trace, kernel, mode, record=True)
    before = replay.model.snapshot()
    for step in replay.steps():
        after = replay.model.snapshot()
        page = Page(step, source_of(trace, step.event))
        page.owners = replay.model.owners()
        page.changes = changes(before, after)
        before = after
        yield page


def source_of(trace: Trace, event: Event) -> str:
    """An event as its author wrote it, without its comment."""
    code, _, _ = trace.source[event.line - 1].partition("#")
    return " ".join(code.split())


def reaction_line(reaction: Reaction) -> str:
    """A call as `name()`, anything else with its kind: `reg cpacr_el1 := 0x330000`."""
    indent = "  " * reaction.depth
    if reaction.kind == "call":
        return f"{indent}{reaction.text}()"
    return f"{indent}{reaction.kind} {reaction.text}"
