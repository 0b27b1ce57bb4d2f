"""A context that is settled is where it reads its registers next, by the shortest way."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness.model.base import Refused
from harness.model.places import in_program
from harness.model.tasks import GONE
from tests.model.walks import SETUPS, Setup

SOME = {name: setup for name, setup in SETUPS.items() if "hvhe" not in name and " v6" not in name}
BUSY = re.compile(
    "kernel-mode NEON is not preemptible|. uses vectors in the kernel.*|p[01] (is stopped|waits).*"
)


def reason(m: Any, setup: Setup, name: str) -> str:
    """Why somebody cannot be settled, '' if he can be unless a CPU is busy."""
    thread = m.vcpus[name].thread if name in m.vcpus else name
    task = m.tasks[thread]
    if task.at in GONE or task.killed or m.oops:
        return f"{thread} {'cannot run' if setup.arch == 'arm64' else 'is not there'}"
    if name in m.vcpus and not getattr(m.vcpus[name], "created", True):
        return f"{name} has not been created"
    nobody = setup.arch == "arm64" and name in m.vcpus and task.vcpu != name
    return f"{name} is not being run" if nobody else ""


def can_execute(m: Any, name: str) -> bool:
    where = m.place(name)
    if where >= 0:
        m.run_on(where)
    try:
        return bool(in_program(m, name))
    except Refused:
        return False


def settled_or(m: Any, name: str) -> str:
    """Settle somebody, or say why that is refused."""
    try:
        m.settle(name)
    except Refused as error:
        return str(error)
    return ""


@pytest.mark.one_in(6)
@pytest.mark.parametrize("setup", SOME.values(), ids=SOME)
def test_who_is_settled_can_execute_an_instruction(setup: Setup) -> None:
    """He who can already stays as he is, and a task is back on the CPU with its registers."""
    settled = 0
    for seed in range(2):
        way = setup.walk(seed, 0)
        m = way.model
        for _ in range(40):
            way.step()
            before = m.capture()
            for name in [*(t for t in m.tasks if not t.startswith("idle")), *m.vcpus]:
                m.restore(before)
                why, could = reason(m, setup, name), can_execute(m, name)
                home = getattr(m.tasks.get(name), "fpsimd_cpu", len(m.rqs))
                waits = home < len(m.rqs) and m.rqs[home].online and m.place(name) < 0
                refused = settled_or(m, name)
                if refused:
                    assert refused == why or BUSY.fullmatch(refused)
                    continue
                assert not why
                assert in_program(m, name)
                assert m.cpu.id == m.place(name)
                if waits:
                    assert m.cpu.id == home
                assert not could or m.capture() == before
                settled += 1
            m.restore(before)
    assert settled > 50
