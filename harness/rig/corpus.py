"""Which machines it takes to run traces, and their scripts."""

from __future__ import annotations

from collections.abc import Iterable

from harness.drive.script import Driven
from harness.rig.machine import Cpu


def machines(tests: Iterable[Driven]) -> dict[Cpu, list[Driven]]:
    """The CPUs that these tests need, and the tests of each; as few as will do.

    Tests of one machine agree in vector lengths and in FA64. SME2 and FPMR are there for all of
    them if one needs it: the others do not use it.
    """
    groups: dict[Cpu, list[Driven]] = {}
    for test in tests:
        key = Cpu(_lengths(test, "sve"), _lengths(test, "sme"), fa64="fa64" in test.machine)
        groups.setdefault(key, []).append(test)
    return {_whole(cpu, group): group for cpu, group in groups.items()}


def _whole(cpu: Cpu, tests: list[Driven]) -> Cpu:
    sme2, fpmr = (any(word in test.machine for test in tests) for word in ("sme2", "fpmr"))
    whole = cpu._replace(sme2=sme2)
    return whole._replace(fpmr=True if fpmr or whole.needs_new else None)


def _lengths(test: Driven, kind: str) -> tuple[int, int] | None:
    for word in test.machine:
        name, *bounds = word.split()
        if name == kind:
            return int(bounds[0]), int(bounds[1])
    return None


def slug(cpu: Cpu) -> str:
    """A name for a file."""
    return str(cpu._replace(fpmr=cpu.fpmr or False)).replace("; ", "+").replace(" ", "")
