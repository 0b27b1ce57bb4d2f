"""Tasks that come, begin anew, and go."""

from __future__ import annotations

from harness.model.base import Refused
from harness.model.operands import CHILD
from harness.model.places import in_user
from harness.model.riscv import due
from harness.model.riscv.host.state import Mm
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.scheduler import switch_to
from harness.model.riscv.stimuli.table import VERBS
from harness.model.tasks import At


def _bear(m: Program, actor: str, name: str, clone_vm: bool) -> None:
    parent, child = in_user(m, actor), m.tasks[name]
    if child.at is not At.UNBORN:
        raise Refused(f"{name} exists already")
    m.svc(parent)
    child.host = parent.host
    due.fork(m.task_due[actor], m.task_due[name], clone_vm)
    m.arch_dup_task_struct(child, parent)
    m.copy_thread(child, parent, clone_vm)
    child.at = At.USER
    m.exit_to_user_mode()


@VERBS.verb(
    "makes a child, which waits for a CPU",
    CHILD,
)
def fork(m: Program, actor: str, child: str) -> None:
    _bear(m, actor, child, clone_vm=False)


@VERBS.verb(
    "makes a thread that shares its memory, and waits for a CPU",
    CHILD,
)
def clone(m: Program, actor: str, child: str) -> None:
    _bear(m, actor, child, clone_vm=True)


@VERBS.verb(
    "starts a new program",
)
def exec_(m: Program, actor: str) -> None:
    task = in_user(m, actor)
    if any(t.mm == task.mm and t is not task for t in m.tasks.values()):
        raise Refused(f"{actor} shares its memory with other threads, which exec would kill")
    m.svc(task)
    due.exec_(m.task_due[actor])
    m.mms[task.mm] = Mm()
    m.flush_thread(task)
    m.start_thread(task)
    task.frames = ()
    m.exit_to_user_mode()


@VERBS.verb(
    "dies; the CPU idles",
)
def exit_(m: Program, actor: str) -> None:
    task = in_user(m, actor)
    m.svc(task)
    task.at = At.DEAD
    switch_to(m, m.tasks[f"idle{m.cpu.id}"])
