"""Two or three threads on one CPU, each of which checks its own registers.

The recordings tell how often a thread found something wrong, not when it was
preempted. So each case is played many times, with other preemptions each time:
what was never seen wrong must never be wrong, what was must be so some time.
"""

from __future__ import annotations

import itertools
import random

import pytest

from harness.model.arm64 import language
from tests.model.arm64.observed.kernels import machine
from tests.model.arm64.observed.lines import Line, kernel, of
from tests.model.arm64.observed.programs import HEAD, Guest, Step, Steps, Thread, replay

ROUNDS = 4
PLAYS = 20
YIELD: Step = ("", None)


class Loop:
    """One of the competing threads: an endless loop of fill, act, compare."""

    def __init__(self, line: Line, n: int, values: itertools.count[int]) -> None:
        says = line.says
        self.kind = says["kind"]
        self.thread = Thread("ABC"[n], values)
        self.guest: Guest | None = None
        if says["guest"] != "-":
            self.guest = Guest(says["guest"], f"v{n}", says["vcpu"] == "sve")
        # What each comparison must find.
        self.due: list[dict[str, str]] = []

    def steps(self) -> Steps:
        it = 0
        while True:
            yield from getattr(self, "_" + self.kind)(it)
            it += 1

    def _compare(self, wide: bool, kept: bool) -> Steps:
        upper = ("preserved", "preserved,ffr=set") if kept else ("zero", "zero,ffr=00")
        self.due.append(
            {"Vlow128": "preserved", "VL": "64,64", "Zupper": upper[0], "P": upper[1]}
            if wide
            else {"Vlow128": "preserved", "VL": "0,0", "Zupper": "-", "P": "-"}
        )
        yield from self.thread.compare(wide)

    def _vcpu(self, it: int) -> Steps:
        assert self.guest is not None
        yield from self.thread.fill(False)
        yield from self.thread.kvm_run(self.guest, it)
        yield from self._compare(False, True)

    def _vcpuZ(self, it: int) -> Steps:
        assert self.guest is not None
        yield from self.thread.fill(True)
        yield from self.thread.kvm_run(self.guest, it)
        yield from self._compare(True, False)

    def _vcpuZspin(self, it: int) -> Steps:
        assert self.guest is not None
        yield from self.thread.kvm_run(self.guest, it)
        yield from self._Zspin(it)

    def _Zspin(self, it: int) -> Steps:
        yield from self.thread.fill(True)
        yield YIELD
        yield from self._compare(True, True)

    def _Vspin(self, it: int) -> Steps:
        yield from self.thread.fill(False)
        yield YIELD
        yield from self._compare(False, True)

    def _Vyield(self, it: int) -> Steps:
        yield from self.thread.fill(False)
        yield f"{self.thread.name} syscall_enter", None
        yield YIELD
        yield f"{self.thread.name} ret_to_user", None
        yield from self._compare(False, True)

    def _neon(self, it: int) -> Steps:
        name = self.thread.name
        yield f"{name} syscall_enter", None
        yield f"{name} neon_begin", None
        yield f"{name} neon_end", None
        yield f"{name} ret_to_user", None


def _scheduled(loops: list[Loop], seed: int) -> Steps:
    """The loops on one CPU, preempted where the dice say, and where they wait."""
    dice = random.Random(seed)
    ways = [loop.steps() for loop in loops]
    now = 0
    for _ in range(60 * ROUNDS):
        text, look = next(ways[now])
        if text:
            yield text, look
        atomic = text.endswith(("neon_begin", "trap sve"))
        if not text or (not atomic and dice.random() < 0.1):
            to = dice.choice([n for n in range(len(loops)) if n != now])
            old, new = loops[now].thread.name, loops[to].thread.name
            yield f"cpu0 switch {old} -> {new}", None
            now = to


def _play(lines: list[Line], seed: int) -> list[list[tuple[str, str]]]:
    """What each thread found wrong: the registers and what was in them."""
    spec, mode = kernel(lines[0].file)
    values = itertools.count(0xA0001)
    loops = [Loop(line, n, values) for n, line in enumerate(lines)]
    head = HEAD.format(mode=mode, sme="", spec=spec)
    head += "task " + ", ".join(loop.thread.name for loop in loops) + "\n"
    vcpus = [
        f"vcpu {g.vcpu} in {loop.thread.name}" + (" sve" if g.sve else "")
        for loop in loops
        if (g := loop.guest) is not None
    ]
    head += "vm V { " + "; ".join(vcpus) + " }\n"
    replay(_scheduled(loops, seed), head, spec, mode)
    wrong: list[list[tuple[str, str]]] = []
    for loop in loops:
        # The last comparison may not have come to its end.
        done = list(zip(loop.due, loop.thread.found, strict=False))[:-1]
        wrong.append(
            [(k, found[k]) for due, found in done for k in due if due[k] != found[k]],
        )
    return wrong


def _groups() -> dict[str, list[Line]]:
    groups: dict[str, list[Line]] = {}
    for file, lines in of("compete").items():
        for line in lines:
            groups.setdefault(f"{file} {line.says['name']}", []).append(line)
    return groups


GROUPS = _groups()


@pytest.mark.one_in(8)
@pytest.mark.parametrize("lines", GROUPS.values(), ids=GROUPS)
def test_competing_threads(lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that was never seen to lose registers never does; one that was, sometimes does."""
    monkeypatch.setitem(language.MACHINES, "vhe", machine(lines[0].file))
    wrong: list[set[tuple[str, str]]] = [set() for _ in lines]
    for seed in range(PLAYS):
        for found, all_found in zip(_play(lines, seed), wrong, strict=True):
            all_found.update(found)
    for line, ever in zip(lines, wrong, strict=True):
        if line.says["bad"] == "0":
            assert not ever, line.text
        else:
            assert "Zup-zero" in line.text
            assert ("Zupper", "zero") in ever, line.text
            assert not any(what == "Vlow128" for what, _ in found), line.text
