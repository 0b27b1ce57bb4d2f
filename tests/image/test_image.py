"""Images: ELF files, raw BTF, boot images, and what is none."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.image import Image, ImageError
from tests.image import build
from tests.image.build import NOP, RET, sample_btf, sample_elf


def opened(data: bytes, tmp_path: Path) -> Image:
    path = tmp_path / "vmlinux"
    path.write_bytes(data)
    return Image.open(path)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return opened(bytes(sample_elf()), tmp_path)


def test_what_there_is_to_go_by(image: Image) -> None:
    assert image.kinds == ("symbols", "code", "BTF")
    assert image.banner == "Linux version 6.1.0-test (me@here) (gcc-12) #1 SMP"
    assert image.linked


def test_symbols(image: Image) -> None:
    load = image.symbols["kvm_arch_vcpu_load_fp"]
    assert (load.size, load.section, load.function, load.local) == (8, ".text", True, False)
    assert image.symbols["helper"].local
    assert "nothing" not in image.symbols
    assert len(image.symbols) == 5
    assert set(image.symbols) == {n for n, *_ in sample_elf().symbols}


def test_calls_and_static_functions_between(image: Image) -> None:
    assert image.calls("kvm_arch_vcpu_load_fp") == ["helper"]
    assert image.parts("kvm_arch_vcpu_load_fp") == (("kvm_arch_vcpu_load_fp", "helper"), True)
    assert image.calls("helper") == ["fpsimd_save_and_flush_cpu_state"]
    assert image.calls("start_kernel") == []
    assert image.calls("nothing") == []


def test_system_registers(image: Image) -> None:
    assert image.accesses("fpsimd_save_and_flush_cpu_state") == [(0, False, "DAIF")]


def _table(*words: int, relocations: bytes = b"") -> bytes:
    """An image with a table of pointers, in .text."""
    elf = build.Elf()
    elf.function("f", NOP, RET)
    start = elf.base + len(elf.text)
    elf.function("table", *words)
    elf.data("start", start, 0, 1)
    elf.data("stop", start + 4 * len(words), 0, 1)
    elf.section(".rela.dyn", relocations, kind=4)
    return bytes(elf)


def test_pointers_in_place(tmp_path: Path) -> None:
    image = opened(_table(0x10, 0xFFFF8000, 0, 0, 0x20, 0xFFFF8000), tmp_path)
    assert image.pointers("start", "stop") == {0xFFFF800000000010, 0xFFFF800000000020}
    assert image.pointers("stop", "start") == frozenset()
    assert image.pointers("start", "start") == frozenset()
    assert image.pointers("start", "nothing") == frozenset()


def test_pointers_in_relocations(tmp_path: Path) -> None:
    """Those of the table, and of the kind that adds where the kernel is."""
    start = build.Elf().base + 8
    raw = b"".join(
        struct.pack("<QQq", place, kind, -0x8000)
        for place, kind in ((start, 0x403), (start + 8, 0x101), (start + 16, 0x403))
    )
    image = opened(_table(0, 0, 0, 0, relocations=raw + b"cut"), tmp_path)
    assert image.pointers("start", "stop") == {0xFFFFFFFFFFFF8000}


def test_pointers_of_no_elf(tmp_path: Path) -> None:
    assert opened(bytes(sample_btf()), tmp_path).pointers("start", "stop") == frozenset()


def test_members_by_path(image: Image) -> None:
    member = image.member("task_struct.thread.uw.fpmr")
    assert member is not None
    assert member.at == str(64 + 528)
    assert image.member("task_struct.thread.uw.nothing") is None
    assert image.member("nothing.thread") is None


def test_a_clone_is_the_function_and_several_are_nobody(tmp_path: Path) -> None:
    elf = sample_elf()
    elf.function("get.isra.0", elf.bl("helper", 8), RET, local=True)
    elf.function("twice", RET, local=True)
    elf.function("twice", NOP, RET, local=True)
    image = opened(bytes(elf), tmp_path)
    assert image.calls("get") == ["helper"]
    assert image.has("get")
    assert image.bodies("twice") == []


def test_loads_and_stores(tmp_path: Path) -> None:
    elf = sample_elf()
    elf.function("reads", 0xB9422801, RET)  # ldr w1, [x0, #552]
    elf.function("writes", 0xF9004401, RET)  # str x1, [x0, #136]
    elf.function("adds", 0x91100000, 0xB9402801, RET)  # add x0, x0, #1024; ldr w1, [x0, #40]
    image = opened(bytes(elf), tmp_path)
    assert image.touches("reads", 552, 4, store=False) is True
    assert image.touches("reads", 552, 4, store=True) is False
    assert image.touches("writes", 136, 8, store=True) is True
    assert image.touches("adds", 1064, 4, store=False) is None
    assert image.touches("adds", 1068, 4, store=False) is False
    assert image.touches("nothing", 0, 4, store=False) is None


def test_a_relocatable_file_calls_by_relocation(tmp_path: Path) -> None:
    elf = build.Elf(kind=1)
    elf.function("one", RET)
    elf.function("two", 0x94000000, RET)
    elf.relocations.append((4, 1))
    image = opened(bytes(elf), tmp_path)
    assert image.calls("two") == ["one"]
    assert not image.linked
    assert image.has("three") is None


def test_raw_btf(tmp_path: Path) -> None:
    image = opened(bytes(sample_btf()), tmp_path)
    assert image.kinds == ("BTF",)
    assert image.has("kernel_neon_begin") is True
    assert image.has("nothing") is None
    assert image.calls("kernel_neon_begin") == []
    assert image.inlined("kernel_neon_begin") is None


def boot(data: bytes) -> bytes:
    return bytes(56) + b"ARM\x64" + bytes(4) + data


@pytest.mark.parametrize(
    "pack",
    [
        lambda data: data,
        gzip.compress,
        lambda data: (
            b"MZ\0\0zimg"
            + struct.pack("<II", 64, len(gzip.compress(data)))
            + bytes(8)
            + b"gzip".ljust(40, b"\0")
            + gzip.compress(data)
        ),
    ],
    ids=["plain", "gzip", "zboot"],
)
def test_a_boot_image_has_btf_in_it(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    image = opened(pack(boot(bytes(sample_btf()) + b"Linux version 7.2.0 (x) #1\n\0")), tmp_path)
    assert image.kinds == ("BTF",)
    assert image.banner == "Linux version 7.2.0 (x) #1"


def section(elf: bytes, index: int, field: int, layout: str, value: int) -> bytes:
    (headers,) = struct.unpack_from("<Q", elf, 40)
    data = bytearray(elf)
    struct.pack_into(layout, data, headers + 64 * index + field, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "neither ELF nor BTF"),
        (b"#!/bin/sh\n" * 20, "/sys/kernel/btf/vmlinux"),
        (bytes(sample_elf())[:40], "too few"),
        (bytes(sample_elf())[:500], "truncated"),
        (b"\x7fELF\1" + bytes(sample_elf())[5:], "32-bit"),
        (b"\x7fELF\2\2" + bytes(sample_elf())[6:], "big-endian"),
        (bytes(build.Elf()), "stripped"),
        (section(bytes(sample_elf()), 3, 24, "<Q", 1 << 62), "beyond"),
        (section(bytes(sample_elf()), 4, 32, "<Q", 1 << 62), "more than any kernel"),
        (section(bytes(sample_elf()), 4, 40, "<I", 99), "section 99"),
        (section(bytes(sample_elf()), 3, 4, "<I", 8), "no content"),
        (section(bytes(sample_elf()), 3, 8, "<Q", 0x800), "compressed"),
        (bytes(sample_elf())[:60] + b"\xff\xff" + bytes(sample_elf())[62:], "section"),
        (gzip.compress(b"nothing", mtime=0), "without BTF"),
        (gzip.compress(boot(bytes(sample_btf())), mtime=0)[:-9], "truncated"),
    ],
)
def test_what_is_no_image_gets_a_clear_error(data: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=says) as error:
        opened(data, tmp_path)
    assert "vmlinux" in str(error.value)


def test_a_section_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    elf = sample_elf()
    import zlib

    bomb = struct.pack("<IIQQ", 1, 0, 100, 1) + zlib.compress(bytes(10**7))
    elf.sections[1] = (".BTF", 1, 0x800, bomb)
    with pytest.raises(ImageError, match="does not unpack to 100 bytes"):
        opened(bytes(elf), tmp_path)
    whole = bytes(sample_btf())
    packed = struct.pack("<IIQQ", 1, 0, len(whole), 1) + zlib.compress(whole)
    elf.sections[1] = (".BTF", 1, 0x800, packed)
    assert opened(bytes(elf), tmp_path).struct("thread_struct")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        Image.open(tmp_path / "nothing")
    with pytest.raises(ImageError, match="folder"):
        Image.open(tmp_path)


def test_code_of_another_machine_is_not_read(tmp_path: Path) -> None:
    """What looks like A64 is none there: every question about code stays open."""
    elf = sample_elf()
    elf.machine = 243
    image = opened(bytes(elf), tmp_path)
    name = next(n for n in opened(bytes(sample_elf()), tmp_path).symbols if image.bodies(n))
    assert image.machine == 243
    assert image.kinds[0] == "symbols"
    assert "code" not in image.kinds
    assert image.words(name) == ()
    assert image.calls(name) == []
    assert image.parts(name) == ((), True)
    assert image.touches(name, 0, 8, False) is None
