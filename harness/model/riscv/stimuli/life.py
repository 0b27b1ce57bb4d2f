"""Tasks that come, begin anew, and go."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.base import Refused
from harness.model.operands import CHILD
from harness.model.places import in_user
from harness.model.riscv import due
from harness.model.riscv.host.state import Mm
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.table import VERBS
from harness.model.tasks import At
from harness.model.verbs import Try, tried
from harness.model.world import World


def _can_clone(m: Program, actor: str, child: str) -> None:
    in_user(m, actor)
    if m.tasks[child].at is not At.UNBORN:
        raise Refused(f"{child} exists already")


def _clone(m: Program, actor: str, name: str, clone_vm: bool) -> None:
    parent, child = m.tasks[actor], m.tasks[name]
    m.svc()
    child.host = parent.host
    due.fork(m.task_due[actor], m.task_due[name], clone_vm)
    m.arch_dup_task_struct(child, parent)
    m.copy_thread(child, parent, clone_vm)
    child.at = At.USER
    m.exit_to_user_mode()


def _forks(w: World, who: str, current: str) -> Iterator[Try]:
    yield from (Try(("life",), (child,)) for child in w.unborn)


@VERBS.verb("makes a child, which waits for a CPU", CHILD, when=_can_clone, tries=_forks)
def fork(m: Program, actor: str, child: str) -> None:
    _clone(m, actor, child, clone_vm=False)


@VERBS.verb("makes a thread that shares its memory, and waits for a CPU", CHILD, when=_can_clone)
def clone(m: Program, actor: str, child: str) -> None:
    _clone(m, actor, child, clone_vm=True)


def _is_alone(m: Program, actor: str) -> None:
    task = in_user(m, actor)
    if any(t.mm == task.mm and t is not task for t in m.tasks.values()):
        raise Refused(f"{actor} shares its memory with other threads, which exec would kill")


@VERBS.verb("starts a new program", when=_is_alone, tries=tried("life"))
def exec_(m: Program, actor: str) -> None:
    task = m.tasks[actor]
    m.svc()
    due.exec_(m.task_due[actor])
    m.mms[task.mm] = Mm()
    m.flush_thread(task)
    m.start_thread(task)
    task.frames = ()
    m.exit_to_user_mode()


@VERBS.verb("dies; the CPU idles", when=in_user, tries=tried("life"))
def exit_(m: Program, actor: str) -> None:
    m.svc()
    m.tasks[actor].at = At.DEAD
    m.context_switch(m.tasks[f"idle{m.cpu.id}"])
