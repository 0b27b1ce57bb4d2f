"""Tasks that come, begin anew, and go."""

from __future__ import annotations

from harness.model.arm64 import due
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import by_syscall, in_user_or_syscall
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import CHILD
from harness.model.places import in_user
from harness.model.tasks import At


@VERBS.verb(
    "makes a child, which waits for a CPU",
    CHILD,
)
def fork(m: Program, actor: str, child_name: str) -> None:
    _clone(m, actor, child_name, clone_vm=False)


@VERBS.verb(
    "makes a thread that shares its memory, and waits for a CPU",
    CHILD,
)
def clone(m: Program, actor: str, child_name: str) -> None:
    _clone(m, actor, child_name, clone_vm=True)


def _clone(m: Program, actor: str, child_name: str, clone_vm: bool) -> None:
    """A whole system call from user space; in one, the copying alone."""
    in_user_or_syscall(m, actor)
    child = m.tasks[child_name]
    if child.at is not At.UNBORN:
        raise Refused(f"{child_name} exists already, or did")

    def step() -> None:
        due.fork(m.task_due[actor], m.task_due[child_name], clone_vm)
        m.arch_dup_task_struct(child)
        m.copy_thread(child, clone_vm)

    by_syscall(m, step)


@VERBS.verb(
    "starts a new program",
)
def exec_(m: Program, actor: str) -> None:
    in_user_or_syscall(m, actor)

    def step() -> None:
        due.exec_(m.task_due[actor], m.config)
        m.fpsimd_flush_thread()

    by_syscall(m, step)


@VERBS.verb(
    "has died, and left its CPU by `sched_switch`; now its memory is freed",
)
def release(m: Program, actor: str) -> None:
    task = m.tasks[actor]
    if task.on_cpu >= 0 or task.at not in (At.USER, At.SYSCALL) or task.vcpu:
        raise Refused(f"{actor} is not off its CPU for good")
    m.free_task(task)


@VERBS.verb(
    "dies; its memory is freed, the CPU idles",
)
def exit_(m: Program, actor: str) -> None:
    in_user(m, actor)
    m.svc()
    m.do_exit()
