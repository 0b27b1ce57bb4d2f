"""Is every fix noticed, and every branch on one reached both ways?"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.dsl.nodes import Trace
from harness.engine.judge import cases
from harness.engine.recall import recall
from harness.engine.replay import Replay
from harness.model import architecture
from harness.model.asked import Asked
from harness.model.catalogue import Catalogue, Fix, Kernel


@dataclass(slots=True)
class Noticed:
    """A fix, a kernel that has it, and the traces whose verdict differs without it."""

    fix: Fix
    kernel: str = "-"
    traces: list[str] = field(default_factory=list)


def verdict(trace: Trace, kernel: Kernel, mode: str) -> str:
    """What the model says of a trace there, in words (also: why it says nothing)."""
    return recall(trace, kernel, mode).text


def with_and_without(
    catalogue: Catalogue, fix: Fix, traces: Iterable[Trace]
) -> list[tuple[Kernel, Kernel]]:
    """Pairs of a kernel that has `fix` and one that differs by lacking it.

    First the release in which it landed, without it and without what needs it, as released
    and built with everything; then the backports of it that verdicts speak of, and kernels
    with backports that lack it. A change that was never merged has only the former.
    """
    pairs = []
    first = catalogue.first(fix)
    if first is not None:
        has = catalogue.kernel(first)
        pairs.append((has, catalogue.without(has, fix.id)))
        built = {f.id for f in catalogue.fixes.values() if f.kind == "build"} - has.fixes
        if fix.kind != "build" and built:
            has = Kernel("+".join((has.name, *sorted(built))), has.fixes | built)
            pairs.append((has, catalogue.without(has, fix.id)))
    names = {v.kernel for t in traces for v in t.verdicts}
    for name in sorted(n for n in names if fix.id in catalogue.added(n)):
        has = catalogue.kernel(name)
        pairs.append((has, catalogue.without(has, fix.id)))
    for name in sorted({v.kernel for t in traces for v in t.verdicts if f"-{fix.id}+" in v.kernel}):
        has = catalogue.kernel(name.replace(f"-{fix.id}+", "+"))
        pairs.append((has, catalogue.without(has, fix.id)))
    return pairs


def notices(trace: Trace, has: Kernel, lacks: Kernel) -> bool:
    """Whether the verdict on `trace` differs between the two kernels in some mode."""
    return any(
        recall(trace, has, mode).kinds != recall(trace, lacks, mode).kinds for mode in trace.modes
    )


def noticed(arch: str, fix: Fix, traces: list[Trace]) -> Noticed:
    """Which traces notice that a switch of the model is off."""
    found = Noticed(fix)
    for has, lacks in with_and_without(architecture(arch).catalogue, fix, traces):
        found.kernel = has.name
        found.traces = [t.id for t in traces if notices(t, has, lacks)]
        if found.traces:
            break
    return found


class _Placed(Asked):
    """A kernel's fixes that remember where each was asked for, and what the answer was."""

    afresh = True
    answers: dict[tuple[str, int, str], set[bool]]

    def answer(self, fix: str) -> bool:
        there = super().answer(fix)
        frame = sys._getframe(2)  # who asked, by way of __contains__
        place = (frame.f_code.co_filename, frame.f_lineno, fix)
        self.answers.setdefault(place, set()).add(there)
        return there


def branches(traces: Iterable[Trace]) -> dict[tuple[str, int, str], set[bool]]:
    """Each place in the model that asks for a fix, and the answers it got from the corpus.

    Every trace is replayed on every kernel that its verdicts name.
    """
    answers: dict[tuple[str, int, str], set[bool]] = {}
    for trace in traces:
        for case in cases(trace):
            fixes = _Placed(case.kernel.fixes)
            fixes.answers = answers
            kernel = Kernel(case.kernel.name, fixes)
            if not case.unsupported:
                Replay(trace, kernel, case.mode).run()
    return {k: v for k, v in answers.items() if "/model/" in k[0].replace("\\", "/")}
