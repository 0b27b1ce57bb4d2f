"""A thread with ZA, in streaming mode or not, around KVM_RUN."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from harness.model.values import Quads
from tests.model.arm64.observed.lines import Line, kernel, of
from tests.model.arm64.observed.programs import HEAD, Guest, Steps, replay


def _groups() -> dict[str, list[Line]]:
    """The lines by run: the same vcpu and mode, KVM_RUN after KVM_RUN."""
    groups: dict[str, list[Line]] = {}
    for file, lines in of("sme").items():
        for line in lines:
            says = line.says
            if "guest" in says:
                key = f"{file} {says['vcpu']} {says['guest']} sm={says['sm']}"
                groups.setdefault(key, []).append(line)
    return groups


GROUPS = _groups()


@pytest.mark.parametrize("lines", GROUPS.values(), ids=GROUPS)
def test_svcr_and_za_after_kvm_run(lines: list[Line]) -> None:
    """ZA and PSTATE.ZA are kept over KVM_RUN, PSTATE.SM is 0 afterwards (the syscall ABI)."""
    says = lines[0].says
    spec, mode = kernel(lines[0].file)
    sve = says["vcpu"] == "sve"
    guest = Guest(says["guest"], "v0", sve)
    values = itertools.count(0xA0001)
    found: list[dict[str, str]] = []

    def svcr(into: dict[str, str], name: str, seen: Quads) -> None:
        into[name] = str(seen[0].bits)

    def za_of(into: dict[str, str], wrote: int, seen: Quads) -> None:
        into["ZA"] = "preserved" if seen[0].bits == wrote else "CORRUPT"

    def steps() -> Steps:
        for it in range(len(lines)):
            now: dict[str, str] = {}
            found.append(now)
            za = next(values)
            yield "A smstart za", None
            yield f"A write za = {za:#x}", None
            if says["sm"] == "1":
                yield "A smstart sm", None
            yield "A read svcr", partial(svcr, now, "before")
            yield "A ioctl KVM_RUN v0", None
            yield from guest.run(it)
            yield "A ret_to_user", None
            yield "A read svcr", partial(svcr, now, "after")
            yield "A read za", partial(za_of, now, za)

    vcpu = "vm V { vcpu v0 in A sve }" if sve else "vm V { vcpu v0 in A }"
    head = HEAD.format(mode=mode, sme="; sme 16..256", spec=spec)
    run = replay(steps(), f"{head}task A\n{vcpu}\n", spec, mode)
    assert not run.outcome.violations
    svl = 16 * run.model.tasks["A"].sme_vl  # type: ignore[attr-defined]
    for line, registers, codes in zip(lines, found, guest.runs, strict=True):
        assert registers == {n: line.says[n] for n in registers}, line.text
        assert str(svl) == line.says["svl"]
        assert codes.get(line.says["code"]) == int(line.says["value"], 16), line.text
