"""Softirqs that use kernel-mode NEON, and wait until they can."""

from __future__ import annotations

from typing import Any

from harness.model import architecture
from tests.model.walks import SETUPS, WORLDS, Setup


def begins(setup: Setup, *events: tuple[str, tuple[str, ...]]) -> list[int]:
    """How often kernel-mode NEON begins in each event of A, and of cpu0 if it is a softirq."""
    kernel = architecture("arm64").catalogue.kernel(setup.spec)
    m: Any = architecture("arm64").machine(kernel, setup.mode, setup.world, True)
    found = []
    for verb, args in events:
        m.log.clear()
        m.apply("cpu0" if verb == "softirq" else "A", verb, args)
        found.append(sum(each.text == "kernel_neon_begin" for each in m.log))
    return found


IN_NEON = (("syscall_enter", ()), ("neon_begin", ()), ("softirq", ("neon", "now")))


def test_a_softirq_waits_for_the_end_of_kernel_mode_neon() -> None:
    """While kernel-mode NEON has softirqs off, until v6.8."""
    assert begins(SETUPS["vhe v6.6 plain"], *IN_NEON, ("neon_end", ())) == [0, 1, 0, 1]
    before = Setup("arm64", "v4.17", "vhe", WORLDS["arm64"]["plain"])
    assert begins(before, *IN_NEON, ("neon_end", ())) == [0, 1, 0, 0]
