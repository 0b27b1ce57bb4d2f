"""One thread, every guest: its registers after KVM_RUN, and the guest's own."""

from __future__ import annotations

import itertools

import pytest

from harness.model.arm64 import language
from tests.model.arm64.observed.kernels import machine
from tests.model.arm64.observed.lines import Line, kernel, of
from tests.model.arm64.observed.programs import HEAD, Guest, Steps, Thread, replay


def _groups() -> dict[str, list[Line]]:
    """The lines by run: the same thread and vcpu, KVM_RUN after KVM_RUN."""
    groups: dict[str, list[Line]] = {}
    for file, lines in of("regs").items():
        for line in lines:
            says = line.says
            key = f"{file} {says['vcpu']} {says['guest']} {says['host']}"
            groups.setdefault(key, []).append(line)
    return groups


GROUPS = _groups()


@pytest.mark.one_in(8)
@pytest.mark.parametrize("lines", GROUPS.values(), ids=GROUPS)
def test_registers_after_kvm_run(lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> None:
    """V is kept, Z above it, P and FFR are zero, the length is as before; so are a guest's own."""
    first = lines[0]
    spec, mode = kernel(first.file)
    monkeypatch.setitem(language.MACHINES, "vhe", machine(first.file))
    says = first.says
    wide, sve = says["host"] == "Z", says["vcpu"] == "sve"
    thread = Thread("A", itertools.count(0xA0001))
    guest = Guest(says["guest"], "v0", sve)

    def steps() -> Steps:
        for it in range(len(lines)):
            yield from thread.fill(wide)
            yield from thread.kvm_run(guest, it)
            yield from thread.compare(wide)
            yield "A syscall", None  # prints the line

    head = HEAD.format(mode=mode, sme="; sme 16..256" if "sme" in first.file else "", spec=spec)
    vcpu = "vm V { vcpu v0 in A sve }" if sve else "vm V { vcpu v0 in A }"
    run = replay(steps(), f"{head}task A\n{vcpu}\n", spec, mode)
    if "fpbug17" not in first.file:  # where every run leaves SVE untrapped
        corrupt = any(x.says["Vlow128"] == "CORRUPT" for x in lines)
        assert bool(run.outcome.violations) == corrupt
        assert set(run.outcome.kinds) <= {"lost", "stale"}
    for line, registers, codes in zip(lines, thread.found, guest.runs, strict=True):
        seen = {name: line.says[name] for name in registers}
        assert registers == seen, line.text
        code = line.says["code"]
        assert codes.get(code) == int(line.says["value"], 16), line.text
