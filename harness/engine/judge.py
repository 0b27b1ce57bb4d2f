"""Judging a trace: each kernel its author speaks of, in each mode."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from harness.dsl.nodes import Trace, Verdict
from harness.engine.replay import Outcome, Replay, world
from harness.errors import Diagnostic, Position, SourceError
from harness.model import architecture
from harness.model.catalogue import Kernel


@dataclass(frozen=True, slots=True)
class Case:
    """One trace on one kernel in one mode, with what its author says of it.

    `verdict` is None for a kernel that the author does not speak of.
    """

    trace: Trace
    kernel: Kernel
    mode: str
    verdict: Verdict | None

    @property
    def label(self) -> str:
        return f"{self.kernel.name} {self.mode}"

    @property
    def unsupported(self) -> str | None:
        """Why this kernel cannot run this trace, or None."""
        for need in self.trace.needs:
            if need not in self.kernel.fixes:
                return f"it lacks {need}"
        arch = architecture(self.trace.arch)
        return arch.unsupported(self.kernel, self.mode, world(self.trace))

    @property
    def built(self) -> bool:
        """Whether this kernel, if it has what the trace needs, is built with what it needs."""
        lacks = any(need not in self.kernel.fixes for need in self.trace.needs)
        return lacks or not unbuilt(self.trace, self.kernel)


def unbuilt(trace: Trace, kernel: Kernel) -> str:
    """The fix that `kernel` lacks to be built with all that the trace's machine has, or ''."""
    builds = architecture(trace.arch).catalogue.unbuilt(kernel.fixes)
    return next((b.built for b in builds if b.setting in trace.settings), "")


def as_built(trace: Trace, kernel: Kernel) -> Kernel:
    """The same tree, built with all that the trace's machine has."""
    fix = unbuilt(trace, kernel)
    return Kernel(f"{kernel.name}+{fix}", kernel.fixes | {fix}) if fix else kernel


@dataclass(slots=True)
class Judgement:
    """What came of a case: an outcome, or the reason why there is none, and the time it took."""

    case: Case
    outcome: Outcome | None
    why: str | SourceError = ""
    seconds: float = 0.0

    @property
    def unsupported(self) -> str:
        """Why there is no outcome; '' if there is one."""
        if isinstance(self.why, str):
            return self.why
        first = self.why.diagnostics[0]
        return f"line {first.at.line}: {first.message}"

    @property
    def text(self) -> str:
        if self.outcome is None:
            return f"not judged: {self.unsupported}" if self.case.built else self.unsupported
        kinds = self.outcome.kinds
        return "violates " + ", ".join(kinds) if kinds else "holds"

    @property
    def agrees(self) -> bool:
        """Whether the model does what the author says (or he says nothing)."""
        verdict = self.case.verdict
        if verdict is None:
            return True
        if self.outcome is None:
            return verdict.mode is None  # said of all modes: of those that can be judged
        return self.outcome.kinds == verdict.violates


def cases(trace: Trace, kernels: tuple[str, ...] = ()) -> Iterator[Case]:
    """The cases of `trace`: those its verdicts name, or those of `kernels`.

    A verdict that names a mode stands before one for all modes.
    """
    catalogue = architecture(trace.arch).catalogue
    said: dict[tuple[str, str], Verdict] = {}
    for verdict in sorted(trace.verdicts, key=lambda v: v.mode is not None):
        for mode in trace.modes if verdict.mode is None else (verdict.mode,):
            said[verdict.kernel, mode] = verdict
    names = kernels or tuple(dict.fromkeys(v.kernel for v in trace.verdicts))
    for name in names:
        kernel = catalogue.kernel(name)
        for mode in trace.modes:
            if kernels or (name, mode) in said:
                yield Case(trace, kernel, mode, said.get((name, mode)))


def judge(case: Case) -> Judgement:
    """Run one case. Raises SourceError for an event that cannot happen there."""
    unsupported = case.unsupported
    if unsupported:
        return Judgement(case, None, unsupported)
    start = time.perf_counter()
    outcome = Replay(case.trace, case.kernel, case.mode).run()
    return Judgement(case, outcome, seconds=time.perf_counter() - start)


def judge_all(trace: Trace, kernels: tuple[str, ...] = ()) -> list[Judgement]:
    """Every case of `trace`. A verdict that no mode can be judged by is an error.

    So is an event that cannot happen on a kernel that the author speaks of. On another one it is
    the reason why the case is not judged.
    """
    found = list(cases(trace, kernels))
    check_verdicts(trace, found)
    return [judge(case) if case.verdict else _tried(case) for case in found]


def _tried(case: Case) -> Judgement:
    try:
        return judge(case)
    except SourceError as error:
        return Judgement(case, None, error)


def check_verdicts(trace: Trace, found: list[Case]) -> None:
    """Raise SourceError for a verdict that none of its cases can be judged by."""
    for verdict in trace.verdicts:
        of = [case.unsupported for case in found if case.verdict is verdict]
        if of and all(of):
            at = Position(trace.path, verdict.line, verdict.column)
            message = f"{verdict.kernel} cannot run this trace: {of[0]}"
            source = trace.source[verdict.line - 1]
            raise SourceError([Diagnostic(at, message, source, len(verdict.kernel))])
