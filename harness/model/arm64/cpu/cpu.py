"""What the architecture does: vector lengths, streaming mode, access traps.

Arm ARM (DDI 0487): D1 for routing, D24 for the register fields, B1.4 for SVE
and SME state. The rules are stated for the exception level that executes.
"""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

from harness.model.arm64.cpu.state import Registers
from harness.model.arm64.cpu.sysreg import (
    CPACR_EL1_FPEN,
    CPACR_EL1_FPEN_EL1EN,
    CPACR_EL1_SMEN,
    CPACR_EL1_SMEN_EL1EN,
    CPACR_EL1_ZEN,
    CPACR_EL1_ZEN_EL1EN,
    CPTR_EL2_TFP,
    CPTR_EL2_TSM,
    CPTR_EL2_TZ,
    ESR_ELX_EC_FP_ASIMD,
    ESR_ELX_EC_SME,
    ESR_ELX_EC_SVE,
    FPSR_AFTER_SM_CHANGE,
    HCR_E2H,
    HCR_TGE,
    SMCR_ELX_EZT0_MASK,
    SMCR_ELX_FA64_MASK,
    SMCR_ELX_LEN_MASK,
    SMTC_ILL,
    SMTC_ZA_DISABLED,
    SMTC_ZT_DISABLED,
    SVCR_SM_MASK,
    SVCR_ZA_MASK,
    ZCR_ELX_LEN_MASK,
)
from harness.model.tasks import USER
from harness.model.values import EMPTY, ZERO, Val

Access = Literal["fp", "asimd", "sve", "ffr", "zcr", "sme", "za", "zt0"]
"""What an instruction needs: FP registers, Advanced SIMD, SVE, the FFR, ZCR_EL1,
SME control (SMSTART, MSR SVCR), ZA, or ZT0."""

_SVE = ("sve", "ffr")
_SME = ("sme", "za", "zt0")


class Trap(NamedTuple):
    """An exception: its class, its ISS (SMTC for SME) and the EL it is taken to."""

    ec: int
    el: int
    iss: int = 0

    @property
    def marks(self) -> frozenset[tuple[str, int]]:
        """What an `expect trap` can ask of it."""
        return frozenset((("ec", self.ec), ("el", self.el), ("smtc", self.iss)))

    def __str__(self) -> str:
        return f"a trap ec={self.ec:#04x} el={self.el}"


class VectorLengths(NamedTuple):
    """The vector lengths an implementation supports, in quadwords, ascending."""

    sve: tuple[int, ...]
    sme: tuple[int, ...]


@functools.cache
def supported_vq(limit: int, lengths: tuple[int, ...]) -> int:
    """The largest supported length within `limit` quadwords, else the smallest one."""
    return max((vq for vq in lengths if vq <= limit), default=lengths[0])


def current_vq(cpu: Registers, lengths: VectorLengths, el: int) -> int:
    """The effective vector length at `el` in quadwords, as RDVL would show it.

    EL2 always limits EL1 and EL0. EL1's own register does so too, except for
    a VHE host's EL0 (HCR_EL2.{E2H,TGE} = {1,1}).
    """
    if cpu.svcr & SVCR_SM_MASK:
        return streaming_vq(cpu, lengths, el)
    in_host = cpu.hcr_el2 & HCR_E2H and cpu.hcr_el2 & HCR_TGE
    limit = cpu.zcr_el2 & ZCR_ELX_LEN_MASK
    if el < 2 and not in_host:
        limit = min(limit, cpu.zcr_el1 & ZCR_ELX_LEN_MASK)
    return supported_vq(limit + 1, lengths.sve)


def held(val: Val, mask: int) -> Val:
    """What a register keeps of a value that is written to it."""
    return Val(val.bits & mask, val.origin) if val.bits & ~mask else val


def streaming_vq(cpu: Registers, lengths: VectorLengths, el: int) -> int:
    """The effective streaming vector length at `el` in quadwords, as RDSVL would show it."""
    in_host = cpu.hcr_el2 & HCR_E2H and cpu.hcr_el2 & HCR_TGE
    limit = cpu.smcr_el2 & SMCR_ELX_LEN_MASK
    if el < 2 and not in_host:
        limit = min(limit, cpu.smcr_el1 & SMCR_ELX_LEN_MASK)
    return supported_vq(limit + 1, lengths.sme)


def set_svcr(cpu: Registers, svcr: int) -> None:
    """Write SVCR. A change of SM zeroes Z, P, FFR and FPMR; setting ZA zeroes ZA and ZT0."""
    changed = cpu.svcr ^ svcr
    if changed & SVCR_SM_MASK:
        cpu.z = cpu.p = EMPTY
        cpu.fpsr, cpu.fpmr = Val(FPSR_AFTER_SM_CHANGE), ZERO
    if changed & SVCR_ZA_MASK:
        cpu.za = EMPTY
    cpu.svcr = svcr


