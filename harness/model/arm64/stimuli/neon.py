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


@VERBS.verb("kernel_neon_begin(), in a system call", touches="cpu")
def neon_begin(m: Program, actor: str) -> None:
    task = in_kernel(m, actor, At.SYSCALL, At.RUN)
    not_in_neon(m, task)
    m.kernel_neon_begin()
    if not m.oops:
        m.use_neon(task.addr)
        m.task_due[actor].neon = m.cpu.z


@VERBS.verb("kernel_neon_end()", touches="cpu")
def neon_end(m: Program, actor: str) -> None:
    task = in_kernel(m, actor, At.SYSCALL, At.RUN)
    if not in_neon(m, task):
        raise Refused(f"{actor} is not in kernel-mode NEON")
    end_neon(m, task)


def end_neon(m: Program, task: Task) -> None:
    m.task_due[task.name].neon = EMPTY
    m.kernel_neon_end()
