"""What comes of holding a trace against a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Differs(NamedTuple):
    """An event of which machine and model say different things."""

    line: int
    what: str
    machine: str
    model: str


@dataclass(slots=True)
class Held:
    """A trace held against a model: answers compared, how many of them are reads, what differs."""

    compared: int = 0
    reads: int = 0
    differs: list[Differs] = field(default_factory=list)
