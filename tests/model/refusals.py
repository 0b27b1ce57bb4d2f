"""What the models refuse, and in which words: data, so that no change of theirs goes unseen.

    python -m tests.model.refusals

writes `data/refusals-ARCH.txt` anew: a block for each verb and thing that a model has to say of it,
with the machine (a name in `tests/model/walks.py`), a way that is as short as it gets, the event
that is refused at its end, and why. What no walk comes to stands in `data/refusals-told.txt`, which
is written by hand, on the machines of `ODD` too.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.dsl.check import Checker
from harness.dsl.nodes import Event as Line
from harness.dsl.syntax import parse_line
from harness.dsl.write import sentence
from harness.model import ARCHITECTURES, architecture
from harness.model.base import Refused
from harness.model.world import Event, World
from tests.model.arm64 import walk as arm64
from tests.model.riscv import walk as riscv
from tests.model.walks import SETUPS, Setup

DATA = Path(__file__).parent / "data"
SME: dict[str, tuple[int, int]] = {"sve": (16, 64), "sme": (16, 64)}
DEBUG: dict[str, tuple[int, int]] = {**SME, "fgt": (1, 1), "brps": (2, 2)}

# Events that no walk has.
MORE: dict[str, list[Event]] = {
    "arm64": [
        *((who, "rdvl", ()) for who in ("A", "v0")),
        *((who, "svcr_write", ((n,),)) for who in ("A", "v0") for n in (0, 3)),
        *(("A", "one_reg_get", (v, ("v", 0))) for v in ("v0", "v1")),
        *(("A", "ioctl", ("KVM_ARM_VCPU_FINALIZE", v, (4,))) for v in ("v0", "v1")),
        *(("A", "ioctl", ("KVM_GET_REG_LIST", v)) for v in ("v0", "v1")),
        ("v0", "trap", ("dabt",)),
        ("v0", "trap", ("irq",)),
    ],
    "riscv": [
        *((v, "sbi", ("pmu", "counter_start", (0,))) for v in riscv.VCPUS),
        *((v, "sbi", ("srst", "system_reset", (0,))) for v in riscv.VCPUS),
    ],
}


_TWO = (("A", 0), ("B", 1), ("C", -1))
ODD = {
    name: Setup("arm64", spec, mode, World({"cpus": (2, 2)} | more, _TWO, (), vcpus))
    for name, spec, mode, more, vcpus in (
        ("sme guests", "v7.2+sme-guest", "vhe", SME, (("v0", "A", ("sme",)),)),
        ("before SVE", "v4.13", "vhe", SME, (("v0", "A", ()),)),
        ("elsewhere", "v7.3", "vhe", {}, (("v0", "A", ("elsewhere",)),)),
        ("protected guests", "v7.3", "protected", DEBUG, (("v0", "A", ("protected",)),)),
        ("created alone", "v7.3", "vhe", {"aarch32": (1, 1)}, (("v0", "A", ("created",)),)),
    )
} | {
    "two vcpus of a task": SETUPS["rv64 v7.3 much"]._replace(
        world=riscv.WORLDS["much"]._replace(vcpus=(("p0", "A", ()), ("p1", "A", ())))
    )
}

EVERY = SETUPS | ODD


class Refusal(NamedTuple):
    """Where an event is refused: on which machine, after what."""

    setup: str
    way: tuple[Event, ...]
    event: Event
    why: str


def read(name: str) -> Iterator[Refusal]:
    """Those that are kept: of an architecture, or `told`."""
    checkers: dict[str, Checker] = {}
    text = (DATA / f"refusals-{name}.txt").read_text(encoding="utf-8")
    for block in text.split("\n\n"):
        setup, *lines, why = block.strip().split("\n")
        checker = checkers.setdefault(setup, _checker(EVERY[setup]))
        *way, event = (_event(checker, line) for line in lines)
        yield Refusal(setup, tuple(way), event, why.strip())


def _checker(setup: Setup) -> Checker:
    """What a trace of such a world begins with, to parse more lines in."""
    if setup.arch == "arm64":
        told = arm64.written([], setup.world, setup.spec, setup.mode)
    else:
        told = riscv.written([], setup.world, setup.spec)
    checker = Checker("x", "x")
    checker.take(told)
    checker.unborn = dict.fromkeys(setup.world.unborn, 1)
    return checker


def _event(checker: Checker, line: str) -> Event:
    node = parse_line(line)
    assert isinstance(node, Line)
    checked = checker._event(node, 1)
    return checked.actor.text, checked.verb, checked.args


def refused(setup: Setup, way: tuple[Event, ...], event: Event) -> str | None:
    """Why an event is refused after others, None if it is not, or if they do not happen."""
    m = setup.machine()
    for step, before in enumerate(way, 1):
        m.step = step
        try:
            m.apply(*before)
        except Refused:
            return None
    if m.dead(event[0]):
        return None
    try:
        m.apply(*event)
    except Refused as why:
        return str(why)
    return None


def _shape(why: str) -> str:
    return re.sub(r"\b([A-D]|[vp][01]|cpu[01]|0x[0-9a-f]+|[0-9]+)\b", "@", why)


def search(arch: str) -> list[Refusal]:
    """One for each verb and shape of what is said."""
    found: dict[tuple[str, str], Refusal] = {}
    module: Any = arm64 if arch == "arm64" else riscv
    for name, setup in SETUPS.items():
        if setup.arch != arch:
            continue
        # Many short walks first: what is found early has a short way.
        for seed, steps in [*((seed, 8) for seed in range(40)), (40, 120), (41, 120)]:
            way = setup.walk(seed, 0)
            for _ in range(steps):
                way.step()
                m, dice = way.model, random.Random(len(way.events))
                before = m.capture()
                every = [*setup.alphabet(), *module.switches(m), *3 * MORE[arch]]
                for event in dice.sample(every, min(len(every), 400)):
                    event = setup.fill(event, 1)
                    if m.dead(event[0]):
                        continue
                    try:
                        m.apply(*event)
                    except Refused as error:
                        key = event[1], _shape(str(error))
                        if key not in found:
                            story = Refusal(name, tuple(way.events), event, str(error))
                            found[key] = _shortened(setup, story)
                        continue
                    m.restore(before)
    return sorted(found.values(), key=lambda r: (r.event[1], _shape(r.why)))


def _shortened(setup: Setup, story: Refusal) -> Refusal:
    """Without each run of events that it does as well without, the longest first."""
    size = len(story.way)
    while size:
        for at in range(len(story.way) - size + 1):
            less = story.way[:at] + story.way[at + size :]
            why = refused(setup, less, story.event)
            if why is not None and _shape(why) == _shape(story.why):
                story = story._replace(way=less, why=why)
                size += 1  # the same length again, as far as there is as much
                break
        size = min(size - 1, len(story.way))
    return story


def main() -> None:
    for arch in ARCHITECTURES:
        spoken, blocks = architecture(arch), []
        for setup, way, event, why in search(arch):
            w = SETUPS[setup].world
            lines = [sentence(spoken, w, *each) for each in (*way, event)]
            blocks.append("\n".join([setup, *lines, f"    {why}"]))
        (DATA / f"refusals-{arch}.txt").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
