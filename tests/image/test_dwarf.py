"""DWARF: types where there is no BTF, and what was inlined."""

from __future__ import annotations

import pytest

from harness.image import Image, ImageError
from tests.image.build_dwarf import sample_dwarf


def sample() -> Image:
    return Image(bytes(sample_dwarf()))


def test_structs() -> None:
    image = sample()
    assert image.kinds == ("symbols", "code", "DWARF")
    thread = image.struct("thread_struct")
    assert thread is not None
    assert [(m.name, m.at, m.size, m.type) for m in thread.members.values()] == [
        ("uw", "0", 536 * 8, "struct"),
        ("fpsimd_state", "0", 528 * 8, "struct user_fpsimd_state"),
        ("fpmr", "528", 64, "long unsigned int"),
        ("svcr", "544", 64, "u64"),
    ]
    member = image.member("task_struct.thread.uw.fpmr")
    assert member is not None
    assert member.at == str(64 + 528)
    assert image.struct("nothing") is None


def test_prototypes_and_enums() -> None:
    image = sample()
    said = "void kvm_arch_vcpu_load_fp(struct user_fpsimd_state * state)"
    assert str(image.prototype("kvm_arch_vcpu_load_fp")) == said
    found = image.enum("fp_type")
    assert found is not None
    assert found.values == {"FP_STATE_SVE": 2}


def test_what_was_inlined() -> None:
    image = sample()
    assert image.inlined("kvm_arch_vcpu_load_fp") == frozenset({"helper"})
    assert image.inlined("start_kernel") is None
    functions = image.unit_functions("kvm_arch_vcpu_load_fp")
    assert functions == frozenset({"helper", "kvm_arch_vcpu_load_fp"})
    assert image.unit_functions("start_kernel") is None


def test_without_aranges_nothing_is_found_and_said_so() -> None:
    elf = sample_dwarf()
    elf.sections = [s for s in elf.sections if s[0] != ".debug_aranges"]
    with pytest.raises(ImageError, match=r"\.debug_aranges"):
        Image(bytes(elf)).struct("thread_struct")


def test_types_without_end_are_an_error() -> None:
    elf = sample_dwarf()
    n, (name, kind, flags, content) = next(
        (n, s) for n, s in enumerate(elf.sections) if s[0] == ".debug_info"
    )
    at = content.index(b"\x0au64\0") + 5  # the typedef of u64: of itself
    looped = content[:at] + (at - 5).to_bytes(4, "little") + content[at + 4 :]
    elf.sections[n] = (name, kind, flags, looped)
    with pytest.raises(ImageError, match="without end"):
        Image(bytes(elf)).struct("thread_struct")
