"""Damaged files: an error or an answer, in bounded time, and never anything else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.identify import identify
from harness.identify.layout import layout
from harness.image import Image
from harness.model.arm64.evidence import FIELDS, OPTIONS, RULES, STRUCTS
from harness.model.arm64.fixes import CATALOGUE
from tests.image.build import sample_btf, sample_elf
from tests.image.build_dwarf import sample_dwarf

ELF, BTF, DWARF = bytes(sample_elf()), bytes(sample_btf()), bytes(sample_dwarf())


def use(data: bytes) -> None:
    """Everything that the commands ask of an image."""
    image = Image(data)
    identify(image, CATALOGUE, RULES, OPTIONS)
    layout(image, STRUCTS, FIELDS)
    for name in list(image.symbols)[:20]:
        image.calls(name)
        image.accesses(name)
        image.inlined(name)
    for name in ("thread_struct", "task_struct", "user_fpsimd_state", "flags"):
        image.struct(name)
    assert len(image.banner) < 600


def spoiled(data: bytes, changes: list[tuple[int, bytes]], length: int) -> bytes:
    damaged = bytearray(data)
    for at, new in changes:
        at %= len(damaged)
        damaged[at : at + len(new)] = new
    return bytes(damaged[: max(4, length)])


changes = st.lists(
    st.tuples(
        st.integers(0, 1 << 16),
        st.one_of(
            st.binary(min_size=1, max_size=8),
            st.sampled_from([b"\xff" * 4, b"\xff" * 8, b"\0" * 4, b"\xff\xff\xff\x7f"]),
        ),
    ),
    max_size=6,
)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("data", [ELF, BTF, DWARF], ids=["ELF", "BTF", "DWARF"])
@settings(max_examples=300, deadline=2000)
@given(changes=changes, length=st.one_of(st.just(1 << 16), st.integers(0, 1 << 12)))
def test_a_damaged_file_is_an_error_or_an_answer(
    data: bytes, changes: list[tuple[int, bytes]], length: int
) -> None:
    with contextlib.suppress(HarnessError):
        use(spoiled(data, changes, length))


@settings(max_examples=200, deadline=2000)
@given(st.binary(max_size=400))
def test_any_bytes_at_all(data: bytes) -> None:
    for head in (b"", b"\x7fELF\2\1\1", b"\x9f\xeb\1\0\x18\0\0\0", b"\x1f\x8b\x08\0"):
        with contextlib.suppress(HarnessError):
            use(head + data)
