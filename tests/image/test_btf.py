"""BTF: structs, prototypes and enums out of a blob."""

from __future__ import annotations

import struct

import pytest

from harness.image import ImageError
from harness.image.btf import Btf
from tests.image import build
from tests.image.build import sample_btf


def sample() -> Btf:
    return Btf(bytes(sample_btf()))


def test_a_struct_has_the_members_of_anonymous_ones_in_it() -> None:
    thread = sample().struct("thread_struct")
    assert thread is not None
    assert thread.size == 576
    assert [(m.name, m.at, m.size) for m in thread.members.values()] == [
        ("uw", "0", 536 * 8),
        ("fault_code", "536", 64),
        ("fault", "536", 32),
        ("sve_state", "544", 64),
        ("fp_type", "552", 32),
        ("vl", "556", 64),
    ]
    assert thread.members["sve_state"].type == "void *"
    assert thread.members["fp_type"].type == "enum fp_type"
    assert thread.members["vl"].type == "unsigned int[2]"


def test_a_typedef_of_a_struct_is_found() -> None:
    task = sample().struct("task_t")
    assert task is not None
    assert list(task.members) == ["flags", "thread"]


def test_bit_fields_have_their_bit() -> None:
    flags = sample().struct("flags")
    assert flags is not None
    assert (flags.members["armed"].at, flags.members["armed"].size) == ("0:5", 3)


def test_prototypes() -> None:
    btf = sample()
    assert str(btf.prototype("kernel_neon_begin")) == "void kernel_neon_begin(void)"
    said = str(btf.prototype("fpsimd_update_current_state"))
    assert said == "void fpsimd_update_current_state(struct user_fpsimd_state * state)"
    assert btf.prototype("thread_struct") is None


def test_enums() -> None:
    found = sample().enum("fp_type")
    assert found is not None
    assert found.values == {"FP_STATE_CURRENT": 0, "FP_STATE_FPSIMD": 1}
    assert sample().enum("nothing") is None


def loops() -> dict[str, build.Btf]:
    typedefs = build.Btf()
    first = typedefs.add(build.TYPEDEF, "a", 2)
    typedefs.add(build.TYPEDEF, "b", first)
    typedefs.struct("s", 8, ("x", first, 0))
    pointers = build.Btf()
    pointers.add(build.PTR, "", 1)
    pointers.struct("s", 8, ("x", 1, 0))
    itself = build.Btf()
    itself.struct("s", 8, ("", 1, 0), ("y", 1, 0))
    arrays = build.Btf()
    arrays.array(1, 1, 2)
    arrays.struct("s", 8, ("x", 1, 0))
    missing = build.Btf()
    missing.struct("s", 8, ("x", 77, 0))
    return {
        "typedef": typedefs,
        "pointer": pointers,
        "struct": itself,
        "array": arrays,
        "missing": missing,
    }


@pytest.mark.parametrize("name", loops())
def test_types_without_end_are_an_error(name: str) -> None:
    with pytest.raises(ImageError, match="BTF"):
        Btf(bytes(loops()[name])).struct("s")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda b: b[:10], "too few"),
        (lambda b: b"\xeb\x9f" + b[2:], "big-endian"),
        (lambda b: b"\0\0" + b[2:], "no BTF"),
        (lambda b: b[:2] + b"\2" + b[3:], "version 2"),
        (lambda b: b[:-1], "truncated"),
        (lambda b: b[:4] + struct.pack("<I", 1 << 31) + b[8:], "header"),
        (lambda b: b[:12] + struct.pack("<I", (1 << 32) - 1) + b[16:], "beyond"),
        (lambda b: b[:28] + struct.pack("<I", 31 << 24) + b[32:], "kind 31"),
        (lambda b: b[:28] + struct.pack("<I", 4 << 24 | 0xFFFF) + b[32:], "cut off"),
    ],
)
def test_damage_is_named(spoil, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ImageError, match=says):
        Btf(spoil(bytes(sample_btf())))


def test_the_btf_of_a_module_is_told_apart() -> None:
    blob = sample_btf()
    blob.strings[:1] = b"x"
    with pytest.raises(ImageError, match="module"):
        Btf(bytes(blob))
