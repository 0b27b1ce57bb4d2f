"""What the follower makes of a recording: who is there, what they do, and the lines beside it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.capture.arm64.fields import TaskFp
from harness.capture.text import Line
from harness.model.operands import Bits, Reg
from harness.model.world import Event

Operand = str | int | Reg | Bits | tuple[str, ...] | tuple[tuple[Reg, Bits], ...]
"""A name or a word, a number, a register, a value, flags, or the fields of a register set."""


@dataclass(slots=True)
class Thread:
    """A task as far as the recording has shown it."""

    name: str
    pid: int
    comm: str
    address: int = 0  # its task_struct
    cpu: int = -1
    user: bool = True  # whether it was last seen in user space
    syscall: bool = False  # whether it is in a system call
    exiting: bool = False  # whether it has left one, and may still be on its way out
    vcpu: Guest | None = None  # loaded
    sve: bool | None = None  # TIF_SVE, as far as it can be told
    sme: bool = False
    dying: bool = False
    kernel: bool = False  # a kernel thread
    trapped: bool = False  # and its handler has yet to run
    foreign: bool = False  # TIF_FOREIGN_FPSTATE when it was first switched to
    placed: bool = True  # whether it is known where it was when it was first seen
    values: int = 0  # written by it so far
    since: float = 0.0  # the time when it last left a system call, or got a CPU, or its registers


@dataclass(slots=True)
class Guest:
    """A vcpu."""

    name: str
    address: int
    thread: Thread
    sve: bool
    sve_max_vl: int
    first_owner: int = -1  # fp_state when first seen
    entered: bool = False
    owner: int = -1  # fp_state at entry


@dataclass(slots=True)
class Stimulus:
    """An event of the trace language, and the line that shows it.

    `kind` is `event`; `value` for a register write that stands for all that a
    program does with its registers; or `adopt` for what was so before the
    recording began. `open` as long as a later line may tell an operand, or
    whether it happened at all.
    """

    line: int
    cpu: int
    actor: str
    verb: str
    args: tuple[Operand, ...]
    why: str = ""
    kind: str = "event"
    open: bool = False
    along: tuple[Stimulus, ...] = ()  # what happened only if this did
    dropped: bool = False  # it has not happened

    @property
    def event(self) -> Event:
        return self.actor, self.verb, self.args


@dataclass(slots=True)
class NewTask:
    """A task that was there before the recording, as first seen."""

    thread: Thread
    first: TaskFp | None


@dataclass(slots=True)
class NewCpu:
    """A CPU, with the first line that has its state."""

    line: Line


@dataclass(slots=True)
class NewChild:
    """A task that comes to life in the recording."""

    thread: Thread


@dataclass(slots=True)
class NewVcpu:
    """A vcpu, as first seen."""

    guest: Guest


Item = Stimulus | NewCpu | NewTask | NewChild | NewVcpu | Line


@dataclass(slots=True)
class Cpu:
    """One CPU of the recording."""

    id: int
    current: Thread | None = None
    leaving: Thread | None = None  # in the context switch: the previous task
    inside: str | None = None  # whose reactions these are: a function's, or a signal's
    until: str | None = None  # the return that ends it
    softirq: bool = False
    joined: bool = False  # whether it is followed yet
    shown: bool = False  # whether its state has been
    held: Line | None = None  # a line that the next one will explain
    back: bool = False  # whether what `current` does next tells where it was preempted
    neon: Line | None = None  # kernel_neon_begin() or _end(), and then a context switch
    tracee: Thread | None = None  # whose registers are written
    zen: int = -1  # CPACR_EL1.ZEN in the last dump, while nobody else has run
    last: str = ""  # the last line's text that has the state of `current`

    @property
    def name(self) -> str:
        return f"cpu{self.id}"

    def begin(self, inside: str, line: Line, until: str | None = None) -> None:
        """What follows belongs to this, until it returns or something else begins."""
        self.inside, self.until = inside, until or line.name + "_ret"
