"""What a follower has seen so far."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from harness.capture.arm64.items import Cpu, Guest, Item, Operand, Stimulus, Thread
from harness.capture.arm64.operands import Open
from harness.capture.evidence import Tally
from harness.capture.text import Line


@dataclass(slots=True)
class Seen:
    """The CPUs, threads and vcpus of a recording, and what is said of them so far.

    `out` are the items that are yet to be handed on.
    """

    tally: Tally
    cpus: dict[int, Cpu] = field(default_factory=dict)
    threads: dict[int, Thread] = field(default_factory=dict)  # by pid
    by_address: dict[int, Thread] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    children: list[Thread] = field(default_factory=list)  # forked, not seen to run yet
    guests: dict[int, Guest] = field(default_factory=dict)  # by address
    guest_of: dict[str, Guest] = field(default_factory=dict)  # by its name and its thread's
    out: deque[Item] = field(default_factory=deque)
    open: Open = field(default_factory=Open)
    begins: dict[str, Line] = field(default_factory=dict)  # a thread preempted in it, first thing
    discards: bool = False  # whether `to_save` tells of system calls

    def event(
        self,
        line: Line,
        cpu: Cpu,
        actor: str,
        verb: str,
        args: tuple[Operand, ...] = (),
        why: str = "",
        kind: str = "event",
        open: bool = False,
    ) -> Stimulus:
        """Hand on a stimulus, which this line shows."""
        if kind == "event":
            cpu.inside = None
        stimulus = Stimulus(line.number, cpu.id, actor, verb, args, why, kind, open)
        self.out.append(stimulus)
        return stimulus
