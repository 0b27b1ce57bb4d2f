"""What traps, from the rules of the privileged specification."""

from __future__ import annotations

import itertools

import pytest

from harness.model.riscv.cpu.access import (
    CBOS,
    cbo_cause,
    csr_cause,
    fp_cause,
    page_cause,
    vector_cause,
)
from harness.model.riscv.cpu.state import Hart, VsCsrs
from harness.model.tasks import Mode
from harness.model.values import Val

ILLEGAL, PAGE_FAULT, VIRTUAL = 2, 13, 22
EVERYTHING = frozenset(
    ("f", "d", "v", "smstateen", "ssaia", "sstc", "zicbom", "zicboz", "svpbmt", "svadu")
)
NOTHING: frozenset[str] = frozenset()
CBZE, CBCFE, CBIE = 1 << 7, 1 << 6, 0b11 << 4
PBMTE, ADUE, STCE = 1 << 62, 1 << 61, 1 << 63
SE0, ENVCFG, ISEL = 1 << 63, 1 << 62, 1 << 60


def hart(henvcfg: int = 0, hstateen0: int = 0, senvcfg: int = 0, vsstatus: int = 0) -> Hart:
    found = Hart(0, mode=Mode.GUEST, henvcfg=henvcfg, hstateen0=hstateen0)
    found.senvcfg, found.vs = Val(senvcfg), VsCsrs(vsstatus=vsstatus)
    return found


CSRS = (
    ("senvcfg", 0, ENVCFG),
    ("sstateen0", 0, SE0),
    ("siselect", 0, ISEL),
    ("stimecmp", STCE, 0),
)


@pytest.mark.parametrize(("csr", "henvcfg", "hstateen0"), CSRS, ids=str)
def test_the_bit_of_a_csr(csr: str, henvcfg: int, hstateen0: int) -> None:
    """A CSR of VS-mode can be used if its bit is set, and that bit alone decides."""
    every = (1 << 64) - 1
    assert csr_cause(hart(henvcfg, hstateen0), EVERYTHING, csr, True) == 0
    closed = hart(
        every & ~henvcfg if henvcfg else every, every & ~hstateen0 if hstateen0 else every
    )
    assert csr_cause(closed, EVERYTHING, csr, True) == VIRTUAL
    assert csr_cause(hart(henvcfg, hstateen0), EVERYTHING, csr, False) == VIRTUAL


@pytest.mark.parametrize("csr", ["sstateen0", "siselect", "stimecmp"])
@pytest.mark.parametrize("supervisor", [True, False])
def test_a_csr_that_no_hart_has(csr: str, supervisor: bool) -> None:
    assert csr_cause(hart(STCE, -1 & (1 << 64) - 1), NOTHING, csr, supervisor) == ILLEGAL


def test_without_smstateen_nothing_is_closed() -> None:
    """hstateen0 is not there then, whatever a model's variable holds."""
    assert csr_cause(hart(), EVERYTHING - {"smstateen"}, "senvcfg", True) == 0
    assert csr_cause(hart(), EVERYTHING - {"smstateen"}, "siselect", True) == 0


BITS = {"inval": CBIE, "clean": CBCFE, "flush": CBCFE, "zero": CBZE}


@pytest.mark.parametrize("cbo", CBOS)
@pytest.mark.parametrize("supervisor", [True, False])
def test_cache_block_operations(cbo: str, supervisor: bool) -> None:
    """henvcfg decides in VS-mode, senvcfg too in VU-mode."""
    bit, other = BITS[cbo], (CBIE | CBCFE | CBZE) & ~BITS[cbo]
    assert (
        cbo_cause(hart(other, senvcfg=-1 & (1 << 64) - 1), EVERYTHING, cbo, supervisor) == VIRTUAL
    )
    assert cbo_cause(hart(bit, senvcfg=bit), EVERYTHING, cbo, supervisor) == 0
    wanted = 0 if supervisor else VIRTUAL
    assert cbo_cause(hart(bit, senvcfg=other), EVERYTHING, cbo, supervisor) == wanted
    assert cbo_cause(hart(bit, senvcfg=bit), NOTHING, cbo, supervisor) == ILLEGAL


@pytest.mark.parametrize(
    ("page", "bit", "needs"), [("pbmt", PBMTE, "svpbmt"), ("ad", ADUE, "svadu")]
)
def test_pages(page: str, bit: int, needs: str) -> None:
    assert page_cause(hart(bit), EVERYTHING, page) == 0
    assert page_cause(hart((1 << 64) - 1 & ~bit), EVERYTHING, page) == PAGE_FAULT
    assert page_cause(hart(), EVERYTHING - {needs}, page) == PAGE_FAULT


@pytest.mark.parametrize(("here", "there"), list(itertools.product(range(4), range(4))), ids=str)
def test_fs_and_vs_of_both_levels(here: int, there: int) -> None:
    """Off at either level is an illegal instruction; no other state matters."""
    wanted = 0 if here and there else ILLEGAL
    guest = hart(vsstatus=there << 13)
    assert fp_cause(guest, EVERYTHING, here << 13) == wanted
    assert fp_cause(guest, NOTHING, here << 13) == ILLEGAL
    assert vector_cause(guest, EVERYTHING, here << 9) == ILLEGAL
    guest = hart(vsstatus=there << 9)
    assert vector_cause(guest, EVERYTHING, here << 9) == wanted
    assert vector_cause(guest, NOTHING, here << 9) == ILLEGAL
    assert fp_cause(guest, EVERYTHING, here << 13) == ILLEGAL
