"""Signals, and the return from a handler."""

from __future__ import annotations

from harness.model.base import Refused
from harness.model.places import in_user
from harness.model.riscv import due
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.table import VERBS
from harness.model.tasks import Mode
from harness.model.verbs import tried


@VERBS.verb(
    "gets a signal: its frame is written, the handler runs next",
    when=in_user,
    touches="cpu",
    tries=tried("signal"),
    leads=[()],
)
def signal(m: Program, actor: str) -> None:
    task = m.tasks[actor]
    m.cpu.mode = Mode.KERNEL
    due.signal(m.task_due[actor])
    m.setup_rt_frame(task)
    m.exit_to_user_mode()


def _in_handler(m: Program, actor: str) -> None:
    if not in_user(m, actor).frames:
        raise Refused(f"{actor} is not in a signal handler")


@VERBS.verb("returns from the handler", when=_in_handler, touches="cpu", tries=tried("signal"))
def sigreturn(m: Program, actor: str) -> None:
    task = m.tasks[actor]
    m.svc()
    due.sigreturn(m.task_due[actor])
    m.rt_sigreturn(task)
    m.exit_to_user_mode()
