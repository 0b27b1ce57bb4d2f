"""What comes of holding the model against a recording."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class Difference(NamedTuple):
    """A field, or a call, of which kernel and model say different things."""

    what: str
    kernel: str
    model: str


@dataclass(slots=True)
class Divergence:
    """One disagreement: where, what the kernel did, what the model did."""

    line: int
    cpu: int
    kind: str  # order, state, bug or refused
    where: str  # the function, or the stimulus
    what: str  # the field, or what is missing
    kernel: str
    model: str
    stimulus: str

    @property
    def signature(self) -> tuple[str, str, str, str, str]:
        """Equal for disagreements of the same sort."""
        return self.kind, self.where, self.what, self.kernel, self.model


@dataclass(slots=True)
class Verdict:
    """What came of holding a recording against a kernel."""

    kernel: str
    mode: str
    events: int = 0
    explained: int = 0
    stimuli: int = 0
    compared: int = 0  # state fields
    divergences: int = 0
    first: dict[tuple[str, ...], Divergence] = field(default_factory=dict)
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    asked: set[str] = field(default_factory=set)  # the functions of the model that ran
    model_functions: int = 0

    @property
    def share(self) -> float:
        return self.explained / self.events if self.events else 0.0


@dataclass(slots=True)
class Agreement:
    """A kernel that differs by one fix (and what that needs), and what is left there."""

    change: str  # +ID or -ID, with what it takes along
    verdict: Verdict
