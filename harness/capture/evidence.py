"""How much of a recording was understood and compared: what a verdict rests on.

One rule for all recordings. A verdict needs a stated amount of evidence, and whatever was
seen and not understood counts against it:

- of the lines, at most one in 100 may be torn, lost, out of order, or unknown;
- of the names of functions, at most one in 10 may be unknown;
- at least 50 events must have been compared, and half of those that could be.

Whole recordings, those of the tests, have no line that is not understood, and 694 events
or more to compare.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from harness.capture.text import Recording

MOST_LINES, MOST_NAMES = 0.01, 0.10  # not understood
LEAST = 50  # events compared
LEAST_SHARE = 0.5  # of those that could be
# Notes of a follower: a line that is missing, and one that comes too soon.
HOLE = "a context switch that was not recorded"
BEFORE = "an event before the first clean point of its CPU"


@dataclass(slots=True)
class Tally:
    """How often a follower has met what is no stimulus, by name."""

    unknown: Counter[str] = field(default_factory=Counter)  # events that mean nothing to it
    functions_unknown: Counter[str] = field(default_factory=Counter)  # of these, functions
    quiet: Counter[str] = field(default_factory=Counter)  # without bearing on FP state
    notes: Counter[str] = field(default_factory=Counter)  # what had to be guessed


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of a recording, and what was made of it.

    `against` says how many lines were not understood, by why; `unsaid` is what the
    recording does not tell and a verdict needs. `compared` is None where nothing was to be
    compared, as in an import, which needs `stimuli` instead.
    """

    lines: int
    against: dict[str, int]
    names: int
    unknown_names: tuple[str, ...]
    before: int
    stimuli: int
    compared: int | None = None
    unsaid: tuple[str, ...] = field(default=())

    @property
    def understood(self) -> int:
        return self.lines - sum(self.against.values())

    @property
    def reasons(self) -> list[str]:
        """Why this is too little for a verdict; empty if it is enough."""
        found = list(self.unsaid)
        lost = sum(self.against.values())
        if lost > MOST_LINES * self.lines:
            why = ", ".join(f"{n} {kind}" for kind, n in self.against.items())
            found.append(
                f"{lost} of {self.lines} lines were not understood ({why}); "
                f"at most {MOST_LINES:.0%} may be"
            )
        if len(self.unknown_names) > MOST_NAMES * self.names:
            some = ", ".join(self.unknown_names[:4])
            more = ", ..." if len(self.unknown_names) > 4 else ""
            found.append(
                f"{len(self.unknown_names)} of {self.names} names of functions are unknown "
                f"({some}{more}); at most {MOST_NAMES:.0%} may be"
            )
        if self.compared is None:
            if not self.stimuli:
                found.append("no stimulus was found")
        elif self.compared < LEAST:
            found.append(f"{self.compared} events were compared; at least {LEAST} must be")
        elif self.compared < LEAST_SHARE * (self.compared + self.before):
            found.append(
                f"{self.compared} of {self.compared + self.before} events were compared; "
                f"at least {LEAST_SHARE:.0%} must be"
            )
        return found

    def sentence(self) -> str:
        """What it comes to, in one line."""
        known = self.names - len(self.unknown_names)
        what = (
            f"{self.stimuli} stimuli"
            if self.compared is None
            else f"compared {self.compared} of {self.compared + self.before} events"
        )
        return (
            f"{what}; understood {self.understood} of {self.lines} lines and "
            f"{known} of {self.names} names of functions"
        )

    def tree(self) -> dict[str, Any]:
        """The same for machines."""
        reasons = self.reasons
        return {
            "lines": self.lines,
            "understood": self.understood,
            "not_understood": dict(self.against),
            "names": self.names,
            "unknown_names": list(self.unknown_names),
            "stimuli": self.stimuli,
            "compared": self.compared,
            "comparable": None if self.compared is None else self.compared + self.before,
            "enough": not reasons,
            "reasons": reasons,
        }


def gather(
    recording: Recording,
    tally: Tally,
    stimuli: int,
    compared: int | None = None,
    unsaid: tuple[str, ...] = (),
) -> Evidence:
    """The evidence of a recording that has been read to its end, and what its follower has met."""
    against = dict(recording.odd_kinds)
    if unknown := tally.unknown.total():
        against["unknown"] = unknown
    if holes := tally.notes[HOLE]:
        against["after a missing switch"] = holes
    odd = sum(n for kind, n in recording.odd_kinds.items() if kind in ("torn", "lost"))
    return Evidence(
        lines=recording.events + odd,
        against=against,
        names=len(recording.called),
        unknown_names=tuple(name for name, _ in tally.functions_unknown.most_common()),
        before=tally.notes[BEFORE],
        stimuli=stimuli,
        compared=compared,
        unsaid=unsaid,
    )
