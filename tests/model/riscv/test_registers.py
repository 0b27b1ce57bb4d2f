"""The ids of ONE_REG in exact bits, and the union that FP registers are kept in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.riscv.kvm.uapi import (
    ISA_EXTENSIONS,
    SBI_EXTENSIONS,
    all_ids,
    groups,
    known_names,
    reg_id,
    reg_name,
    size_of,
)
from harness.model.riscv.kvm.vcpu_fp import f_restore, f_save, get_word, set_word
from harness.model.values import EMPTY, Bank, Val

FCSR = 32

WORKED = {
    "config.isa": 0x8030000001000000,
    "core.pc": 0x8030000002000000,
    "core.mode": 0x8030000002000020,
    "csr.senvcfg": 0x803000000300000A,
    "smstateen.sstateen0": 0x8030000003020000,
    "fp_f.f0": 0x8020000005000000,
    "fp_f.fcsr": 0x8020000005000020,
    "fp_d.f0": 0x8030000006000000,
    "fp_d.fcsr": 0x8020000006000020,
    "isa_ext.svpbmt": 0x8030000007000007,
    "isa_ext.v": 0x803000000700000F,
    "isa_ext.smnpm": 0x803000000700003E,
    "isa_ext.ssnpm": 0x803000000700003F,
    "isa_multi_en.0": 0x8030000007010000,
    "isa_multi_dis.0": 0x8030000007020000,
    "sbi_ext.fwft": 0x803000000800000C,
    "vector.vlenb": 0x8030000009000004,
    "vector.v0": 0x8040000009000006,
    "vector.v31": 0x8040000009000025,
    "fwft.misaligned_deleg.enable": 0x803000000A010000,
    "fwft.misaligned_deleg.value": 0x803000000A010002,
    "fwft.pointer_masking.enable": 0x803000000A010003,
    "fwft.pointer_masking.value": 0x803000000A010005,
}

# What get-reg-list.c of v7.2 expects of some vcpu or other: the first id of a row of
# consecutive ones, how many there are, the names of the first and the last.
SELFTEST = (
    (0x8020000005000000, 33, "fp_f.f0", "fp_f.fcsr"),
    (0x8020000006000020, 1, "fp_d.fcsr", "fp_d.fcsr"),
    (0x8030000001000000, 8, "config.isa", "config.zicbop_block_size"),
    (0x8030000002000000, 33, "core.pc", "core.mode"),
    (0x8030000003000000, 11, "csr.sstatus", "csr.senvcfg"),
    (0x8030000003010000, 7, "aia.siselect", "aia.iprio2h"),
    (0x8030000003020000, 1, "smstateen.sstateen0", "smstateen.sstateen0"),
    (0x8030000004000000, 4, "timer.frequency", "timer.state"),
    (0x8030000006000000, 32, "fp_d.f0", "fp_d.f31"),
    (0x8030000007000002, 3, "isa_ext.d", "isa_ext.h"),
    (0x8030000007000007, 71, "isa_ext.svpbmt", "isa_ext.zalasr"),
    (0x8030000008000000, 14, "sbi_ext.v01", "sbi_ext.mpxy"),
    (0x8030000009000000, 5, "vector.vstart", "vector.vlenb"),
    (0x803000000A000000, 2, "sta.shmem_lo", "sta.shmem_hi"),
    (0x803000000A010000, 6, "fwft.misaligned_deleg.enable", "fwft.pointer_masking.value"),
    (0x8040000009000006, 32, "vector.v0", "vector.v31"),
)


@pytest.mark.parametrize(("name", "number"), WORKED.items())
def test_a_worked_id(name: str, number: int) -> None:
    assert reg_id(name, 16) == number
    assert reg_name(number) == name


@pytest.mark.parametrize(("first", "count", "begin", "end"), SELFTEST)
def test_the_ids_of_the_selftest(first: int, count: int, begin: str, end: str) -> None:
    """Each has a name, which leads back to it; a row is one group in order."""
    names = [reg_name(number) for number in range(first, first + count)]
    assert (names[0], names[-1]) == (begin, end)
    assert len({name.partition(".")[0] for name in names}) == 1
    assert len(set(names)) == count
    assert [reg_id(name, 16) for name in names] == list(range(first, first + count))


@pytest.mark.parametrize("vlenb", [16, 32, 64, 128, 256])
def test_every_name_has_an_id_of_its_own(vlenb: int) -> None:
    names = [f"{group}.{name}" for group in groups() for name in known_names(group)]
    ids = [reg_id(name, vlenb) for name in names]
    assert len(set(ids)) == len(names)
    for name, number in zip(names, ids, strict=True):
        assert number is not None
        assert reg_name(number) == name
        if name.startswith("vector.v") and name[8].isdigit():
            assert size_of(number) == vlenb
    assert set(all_ids(vlenb)) <= set(ids)


def test_extension_ids_are_never_given_anew() -> None:
    """Some by number: the enum only grows."""
    for n, name in {0: "a", 15: "v", 23: "smstateen", 54: "sscofpmf", 77: "zalasr"}.items():
        assert ISA_EXTENSIONS[n] == name
    assert [SBI_EXTENSIONS.index(n) for n in ("dbcn", "sta", "susp", "fwft")] == [9, 10, 11, 12]


@given(number=st.integers(0, (1 << 64) - 1))
def test_any_number_has_a_name_or_none(number: int) -> None:
    name = reg_name(number)
    if name:
        place = number & 0xFFFFFFFF
        wanted = reg_id(name, 16)
        assert wanted is not None
        assert wanted & 0xFFFFFFFF == place


@pytest.mark.parametrize("number", [0x6030000001000000, 0x8030000101000000, 0x8030000001000008])
def test_an_id_of_another_place_has_no_name(number: int) -> None:
    """Another architecture's, one with stray bits, one beyond the last."""
    assert reg_name(number) == ""


