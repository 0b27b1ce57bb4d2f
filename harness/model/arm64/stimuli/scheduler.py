"""Softirqs."""

from __future__ import annotations

from harness.model.arm64.host.softirq import RAISED
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.table import VERBS
from harness.model.operands import words
from harness.model.shared import interrupted
from harness.model.verbs import tried


@VERBS.verb(
    "is interrupted, and a softirq uses kernel-mode NEON; with a function, when next in it "
    "(`fpsimd_save_and_flush_cpu_state`)",
    words("neon"),
    words("fpsimd_save_and_flush_cpu_state", optional=True, called="FUNCTION", default="now"),
    actors="cpu",
    touches="cpu",
    tries=tried("softirq", "neon"),
)
def softirq(m: Program, actor: str, what: str, function: str = "now") -> None:
    """An interrupt, and on the way out of it a softirq that uses kernel-mode NEON.

    With a function, it is raised when this CPU is next in the middle of that. In
    kernel-mode NEON of a task, as long as that has softirqs off, it waits.
    """
    if function != "now":
        m.rq.softirq = function
    elif m.rq.neon and "neon-bh" in m.fixes:
        m.rq.softirq = RAISED
    else:
        interrupted(m, m.do_softirq)
