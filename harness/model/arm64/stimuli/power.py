"""CPUs that sleep, go off line, and come back."""

from __future__ import annotations

from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import quiet
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import words
from harness.model.verbs import tried, tried_each


@VERBS.verb(
    "idles or suspends, loses power, and is back (CPU_PM enter and exit)",
    when=quiet,
    actors="cpu",
    touches="cpu",
    tries=tried("power"),
)
def cpu_pm(m: Program, actor: str) -> None:
    m.cpu_suspend()


def _can_change(m: Program, actor: str, what: str) -> None:
    if m.rq.online == (what == "on"):
        raise Refused(f"{actor} is {'on' if m.rq.online else 'off'} line already")
    if what == "on":
        return
    if not m.current.name.startswith("idle"):
        raise Refused(f"{actor} runs {m.current.name}: only an idle CPU goes off line")
    if sum(rq.online for rq in m.rqs) == 1:
        raise Refused(f"{actor} is the last CPU that is on line")


@VERBS.verb(
    "goes off line, or comes back with its registers reset",
    words("off on"),
    when=_can_change,
    actors="cpu",
    tries=tried_each("power", "off", "on"),
    leads=[("on",)],
)
def hotplug(m: Program, actor: str, what: str) -> None:
    if what == "on":
        m.cpu_up()
    else:
        m.cpu_down()