# The union ------------------------------------------------------------------------

WORDS = st.lists(st.integers(0, (1 << 32) - 1), min_size=33, max_size=33)
DOUBLES = st.lists(st.integers(0, (1 << 64) - 1), min_size=33, max_size=33)


def bank(values: list[int]) -> Bank:
    return Bank({n: (Val(bits),) for n, bits in enumerate(values)})


def memory(image: Bank) -> bytes:
    """guest_context.fp as the kernel has it: little-endian doublewords."""
    return b"".join(image.get(n).bits.to_bytes(8, "little") for n in range(33))


@given(values=DOUBLES)
def test_words_are_halves_of_the_doublewords(values: list[int]) -> None:
    """fp.f.f[n] and fp.d.f[n] are one memory."""
    image, plain = bank(values), memory(bank(values))
    for n in range(FCSR + 1):
        word = int.from_bytes(plain[4 * n : 4 * n + 4], "little")
        assert get_word(image, n).bits == word


@given(values=DOUBLES, word=st.integers(0, FCSR), bits=st.integers(0, (1 << 32) - 1))
def test_a_word_that_is_set_leaves_the_others(values: list[int], word: int, bits: int) -> None:
    plain = bytearray(memory(bank(values)))
    plain[4 * word : 4 * word + 4] = bits.to_bytes(4, "little")
    assert memory(set_word(bank(values), word, Val(bits))) == bytes(plain)


@given(live=DOUBLES, before=DOUBLES)
def test_f_saves_the_lower_halves_one_after_the_other(live: list[int], before: list[int]) -> None:
    live[FCSR] &= 0xFF
    plain = memory(f_save(bank(before), bank(live)))
    for n in range(FCSR + 1):
        assert int.from_bytes(plain[4 * n : 4 * n + 4], "little") == live[n] & (1 << 32) - 1
    assert plain[4 * (FCSR + 1) :] == memory(bank(before))[4 * (FCSR + 1) :]


@given(values=WORDS)
def test_what_f_restores_is_boxed(values: list[int]) -> None:
    """FLW makes a NaN of the upper half; fcsr is a number."""
    image = EMPTY
    for n, bits in enumerate(values):
        image = set_word(image, n, Val(bits))
    live = f_restore(image)
    assert [live.get(n).bits for n in range(32)] == [0xFFFFFFFF << 32 | b for b in values[:32]]
    assert live.get(FCSR).bits == values[FCSR]
    assert memory(f_save(EMPTY, live)) == memory(image)
