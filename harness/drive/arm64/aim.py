"""What a trace can tell of a kernel: the fixes without which it would show something else."""

from __future__ import annotations

from collections.abc import Iterator

from harness.drive.arm64.planner import Observed, observed
from harness.dsl.nodes import Event, Trace
from harness.engine.replay import world
from harness.model.arm64.fixes import CATALOGUE
from harness.model.arm64.language import ARM64
from harness.model.base import Refused
from harness.model.catalogue import Kernel

Story = tuple[Observed | None, ...]
_OLD = ("v4.20", "v5.10", "v6.1", "v6.8", "v6.13", "v6.16")


def story(trace: Trace, kernel: Kernel, mode: str) -> Story:
    """What each event shows on a kernel, up to where it could not happen there."""
    model = ARM64.fresh(kernel, mode, world(trace), record=False)
    found: list[Observed | None] = []
    for event in trace.body:
        if not isinstance(event, Event):
            continue
        if model.fatal and model.dead(event.actor.text):
            continue
        model.violations.clear()
        model.step = event.line
        try:
            model.apply(event.actor.text, event.verb, event.args)
        except Refused:
            found.append(None)
            break
        found.append(observed(model, event.actor.text))
    return tuple(found)


def tells(trace: Trace, kernel: Kernel, mode: str) -> bool:
    """Whether an older kernel would show something else: whether some fix is needed for it."""
    here = story(trace, kernel, mode)
    return any(story(trace, other, mode) != here for other in _older(trace, kernel, mode))


def _older(trace: Trace, kernel: Kernel, mode: str) -> Iterator[Kernel]:
    for name in _OLD:
        other = CATALOGUE.kernel(name)
        for build in CATALOGUE.unbuilt(other.fixes):
            if build.setting in trace.settings:
                other = CATALOGUE.kernel(f"{name}+{build.built}")
        if "sme" in trace.settings and "sme-host" not in other.fixes:
            continue  # which would tell of nothing but that
        if other.fixes < kernel.fixes and not ARM64.unsupported(other, mode, world(trace)):
            yield other


def needed(trace: Trace, kernel: Kernel, mode: str) -> list[str]:
    """The fixes of a kernel without which (and what needs them) this trace would show else."""
    here = story(trace, kernel, mode)
    found = []
    for fix in CATALOGUE.fixes.values():
        if fix.id in kernel.fixes and fix.switch:
            other = CATALOGUE.without(kernel, fix.id)
            if not ARM64.unsupported(other, mode, world(trace)):
                found += [fix.id] * (story(trace, other, mode) != here)
    return found
