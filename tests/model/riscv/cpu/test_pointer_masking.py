"""What masking makes of an address, from the rules of "RISC-V Pointer Masking" 1.0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.riscv.cpu.pointer_masking import (
    Access,
    canonical,
    legal_pmm,
    pmlen_of,
    pmm_of,
    transform,
)

ADDRESSES = st.integers(0, (1 << 64) - 1) | st.sampled_from((0, 1, 1 << 63, (1 << 64) - 1))
PMLENS = st.sampled_from((0, 7, 16))
PMM = 0b11 << 32


def slow(address: int, pmlen: int, translated: bool) -> int:
    """The same bit by bit, from the text: copies of the highest bit that is left, or zeros."""
    bits = [address >> n & 1 for n in range(64)]
    for n in range(64 - pmlen, 64):
        bits[n] = bits[64 - pmlen - 1] if translated else 0
    return sum(bit << n for n, bit in enumerate(bits))


@given(address=ADDRESSES, pmlen=PMLENS, translated=st.booleans())
def test_it_is_what_the_text_says(address: int, pmlen: int, translated: bool) -> None:
    assert transform(address, pmlen, Access.DATA, translated) == slow(address, pmlen, translated)


@given(address=ADDRESSES, pmlen=PMLENS, translated=st.booleans())
def test_masking_twice_is_masking_once(address: int, pmlen: int, translated: bool) -> None:
    once = transform(address, pmlen, Access.DATA, translated)
    assert transform(once, pmlen, Access.DATA, translated) == once


@given(address=ADDRESSES, access=st.sampled_from(Access), translated=st.booleans())
def test_without_a_length_nothing_is_masked(address: int, access: Access, translated: bool) -> None:
    assert transform(address, 0, access, translated) == address


@given(address=ADDRESSES, pmlen=PMLENS, translated=st.booleans())
def test_the_lower_bits_are_the_address(address: int, pmlen: int, translated: bool) -> None:
    low = (1 << 64 - pmlen) - 1
    assert transform(address, pmlen, Access.DATA, translated) & low == address & low


@given(address=ADDRESSES, pmlen=PMLENS)
def test_bare_zeroes_the_top(address: int, pmlen: int) -> None:
    assert transform(address, pmlen, Access.DATA, False) >> (64 - pmlen) == 0


@pytest.mark.parametrize("access", [a for a in Access if a is not Access.DATA])
@given(address=ADDRESSES, pmlen=PMLENS, translated=st.booleans())
def test_what_is_never_masked(access: Access, address: int, pmlen: int, translated: bool) -> None:
    """Fetches, HLVX, accesses with MXR, and walks of page tables."""
    assert transform(address, pmlen, access, translated) == address


@pytest.mark.parametrize(("pmlen", "sv"), [(7, 57), (16, 48), (16, 39)])
@given(tag=st.integers(0, (1 << 16) - 1), low=st.integers(0, (1 << 38) - 1), high=st.booleans())
def test_a_tagged_pointer_comes_out_canonical(
    pmlen: int, sv: int, tag: int, low: int, high: bool
) -> None:
    """Whatever the tag in the bits that are masked, if the address below it is canonical."""
    plain = (1 << 64) - (1 << 38) + low if high else low
    tagged = plain & (1 << 64 - pmlen) - 1 | (tag & (1 << pmlen) - 1) << (64 - pmlen)
    assert canonical(plain, sv)
    assert transform(tagged, pmlen, Access.DATA, True) == plain


@pytest.mark.parametrize(("pmm", "pmlen"), [(0b00, 0), (0b01, 0), (0b10, 7), (0b11, 16)], ids=str)
def test_pmm_is_two_bits_at_32(pmm: int, pmlen: int) -> None:
    assert pmlen_of(pmm << 32 | ~PMM & (1 << 64) - 1) == pmlen
    if pmm != 0b01:
        assert pmm_of(pmlen) == pmm << 32


LENGTHS = st.sets(st.sampled_from((7, 16))).map(frozenset)
CSRS = st.integers(0, (1 << 64) - 1)


@given(value=CSRS, was=CSRS, lengths=LENGTHS)
def test_pmm_is_warl(value: int, was: int, lengths: frozenset[int]) -> None:
    """A length that is there sticks, another leaves what was; the other fields are written."""
    was = legal_pmm(was & ~PMM, 0, lengths)
    got = legal_pmm(value, was, lengths)
    assert got & ~PMM == value & ~PMM
    assert pmlen_of(got) in (0, *lengths)
    assert got & PMM != 0b01 << 32
    stuck = not value & PMM or pmlen_of(value) in lengths
    assert got & PMM == (value & PMM if stuck else was & PMM)
    assert legal_pmm(got, got, lengths) == got
