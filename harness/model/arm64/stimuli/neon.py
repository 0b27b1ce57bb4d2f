"""Kernel-mode NEON in a system call."""

from __future__ import annotations

from harness.model.arm64.host.state import Task
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import in_neon, not_in_neon
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.places import in_kernel
from harness.model.tasks import At
from harness.model.values import EMPTY
from harness.model.verbs import tried


def _can_begin(m: Program, actor: str) -> None:
    not_in_neon(m, in_kernel(m, actor, At.SYSCALL, At.RUN))


@VERBS.verb(
    "kernel_neon_begin(), in a system call",
    when=_can_begin,
    touches="cpu",
    tries=tried("neon", where="kernel"),
    leads=[()],
)
def neon_begin(m: Program, actor: str) -> None:
    m.kernel_neon_begin()
    if not m.oops:
        m.use_neon(m.current.addr)
        m.task_due[actor].neon = m.cpu.z


def _can_end(m: Program, actor: str) -> None:
    if not in_neon(m, in_kernel(m, actor, At.SYSCALL, At.RUN)):
        raise Refused(f"{actor} is not in kernel-mode NEON")


@VERBS.verb(
    "kernel_neon_end()",
    when=_can_end,
    touches="cpu",
    tries=tried("neon", where="kernel"),
    leads=[()],
)
def neon_end(m: Program, actor: str) -> None:
    end_neon(m, m.tasks[actor])


def end_neon(m: Program, task: Task) -> None:
    m.task_due[task.name].neon = EMPTY
    m.kernel_neon_end()
