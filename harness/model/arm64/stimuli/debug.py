"""The host's own use of breakpoints, the PMU, and profiling."""

from __future__ import annotations

from typing import Any

from harness.model.arm64.cpu.sysreg import (
    PMBLIMITR_EL1_E,
    PMSCR_EL1_E0SPE_E1SPE,
    PMUSERENR_ER_CR,
    TRBLIMITR_EL1_E,
    TRFCR_EL1_E0TRE_E1TRE,
)
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import ADDRESS, words
from harness.model.shared import interrupted


def _equipped(m: Program, setting: str) -> None:
    if not getattr(m.config, setting):
        raise Refused(f"this machine has none: `{setting} 1` on the machine line gives it one")


def _has_pmu(m: Program, actor: str, what: str) -> None:
    _equipped(m, "pmu")


def _has_unit(m: Program, actor: str, unit: str, what: str) -> None:
    _equipped(m, unit)


def _has_breakpoints(m: Program, actor: str, address: int) -> None:
    _equipped(m, "brps")


def _owns(m: Program, **regs: Any) -> None:
    """The host's kernel sets registers of this CPU, and must find them so."""
    owed = m.host_due[m.cpu.id]
    owed.sys = owed.sys._replace(**regs)


def _sets(m: Program, **regs: Any) -> None:
    _owns(m, **regs)
    m.set_sys(**regs)


@VERBS.verb(
    "is interrupted, and perf opens or closes its counters to EL0 (PMUSERENR_EL0)",
    words("on off"),
    when=_has_pmu,
    actors="cpu",
)
def perf_user_access(m: Program, actor: str, what: str) -> None:
    def do() -> None:
        _owns(m, pmuserenr_el0=PMUSERENR_ER_CR if what == "on" else 0)
        m.update_pmuserenr(what == "on")

    interrupted(m, do)


@VERBS.verb(
    "is interrupted, and the host's statistical profiling or trace starts or stops",
    words("spe trbe"),
    words("on off"),
    when=_has_unit,
    actors="cpu",
)
def profile(m: Program, actor: str, unit: str, what: str) -> None:
    """The SPE or TRBE driver starts or stops a session on this CPU."""
    on = what == "on"
    if unit == "spe":
        regs = {"pmscr_el1": PMSCR_EL1_E0SPE_E1SPE, "pmblimitr_el1": PMBLIMITR_EL1_E}
    else:
        regs = {"trfcr_el1": TRFCR_EL1_E0TRE_E1TRE, "trblimitr_el1": TRBLIMITR_EL1_E}
    interrupted(m, lambda: _sets(m, **{name: bit * on for name, bit in regs.items()}))


@VERBS.verb(
    "is interrupted, and the host sets a breakpoint (DBGBVR0_EL1)",
    ADDRESS,
    when=_has_breakpoints,
    actors="cpu",
)
def hw_breakpoint(m: Program, actor: str, address: int) -> None:
    val = m.value("kernel", address)
    interrupted(m, lambda: _sets(m, dbgbvr0_el1=val))
