"""CPUs that sleep, go off line, and come back."""

from __future__ import annotations

from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import not_in_neon
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import words
from harness.model.tasks import KERNEL, WHERE, At, titled


@VERBS.verb(
    "idles or suspends, loses power, and is back (CPU_PM enter and exit)",
    actors="cpu",
    touches="cpu",
)
def cpu_pm(m: Program, actor: str) -> None:
    quiet(m, actor)
    m.cpu_suspend()


@VERBS.verb(
    "goes off line, or comes back with its registers reset",
    words("off on"),
    actors="cpu",
)
def hotplug(m: Program, actor: str, what: str) -> None:
    if m.rq.online == (what == "on"):
        raise Refused(f"{actor} is {'on' if m.rq.online else 'off'} line already")
    if what == "on":
        m.cpu_up()
        return
    if not m.current.name.startswith("idle"):
        raise Refused(f"{actor} runs {m.current.name}: only an idle CPU goes off line")
    if sum(rq.online for rq in m.rqs) == 1:
        raise Refused(f"{actor} is the last CPU that is on line")
    m.cpu_down()


def quiet(m: Program, actor: str) -> None:
    """Where a CPU can be suspended: in the idle task, or in a system call that does it."""
    task = m.current
    if m.cpu.mode is not KERNEL or task.at is not At.SYSCALL:
        raise Refused(f"{actor} runs {titled(task.name)}, which {WHERE[task.at]}")
    not_in_neon(m, task)
