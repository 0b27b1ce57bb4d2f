"""The scheduler, interrupts and softirqs."""

from __future__ import annotations

from collections.abc import Callable

from harness.model.arm64.host.softirq import RAISED
from harness.model.arm64.host.state import TIF_KERNEL_FPSTATE
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import TASK, words
from harness.model.tasks import GONE, GUEST, KERNEL, USER, WHERE, At, titled


@VERBS.verb("the next task is current, in the kernel", TASK, TASK, actors="cpu", touches="cpu next")
def sched_switch(m: Program, actor: str, prev: str, next_name: str) -> None:
    prev, next_name = _idle(m, prev), _idle(m, next_name)
    current, task = m.current, m.tasks[next_name]
    if current.name != prev:
        raise Refused(f"{actor} runs {titled(current.name)}, not {titled(prev)}")
    if task.at in GONE:
        raise Refused(f"{next_name} {WHERE[task.at]}")
    if task.on_cpu >= 0:
        raise Refused(f"{titled(next_name)} is current on cpu{task.on_cpu}")
    if m.rq.neon:
        raise Refused(f"{titled(prev)} is in kernel-mode NEON, which is not preemptible here")
    leave(m)
    m.context_switch(task)


def _idle(m: Program, name: str) -> str:
    return f"idle{m.cpu.id}" if name == "idle" else name


@VERBS.verb("sched_switch, and the next task goes on", TASK, TASK, actors="cpu", touches="cpu next")
def switch(m: Program, actor: str, prev: str, next_name: str) -> None:
    sched_switch(m, actor, prev, next_name)
    go_on(m)


def leave(m: Program) -> None:
    """An interrupt takes the CPU into the host kernel, wherever it is."""
    if m.cpu.mode is GUEST:
        m.guest_exit(m.vcpus[m.current.vcpu], "irq")
    elif m.cpu.mode is USER:
        m.el0_interrupt()


def go_on(m: Program) -> None:
    """Let current go on with what it was doing."""
    task = m.current
    if task.flags & TIF_KERNEL_FPSTATE:
        return
    if task.at is At.USER:
        m.exit_to_user_mode()
    elif task.at is At.GUEST and not m.oops:
        m.guest_enter(m.vcpus[task.vcpu])


@VERBS.verb(
    "is interrupted, and goes on",
    actors="cpu",
)
def irq(m: Program, actor: str) -> None:
    was = m.cpu.mode
    leave(m)
    if was is not KERNEL:
        go_on(m)


@VERBS.verb(
    "is interrupted, and a softirq uses kernel-mode NEON; with a function, when next in it "
    "(`fpsimd_save_and_flush_cpu_state`)",
    words("neon"),
    words("now fpsimd_save_and_flush_cpu_state", optional=True),
    actors="cpu",
    touches="cpu",
)
def softirq(m: Program, actor: str, what: str, function: str = "now") -> None:
    """An interrupt, and on the way out of it a softirq that uses kernel-mode NEON.

    With a function, it is raised when this CPU is next in the middle of that. In
    kernel-mode NEON of a task, as long as that has softirqs off, it waits.
    """
    if function != "now":
        m.rq.softirq = function
        return
    if m.rq.neon and "neon-bh" in m.fixes:
        m.rq.softirq = RAISED
        return
    was = m.cpu.mode
    leave(m)
    m.do_softirq()
    if was is not KERNEL:
        go_on(m)


def interrupted(m: Program, do: Callable[[], None]) -> None:
    """What the kernel does in an interrupt, wherever the CPU is."""
    was = m.cpu.mode
    leave(m)
    do()
    if was is not KERNEL:
        go_on(m)
