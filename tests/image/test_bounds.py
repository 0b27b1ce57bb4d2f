"""Files that are made to take long, or much memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from harness.image import Image, ImageError
from harness.image.btf import Btf
from tests.image import build
from tests.image.build import RET, sample_elf
from tests.image.build_dwarf import sample_dwarf


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """Whatever the file, a few seconds and 200 MiB have to do."""
    tracemalloc.start()
    start = time.process_time()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - start < 10
    assert peak < 200 << 20


def test_structs_in_structs_that_double() -> None:
    """Thirty anonymous structs, each twice in the next: a billion members."""
    btf = build.Btf()
    inner = btf.struct("", 8, ("x", 1, 0))
    for _ in range(30):
        inner = btf.struct("", 8, ("", inner, 0), ("", inner, 0))
    btf.struct("bomb", 8, ("", inner, 0))
    with pytest.raises(ImageError, match="more members"):
        Btf(bytes(btf)).struct("bomb")


def test_a_string_table_of_nothing_but_ends() -> None:
    elf = sample_elf()
    data = bytes(elf)
    (headers,) = struct.unpack_from("<Q", data, 40)
    grown = bytearray(data) + bytes(8 << 20)
    strtab = len(elf.sections) + 3
    struct.pack_into("<QQ", grown, headers + 64 * strtab + 24, len(data), 8 << 20)
    with pytest.raises(ImageError, match="more names than any kernel"):
        Image(bytes(grown))


@pytest.mark.long
def test_a_function_without_end_and_one_of_many_names() -> None:
    elf = sample_elf()
    elf.function("many", *([RET] * 4))
    for n in range(2000):
        elf.symbols.append((f"alias{n}", elf.at("helper"), 8, 0x12, 1))
    elf.function("caller", *[elf.bl("helper", len(elf.text) // 4 + n) for n in range(5000)])
    image = Image(bytes(elf))
    assert "helper" in image.calls("kvm_arch_vcpu_load_fp")
    assert len(image.calls("caller")) <= 64
    name, address, _, info, section = elf.symbols[0]
    elf.symbols[0] = (name, address, 1 << 40, info, section)
    with pytest.raises(ImageError, match="more than any function"):
        Image(bytes(elf)).calls(name)


def test_damaged_dwarf_is_of_no_use_where_there_is_btf() -> None:
    elf = sample_dwarf()
    elf.sections = [s for s in elf.sections if s[0] != ".debug_aranges"]
    elf.section(".BTF", bytes(build.sample_btf()))
    image = Image(bytes(elf))
    assert image.inlined("kvm_arch_vcpu_load_fp") is None
    assert image.unit_functions("kvm_arch_vcpu_load_fp") is None
    assert image.struct("thread_struct")
    assert len(image.notes) == 1
    assert ".debug_aranges" in image.notes[0]


def test_an_entry_of_a_hundred_megabytes() -> None:
    """A block that pyelftools would take apart byte by byte."""
    elf = sample_dwarf()
    for n, (name, kind, flags, content) in enumerate(elf.sections):
        if name == ".debug_info":
            (length,) = struct.unpack_from("<I", content)
            grown = struct.pack("<I", length + (30 << 20)) + content[4:] + b"\1" * (30 << 20)
            elf.sections[n] = (name, kind, flags, grown)
    with pytest.raises(ImageError, match="DWARF"):
        Image(bytes(elf)).struct("thread_struct")