def _controls(access: str, streaming: bool) -> list[str]:
    """The controls that an access must pass at each EL, in the architecture's order."""
    if access in _SME or (access in _SVE and streaming):
        return ["sm", "fp"]
    if access == "zcr":
        return ["z"]  # FPEN does not gate it
    return ["z", "fp"] if access in _SVE else ["fp"]


_CLASS = {"fp": ESR_ELX_EC_FP_ASIMD, "z": ESR_ELX_EC_SVE, "sm": ESR_ELX_EC_SME}
_BOTH = {"fp": CPACR_EL1_FPEN, "z": CPACR_EL1_ZEN, "sm": CPACR_EL1_SMEN}
_LOW = {"fp": CPACR_EL1_FPEN_EL1EN, "z": CPACR_EL1_ZEN_EL1EN, "sm": CPACR_EL1_SMEN_EL1EN}
_TRAP = {"fp": CPTR_EL2_TFP, "z": CPTR_EL2_TZ, "sm": CPTR_EL2_TSM}

# For each access, with SM clear and set: the bits that must be set in a
# CPACR-shaped control (at EL0 both of a pair, else the low one), and those that
# must be clear in CPTR_EL2 for HCR_EL2.E2H = 0, each with its exception class.
_Pair = tuple[int, tuple[Trap, Trap]]  # the bits of one control, its exception to EL1 and to EL2
_Rule = tuple[int, tuple[_Pair, ...]]
_Rules = dict[str, tuple[_Rule, _Rule]]


def _rules(bits: dict[str, int]) -> _Rules:
    def rule(access: str, streaming: bool) -> _Rule:
        controls = _controls(access, streaming)
        pairs = tuple((bits[c], (Trap(_CLASS[c], 1), Trap(_CLASS[c], 2))) for c in controls)
        return sum(mask for mask, _ in pairs), pairs

    return {
        access: (rule(access, False), rule(access, True))
        for access in ("fp", "asimd", *_SVE, "zcr", *_SME)
    }


def _first(closed: int, pairs: tuple[_Pair, ...], el: int) -> Trap:
    """The exception of the first pair that `closed` has a bit of. SMTC is 0: SME disabled."""
    for mask, traps in pairs:
        if closed & mask:
            return traps[el - 1]
    raise AssertionError


_EL0, _EL1, _CPTR = _rules(_BOTH), _rules(_LOW), _rules(_TRAP)


def _smcr(cpu: Registers) -> int:
    """SMCR_ELx.FA64 and EZT0: like LEN, EL1's own counts except for a VHE host's EL0."""
    in_host = cpu.hcr_el2 & HCR_E2H and cpu.hcr_el2 & HCR_TGE
    return cpu.smcr_el2 if in_host else cpu.smcr_el2 & cpu.smcr_el1


def check_access(cpu: Registers, access: Access) -> Trap | None:
    """The exception an instruction takes before it executes, or None.

    EL1's control comes first, then EL2's, so that EL2 never sees an access
    that EL1 traps. A guest is taken to run at its EL1. Last comes what only
    PSTATE can forbid: the FFR and Advanced SIMD in streaming mode without
    FEAT_SME_FA64, ZA and ZT0 while ZA is off, ZT0 without SMCR_ELx.EZT0.
    """
    streaming = cpu.svcr & SVCR_SM_MASK
    e2h = cpu.hcr_el2 & HCR_E2H
    user = cpu.mode is USER
    bits, pairs = (_EL0 if user else _EL1)[access][streaming]
    in_host = user and e2h and cpu.hcr_el2 & HCR_TGE
    if not in_host:
        closed = bits & ~cpu.cpacr_el1
        if closed:
            return _first(closed, pairs, 1)
    if e2h:
        # TGE = 1: the pair has its full meaning. TGE = 0 (a guest runs, or the
        # host of an hVHE hyp): only the low bit counts, for EL0 and EL1 alike.
        if not in_host:
            bits, pairs = _EL1[access][streaming]
        closed = bits & ~cpu.cptr_el2
    else:
        bits, pairs = _CPTR[access][streaming]
        closed = bits & cpu.cptr_el2
    if closed:
        return _first(closed, pairs, 2)
    here = 2 if in_host else 1
    if access in ("ffr", "asimd") and streaming and not _smcr(cpu) & SMCR_ELX_FA64_MASK:
        return Trap(ESR_ELX_EC_SME, here, SMTC_ILL)
    if access in ("za", "zt0") and not cpu.svcr & SVCR_ZA_MASK:
        return Trap(ESR_ELX_EC_SME, here, SMTC_ZA_DISABLED)
    if access == "zt0" and not _smcr(cpu) & SMCR_ELX_EZT0_MASK:
        return Trap(ESR_ELX_EC_SME, here, SMTC_ZT_DISABLED)
    return None
