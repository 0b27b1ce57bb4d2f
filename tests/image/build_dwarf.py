"""A small DWARF 4 unit, byte by byte: what tests/image/build.py has as BTF, and inlining."""

from __future__ import annotations

import struct

from tests.image import build

ADDR, DATA2, STRING, DATA1, FLAG, REF4, DATA8 = 0x01, 0x05, 0x08, 0x0B, 0x19, 0x13, 0x07
NAME, SIZE, TYPE, AT, LOW, HIGH, INLINE, ORIGIN, VALUE, UPPER, SIBLING = (
    0x03,
    0x0B,
    0x49,
    0x38,
    0x11,
    0x12,
    0x20,
    0x31,
    0x1C,
    0x2F,
    0x01,
)
# tag, whether it has children, attributes
ABBREVS = {
    "unit": (0x11, 1, ((NAME, STRING),)),
    "struct": (0x13, 1, ((NAME, STRING), (SIZE, DATA2))),
    "anonymous": (0x13, 1, ((SIZE, DATA2),)),
    "member": (0x0D, 0, ((NAME, STRING), (TYPE, REF4), (AT, DATA2))),
    "nameless": (0x0D, 0, ((TYPE, REF4), (AT, DATA2))),
    "base": (0x24, 0, ((NAME, STRING), (SIZE, DATA1))),
    "pointer": (0x0F, 0, ((TYPE, REF4), (SIZE, DATA1))),
    "array": (0x01, 1, ((TYPE, REF4),)),
    "range": (0x21, 0, ((UPPER, DATA1),)),
    "typedef": (0x16, 0, ((NAME, STRING), (TYPE, REF4))),
    "enum": (0x04, 1, ((NAME, STRING), (SIZE, DATA1))),
    "value": (0x28, 0, ((NAME, STRING), (VALUE, DATA1))),
    "function": (0x2E, 1, ((NAME, STRING), (LOW, ADDR), (HIGH, DATA8))),
    "abstract": (0x2E, 0, ((NAME, STRING), (INLINE, DATA1))),
    "inlined": (0x1D, 0, ((ORIGIN, REF4), (LOW, ADDR))),
    "param": (0x05, 0, ((NAME, STRING), (TYPE, REF4))),
}
_SIZES = {DATA1: "<B", DATA2: "<H", REF4: "<I", DATA8: "<Q", ADDR: "<Q"}


class Dwarf:
    """One unit: `add` entries in order, `end` each that has children."""

    def __init__(self) -> None:
        self.info = bytearray(11)

    def add(self, what: str, *values: str | int) -> int:
        at = len(self.info)
        self.info.append(1 + list(ABBREVS).index(what))
        for (_, form), value in zip(ABBREVS[what][2], values, strict=True):
            if isinstance(value, str):
                self.info += value.encode() + b"\0"
            else:
                self.info += struct.pack(_SIZES[form], value)
        return at

    def end(self) -> None:
        self.info.append(0)

    def sections(self, start: int, length: int) -> dict[str, bytes]:
        abbrev = bytearray()
        for n, (tag, children, attributes) in enumerate(ABBREVS.values(), 1):
            abbrev += bytes((n, tag, children))
            for attribute, form in attributes:
                abbrev += bytes((attribute, form))
            abbrev += b"\0\0"
        self.info[:11] = struct.pack("<IHIB", len(self.info) - 4, 4, 0, 8)
        aranges = struct.pack("<IHIBBI", 44, 2, 0, 8, 0, 0) + struct.pack(
            "<QQQQ", start, length, 0, 0
        )
        return {
            ".debug_info": bytes(self.info),
            ".debug_abbrev": bytes(abbrev) + b"\0",
            ".debug_aranges": aranges,
        }


def sample_unit(load: int) -> Dwarf:
    """A unit with a struct, an enum and two functions, of which one has the other inlined."""
    unit = Dwarf()
    unit.add("unit", "arch/arm64/kvm/fpsimd.c")
    u64 = unit.add("base", "long unsigned int", 8)
    vregs = unit.add("array", u64)
    unit.add("range", 65)
    unit.end()
    user = unit.add("struct", "user_fpsimd_state", 528)
    unit.add("member", "vregs", vregs, 0)
    unit.end()
    inner = unit.add("anonymous", 536)
    unit.add("member", "fpsimd_state", user, 0)
    unit.add("member", "fpmr", u64, 528)
    unit.end()
    pointer = unit.add("pointer", user, 8)
    typedef = unit.add("typedef", "u64", u64)
    thread = unit.add("struct", "thread_struct", 560)
    unit.add("member", "uw", inner, 0)
    unit.add("nameless", inner, 0)
    unit.add("member", "svcr", typedef, 544)
    unit.end()
    unit.add("struct", "task_struct", 640)
    unit.add("member", "thread", thread, 64)
    unit.end()
    unit.add("enum", "fp_type", 4)
    unit.add("value", "FP_STATE_SVE", 2)
    unit.end()
    helper = unit.add("abstract", "helper", 1)
    unit.add("function", "kvm_arch_vcpu_load_fp", load, 8)
    unit.add("param", "state", pointer)
    unit.add("inlined", helper, load + 4)
    unit.end()
    unit.end()
    return unit


def sample_dwarf() -> build.Elf:
    """A kernel with DWARF and without BTF."""
    elf = build.Elf()
    elf.function("_text", build.NOP)
    elf.function("start_kernel", build.RET)
    elf.function("kvm_arch_vcpu_load_fp", build.NOP, build.RET)
    elf.section(".rodata", b"Linux version 6.1.0-test (me@here) (gcc-12) #1 SMP\n\0")
    load = elf.at("kvm_arch_vcpu_load_fp")
    for name, content in sample_unit(load).sections(load, 8).items():
        elf.section(name, content)
    return elf
