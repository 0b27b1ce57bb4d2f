"""Is every fix noticed, and every branch on one reached both ways?"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from harness.dsl.nodes import Trace
from harness.engine.judge import Case, cases, judge
from harness.engine.replay import Replay
from harness.errors import SourceError
from harness.model import architecture
from harness.model.catalogue import Catalogue, Fix, Kernel


@dataclass(slots=True)
class Noticed:
    """A fix, a kernel with and one without it, and the traces whose verdict differs."""

    fix: Fix
    has: Kernel
    lacks: Kernel
    traces: list[str] = field(default_factory=list)


def verdict(trace: Trace, kernel: Kernel, mode: str) -> str:
    """What the model says of a trace there, in words (also: why it says nothing)."""
    try:
        return judge(Case(trace, kernel, mode, None)).text
    except SourceError:
        return "an event cannot happen"


def with_and_without(
    catalogue: Catalogue, fix: Fix, traces: Iterable[Trace]
) -> tuple[Kernel, Kernel] | None:
    """A kernel that has `fix` and the same one without it (and without what needs it).

    That is the release in which it landed; for a change that was never merged,
    the first kernel with it that a verdict speaks of. None if there is none.
    """
    first = catalogue.first(fix)
    if first is not None:
        has = catalogue.kernel(first)
    else:
        names = (v.kernel for t in traces for v in t.verdicts)
        kernels = (catalogue.kernel(name) for name in sorted(set(names)))
        found = next((k for k in kernels if fix.id in k.fixes), None)
        if found is None:
            return None
        has = found
    return has, catalogue.without(has, fix.id)


def audit(arch: str, traces: list[Trace]) -> Iterator[Noticed]:
    """For each switch of the model: which traces notice that it is off."""
    catalogue = architecture(arch).catalogue
    for fix in catalogue.fixes.values():
        if not fix.switch:
            continue
        kernels = with_and_without(catalogue, fix, traces)
        if kernels is None:
            nowhere = Kernel("-", frozenset())
            yield Noticed(fix, nowhere, nowhere)
            continue
        noticed = Noticed(fix, *kernels)
        for trace in traces:
            for mode in trace.modes:
                if verdict(trace, kernels[0], mode) != verdict(trace, kernels[1], mode):
                    noticed.traces.append(trace.id)
                    break
        yield noticed


class _Asked(frozenset[str]):
    """A kernel's fixes that remember where each was asked for, and what the answer was."""

    answers: dict[tuple[str, int, str], set[bool]]

    def __contains__(self, fix: object) -> bool:
        answer = super().__contains__(fix)
        frame = sys._getframe(1)
        place = (frame.f_code.co_filename, frame.f_lineno, str(fix))
        self.answers.setdefault(place, set()).add(answer)
        return answer


def branches(traces: Iterable[Trace]) -> dict[tuple[str, int, str], set[bool]]:
    """Each place in the model that asks for a fix, and the answers it got from the corpus.

    Every trace is replayed on every kernel that its verdicts name.
    """
    answers: dict[tuple[str, int, str], set[bool]] = {}
    for trace in traces:
        for case in cases(trace):
            fixes = _Asked(case.kernel.fixes)
            fixes.answers = answers
            kernel = Kernel(case.kernel.name, fixes)
            if not case.unsupported:
                Replay(trace, kernel, case.mode).run()
    return {k: v for k, v in answers.items() if "/model/" in k[0].replace("\\", "/")}
