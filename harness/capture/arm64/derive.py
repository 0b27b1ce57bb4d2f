"""From a recording to a regression trace: replay its stimuli, and keep what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from harness.capture.arm64.items import Stimulus
from harness.capture.arm64.survey import config
from harness.capture.arm64.write import Cast
from harness.model.arm64.language import MACHINES
from harness.model.arm64.machine import Machine, Setup
from harness.model.base import Refused, Violation
from harness.model.catalogue import Kernel
from harness.search.shrink import shrink

# What a program or a guest would notice, before what only explains it.
GRAVE = ("lost", "stale", "leak", "use-after-free", "bug")

Test = Callable[[Sequence[Stimulus]], Sequence[Stimulus] | None]
"""What of some stimuli still leads there, None if they do not."""


@dataclass(slots=True)
class Replayed:
    """What came of replaying stimuli: those that could happen, up to where something is wrong."""

    kept: list[Stimulus]
    violation: Violation | None


class Deriver:
    """Replays stimuli on one kernel, in one mode, on the machine of the recording."""

    def __init__(
        self, kernel: Kernel, mode: str, settings: dict[str, tuple[int, int]], cast: Cast
    ) -> None:
        self.kernel = kernel
        self.mode = mode
        self.config = config(settings, mode)
        self.cast = cast

    def machine(self, stimuli: Sequence[Stimulus]) -> Machine:
        """A machine with those who act, and with nobody else."""
        named = {word for s in stimuli for word in (s.actor, *s.args) if isinstance(word, str)}
        vcpus = tuple(
            (name, vcpu.thread, ("sve",) if vcpu.sve else ())
            for name, vcpu in self.cast.vcpus.items()
            if name in named
        )
        threads = {thread for _, thread, _ in vcpus}
        tasks = tuple((n, -1) for n in self.cast.tasks if n in named or n in threads)
        vms = tuple(range(len(vcpus)))  # a recording does not tell who shares one
        return MACHINES[self.mode](self.kernel, Setup(self.config, tasks, (), vcpus, vms))

    def cast_of(self, stimuli: Sequence[Stimulus]) -> Cast:
        """Those of the cast who act in `stimuli`."""
        machine = self.machine(stimuli)
        tasks = {n: what for n, what in self.cast.tasks.items() if n in machine.tasks}
        vcpus = {n: what for n, what in self.cast.vcpus.items() if n in machine.vcpus}
        return Cast(tasks, vcpus)

    def kinds(self, stimuli: Sequence[Stimulus]) -> list[str]:
        """The invariants that the stimuli violate, all of them, in alphabetic order."""
        replayed = self._replayed(stimuli)
        return sorted({v.kind for _, violations in replayed for v in violations or ()})

    def _replayed(
        self, stimuli: Sequence[Stimulus]
    ) -> Iterator[tuple[Stimulus, list[Violation] | None]]:
        """Each stimulus with what it violates, None if it cannot happen."""
        m = self.machine(stimuli)
        for s in stimuli:
            m.step = s.line
            m.violations.clear()
            if m.fatal and m.dead(s.actor):
                yield s, None
                continue
            try:
                m.apply(*s.event)
            except Refused:
                yield s, None
            else:
                yield s, [*m.violations, *m.check()]

    def replay(self, stimuli: Sequence[Stimulus], wanted: Sequence[str] = ()) -> Replayed:
        """Replay what can happen, up to the first violation of a kind that is wanted.

        Without `wanted`: up to the first grave one, else the first of all.
        """
        kept: list[Stimulus] = []
        first: Replayed | None = None
        kinds = wanted or GRAVE
        for s, violations in self._replayed(stimuli):
            if violations is None:
                continue
            kept.append(s)
            for violation in violations:
                if violation.kind in kinds:
                    return Replayed(kept, violation)
                if first is None and not wanted:
                    first = Replayed(kept.copy(), violation)
        return first or Replayed(kept, None)

    def reduce(
        self,
        stimuli: Sequence[Stimulus],
        violation: Violation,
        progress: Callable[[int], None] = lambda n: None,
    ) -> list[Stimulus]:
        """The fewest stimuli that lead to a violation of the same kind."""

        def test(items: Sequence[Stimulus]) -> Sequence[Stimulus] | None:
            outcome = self.replay(items, (violation.kind,))
            return outcome.kept if outcome.violation is not None else None

        shortest = shrink(stimuli, test, progress)
        while True:
            joined = self._joined(shortest, test)
            if joined is None:
                return shortest
            shortest = shrink(joined, test, progress)

    @staticmethod
    def _joined(stimuli: Sequence[Stimulus], test: Test) -> Sequence[Stimulus] | None:
        """The stimuli with two context switches in a row made one, if that still will do."""
        for n, (first, second) in enumerate(pairwise(stimuli)):
            if first.verb == second.verb == "sched_switch" and first.actor == second.actor:
                names = (first.args[0], second.args[-1])
                whole = [*stimuli[:n], replace(second, args=names), *stimuli[n + 2 :]]
                kept = test(whole) if names[0] != names[1] else None
                if kept is not None:
                    return kept
        return None
