"""CPUs that sleep."""

from __future__ import annotations

from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import quiet
from harness.model.arm64.stimuli.table import VERBS
from harness.model.verbs import tried


@VERBS.verb(
    "idles or suspends, loses power, and is back (CPU_PM enter and exit)",
    when=quiet,
    actors="cpu",
    touches="cpu",
    tries=tried("power"),
)
def cpu_pm(m: Program, actor: str) -> None:
    m.cpu_suspend()
