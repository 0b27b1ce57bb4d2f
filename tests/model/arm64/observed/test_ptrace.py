"""A tracer writes a vcpu thread's registers at the entry or the exit stop of KVM_RUN."""

from __future__ import annotations

import itertools

import pytest

from harness.model.arm64 import language
from harness.model.values import Quads
from tests.model.arm64.observed.kernels import machine
from tests.model.arm64.observed.lines import Line, kernel, of
from tests.model.arm64.observed.programs import HEAD, Guest, Step, Steps, Thread, replay

# For each file the lines, each of which is a run of its own.
GROUPS = {f"{line.id}": [line] for lines in of("ptrace").values() for line in lines}
REGISTERS = (0, 31)


class Tracer:
    """T, which stops A in a system call; `found` is what A finds afterwards."""

    def __init__(self, line: Line, values: itertools.count[int]) -> None:
        self.sve = line.says["write"] == "SVE"
        self.values = values
        self.wrote: dict[int, int] = {}
        self.header: dict[str, int] = {}
        self.found = {"Vlow128": "as-written", "Zupper": ""}

    def writes(self) -> Steps:
        """The whole stop: A waits, T writes by NT_ARM_SVE or NT_PRFPREG, A is current again."""
        yield "cpu0 switch A -> T", None
        if self.sve:
            yield self._reads("flags")
            yield self._reads("vl")
            yield self._reads("size")
        self.wrote = {n: next(self.values) for n in REGISTERS}
        kind, regset = ("z", "NT_ARM_SVE") if self.sve else ("v", "NT_PRFPREG")
        fields = ", ".join(f"{kind}{n} = {value:#x}" for n, value in self.wrote.items())
        yield f"T ptrace set A {regset} {{{fields}, fpsr = 0, fpcr = 0}}", None
        yield "expect no errno", None
        yield "cpu0 sched_switch T -> A", None

    def _reads(self, field: str) -> Step:
        def look(seen: Quads) -> None:
            self.header[field] = seen[0].bits

        return f"T ptrace get A NT_ARM_SVE {field}", look

    def compares(self, before: dict[str, int]) -> Steps:
        for n, value in self.wrote.items():
            yield f"A read z{n}", self._compare(value, before[f"z{n}"])

    def _compare(self, value: int, before: int):  # type: ignore[no-untyped-def]
        def look(seen: Quads) -> None:
            low = {value: "as-written", before: "STALE(pre-ptrace)"}.get(seen[0].bits, "CORRUPT")
            upper = {quad.bits for quad in seen[1:]}
            word = "zero" if upper == {0} else "as-written" if upper == {value} else "CORRUPT"
            if low != "as-written":
                self.found["Vlow128"] = low
            assert self.found["Zupper"] in ("", word)
            self.found["Zupper"] = word

        return look


@pytest.mark.parametrize("lines", GROUPS.values(), ids=GROUPS)
def test_what_a_tracer_writes(lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is there afterwards, but for SVE registers at the entry stop."""
    (line,) = lines
    says = line.says
    spec, mode = kernel(line.file)
    monkeypatch.setitem(language.MACHINES, "vhe", machine(line.file))
    values = itertools.count(0xA0001)
    thread, tracer = Thread("A", values), Tracer(line, values)
    guest = Guest(says["guest"], "v0", says["vcpu"] == "sve")

    def steps() -> Steps:
        yield from thread.fill(True)
        yield "A syscall_enter", None
        if says["at"] == "entry-stop":
            yield from tracer.writes()
        yield "v0 vcpu_load", None
        yield "v0 guest_enter", None
        yield from guest.run(0)
        yield "v0 vcpu_put", None
        if says["at"] == "exit-stop":
            yield from tracer.writes()
        yield "A ret_to_user", None
        yield from tracer.compares(thread.wrote)

    sve = " sve" if guest.sve else ""
    head = HEAD.format(mode=mode, sme="; sme 16..256", spec=spec)
    run = replay(steps(), f"{head}task A, T\nvm V {{ vcpu v0 in A{sve} }}\n", spec, mode)
    assert tracer.found == {name: says[name] for name in tracer.found}, line.text
    assert tracer.header == {n: int(says[n]) for n in ("flags", "vl", "size") if n in says}, (
        line.text
    )
    assert bool(run.outcome.violations) == ("STALE" in says["Vlow128"]), run.outcome.violations
