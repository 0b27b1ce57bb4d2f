"""Signals, and the return from a handler."""

from __future__ import annotations

from harness.model.base import Refused
from harness.model.places import in_user
from harness.model.riscv import due
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.table import VERBS
from harness.model.tasks import Mode


@VERBS.verb("gets a signal: its frame is written, the handler runs next", touches="cpu")
def signal(m: Program, actor: str) -> None:
    task = in_user(m, actor)
    m.cpu.mode = Mode.KERNEL
    due.signal(m.task_due[actor])
    m.setup_rt_frame(task)
    m.exit_to_user_mode()


@VERBS.verb("returns from the handler", touches="cpu")
def sigreturn(m: Program, actor: str) -> None:
    task = in_user(m, actor)
    if not task.frames:
        raise Refused(f"{actor} is not in a signal handler")
    m.svc(task)
    due.sigreturn(m.task_due[actor])
    m.rt_sigreturn(task)
    m.exit_to_user_mode()
