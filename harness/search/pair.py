"""Two kernels side by side: what can happen on both, and where they differ."""

from __future__ import annotations

from typing import Any

from harness.model.base import Model, Reaction, State, Violation


class Pair:
    """Two models that go through the same events.

    What is wrong with a pair is that its members differ, in what goes wrong (by kind) or in
    what it costs. An event that either of them refuses does not happen.
    """

    def __init__(self, one: Model, other: Model) -> None:
        self.models = (one, other)
        self.violations: list[Violation] = []
        self.log: list[Reaction] = []
        self.fatal = False
        self._objects = len(one.capture()[0])
        self._step = 0

    @property
    def step(self) -> int:
        return self._step

    @step.setter
    def step(self, step: int) -> None:
        self._step = step
        for model in self.models:
            model.step = step

    def apply(self, actor: str, verb: str, args: tuple[Any, ...]) -> None:
        every = []
        for model in self.models:
            model.violations.clear()
            model.apply(actor, verb, args)
            every.append([*model.violations, *model.check()])
        one, other = ({v.kind for v in violations} for violations in every)
        self.violations = [v for violations in every for v in violations if v.kind in one ^ other]

    def check(self) -> list[Violation]:
        """Nothing more: how they differ shows as it happens."""
        return []

    def counts(self) -> dict[str, int]:
        """How much more the first has cost than the second."""
        one, other = (model.counts() for model in self.models)
        return {name: n - other[name] for name, n in one.items()}

    def capture(self) -> State:
        one, other = (model.capture() for model in self.models)
        return ((*one[0], *other[0]), one[1:], other[1:])

    def restore(self, state: State, now: State | None = None) -> None:
        self.violations = []
        cut = self._objects
        for n, model in enumerate(self.models):
            part = slice(None, cut) if n == 0 else slice(cut, None)
            before = None if now is None else (now[0][part], *now[n + 1])
            model.restore((state[0][part], *state[n + 1]), before)
