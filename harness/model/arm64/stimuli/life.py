"""Tasks that come, begin anew, and go."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.arm64 import due
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import by_syscall, in_user_or_syscall
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import CHILD
from harness.model.places import in_user
from harness.model.tasks import At
from harness.model.verbs import Try, tried
from harness.model.world import World


def _can_clone(m: Program, actor: str, child: str) -> None:
    in_user_or_syscall(m, actor)
    if m.tasks[child].at is not At.UNBORN:
        raise Refused(f"{child} exists already, or did")


def _forks(w: World, who: str, current: str) -> Iterator[Try]:
    yield from (Try(("life",), (child,)) for child in w.unborn)


@VERBS.verb("makes a child, which waits for a CPU", CHILD, when=_can_clone, tries=_forks)
def fork(m: Program, actor: str, child: str) -> None:
    _clone(m, actor, child, clone_vm=False)


@VERBS.verb("makes a thread that shares its memory, and waits for a CPU", CHILD, when=_can_clone)
def clone(m: Program, actor: str, child: str) -> None:
    _clone(m, actor, child, clone_vm=True)


def _clone(m: Program, actor: str, name: str, clone_vm: bool) -> None:
    """A whole system call from user space; in one, the copying alone."""
    child = m.tasks[name]

    def step() -> None:
        due.fork(m.task_due[actor], m.task_due[name], clone_vm)
        m.arch_dup_task_struct(child)
        m.copy_thread(child, clone_vm)

    by_syscall(m, step)


@VERBS.verb("starts a new program", when=in_user_or_syscall, tries=tried("life"))
def exec_(m: Program, actor: str) -> None:
    def step() -> None:
        due.exec_(m.task_due[actor], m.config)
        m.fpsimd_flush_thread()

    by_syscall(m, step)


def _is_off_its_cpu(m: Program, actor: str) -> None:
    task = m.tasks[actor]
    if task.on_cpu >= 0 or task.at not in (At.USER, At.SYSCALL) or task.vcpu:
        raise Refused(f"{actor} is not off its CPU for good")


@VERBS.verb(
    "has died, and left its CPU by `sched_switch`; now its memory is freed", when=_is_off_its_cpu
)
def release(m: Program, actor: str) -> None:
    m.free_task(m.tasks[actor])


@VERBS.verb("dies; its memory is freed, the CPU idles", when=in_user, tries=tried("life"))
def exit_(m: Program, actor: str) -> None:
    m.svc()
    m.do_exit()
