"""The scheduler, interrupts and softirqs."""

from __future__ import annotations

from harness.model.base import Refused
from harness.model.operands import TASK, words
from harness.model.riscv.host.state import Task
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.table import VERBS
from harness.model.tasks import GONE, WHERE, At, Mode, titled


@VERBS.verb("the next task is current, in the kernel", TASK, TASK, actors="cpu", touches="cpu next")
def sched_switch(m: Program, actor: str, prev: str, following: str) -> None:
    prev, following = _idle(m, prev), _idle(m, following)
    current, task = m.current, m.tasks[following]
    if current.name != prev:
        raise Refused(f"{actor} runs {titled(current.name)}, not {titled(prev)}")
    if task.at in GONE:
        raise Refused(f"{following} {WHERE[task.at]}")
    if task.on_cpu >= 0:
        raise Refused(f"{titled(following)} is current on cpu{task.on_cpu}")
    if task.host != m.cpu.host:
        raise Refused(f"{following} is a task of the other host")
    if current.kernel_mode_v and not m.preemptible:
        raise Refused(
            f"{titled(prev)} uses vectors in the kernel, with softirqs and preemption off"
        )
    _leave(m)
    switch_to(m, task)


def _idle(m: Program, name: str) -> str:
    return f"idle{m.cpu.id}" if name == "idle" else name


def switch_to(m: Program, task: Task) -> None:
    prev = m.current
    if prev.at is not At.DEAD:
        m.fire_sched_out_preempt_notifiers()
    m.switch_to(prev, task)
    prev.on_cpu = -1
    m.rqs[m.cpu.id].current = task.name
    task.on_cpu = m.cpu.id
    m.fire_sched_in_preempt_notifiers()


@VERBS.verb("sched_switch, and the next task goes on", TASK, TASK, actors="cpu", touches="cpu next")
def switch(m: Program, actor: str, prev: str, following: str) -> None:
    sched_switch(m, actor, prev, following)
    go_on(m)


def _leave(m: Program) -> None:
    """An interrupt takes the CPU into the host kernel, wherever it is."""
    if m.cpu.mode is Mode.GUEST:
        m.guest_exit(m.vcpus[m.current.vcpu])
        m.current.at = At.GUEST
    m.cpu.mode = Mode.KERNEL


def go_on(m: Program) -> None:
    """Let current go on with what it was doing."""
    task = m.current
    if task.kernel_mode_v:
        return
    if task.at is At.USER:
        m.exit_to_user_mode()
    elif task.at is At.GUEST:
        m.guest_enter_again(m.vcpus[task.vcpu])


@VERBS.verb(
    "is interrupted, and goes on",
    actors="cpu",
)
def irq(m: Program, actor: str) -> None:
    was = m.cpu.mode
    _leave(m)
    if was is not Mode.KERNEL:
        go_on(m)


@VERBS.verb(
    "is interrupted, and a softirq uses vectors", words("vector"), actors="cpu", touches="cpu"
)
def softirq(m: Program, actor: str, what: str) -> None:
    """An interrupt, and on the way out of it a softirq that uses vectors in the kernel."""
    if m.current.kernel_mode_v or not m.has_vector:
        raise Refused(f"no softirq on {actor} can use vectors now")
    was = m.cpu.mode
    _leave(m)
    if m.kernel_vector:
        m.kernel_vector_begin()
        m.use_vector_in_kernel()
        m.kernel_vector_end()
    if was is not Mode.KERNEL:
        go_on(m)
