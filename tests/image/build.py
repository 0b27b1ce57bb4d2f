"""Small BTF blobs and ELF files, byte by byte."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF = range(1, 9)
CONST, FUNC, PROTO, ENUM64 = 10, 12, 13, 19


class Btf:
    """BTF to be: add types, then `bytes()`."""

    def __init__(self) -> None:
        self.strings = bytearray(b"\0")
        self.types = bytearray()
        self.count = 0

    def text(self, text: str) -> int:
        if not text:
            return 0
        at = self.strings.find(b"\0" + text.encode() + b"\0")
        if at >= 0:
            return at + 1
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def add(
        self, kind: int, name: str, more: int, vlen: int = 0, tail: bytes = b"", flag: bool = False
    ) -> int:
        info = kind << 24 | vlen | flag << 31
        self.types += struct.pack("<III", self.text(name), info, more) + tail
        self.count += 1
        return self.count

    def integer(self, name: str, size: int) -> int:
        return self.add(INT, name, size, tail=struct.pack("<I", 8 * size))

    def array(self, of: int, index: int, length: int) -> int:
        return self.add(ARRAY, "", 0, tail=struct.pack("<III", of, index, length))

    def struct(
        self, name: str, size: int, *members: tuple[str, int, int], kind: int = STRUCT
    ) -> int:
        tail = b"".join(struct.pack("<III", self.text(n), t, at) for n, t, at in members)
        return self.add(kind, name, size, len(members), tail)

    def enum(self, name: str, **values: int) -> int:
        tail = b"".join(struct.pack("<Ii", self.text(n), v) for n, v in values.items())
        return self.add(ENUM, name, 4, len(values), tail)

    def function(self, name: str, returns: int, *params: tuple[str, int]) -> int:
        tail = b"".join(struct.pack("<II", self.text(n), t) for n, t in params)
        proto = self.add(PROTO, "", returns, len(params), tail)
        return self.add(FUNC, name, proto, 1)

    def __bytes__(self) -> bytes:
        head = struct.pack(
            "<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings)
        )
        return head + bytes(self.types) + bytes(self.strings)


@dataclass(slots=True)
class Elf:
    """An ELF file to be. Functions are words of code, one after the other in .text."""

    kind: int = 2  # ET_EXEC; 1 is ET_REL
    machine: int = 183
    base: int = 0xFFFF800080000000
    text: bytearray = field(default_factory=bytearray)
    symbols: list[tuple[str, int, int, int, int]] = field(default_factory=list)
    sections: list[tuple[str, int, int, bytes]] = field(default_factory=list)
    relocations: list[tuple[int, int]] = field(default_factory=list)

    def function(self, name: str, *words: int, local: bool = False) -> None:
        start = len(self.text)
        address = start if self.kind == 1 else self.base + start
        self.text += struct.pack(f"<{len(words)}I", *words)
        self.symbols.append((name, address, 4 * len(words), 2 if local else 0x12, 1))

    def data(self, name: str, address: int, size: int, section: int) -> None:
        self.symbols.append((name, address, size, 0x11, section))

    def section(self, name: str, content: bytes, kind: int = 1, flags: int = 0) -> int:
        self.sections.append((name, kind, flags, content))
        return 1 + len(self.sections)

    def at(self, name: str) -> int:
        return next(address for n, address, *_ in self.symbols if n == name)

    def bl(self, target: str, at: int) -> int:
        """A `bl` to a function, for the `at`th word of the code."""
        address = (0 if self.kind == 1 else self.base) + 4 * at
        return 0x94000000 | ((self.at(target) - address) // 4 & 0x3FFFFFF)

    def __bytes__(self) -> bytes:
        strings, table = bytearray(b"\0"), bytearray(24)
        for name, address, size, info, section in sorted(self.symbols, key=lambda s: s[3] >> 4):
            table += struct.pack("<IBBHQQ", len(strings), info, 0, section, address, size)
            strings += name.encode() + b"\0"
        all_ = [(".text", 1, 6, bytes(self.text)), *self.sections]
        strtab = len(all_) + 2
        all_.append((".symtab", 2, 0, bytes(table)))
        all_.append((".strtab", 3, 0, bytes(strings)))
        if self.relocations:
            raw = b"".join(struct.pack("<QQq", at, n << 32 | 283, 0) for at, n in self.relocations)
            all_.append((".rela.text", 4, 0, raw))
        names, offsets = bytearray(b"\0"), []
        for name, *_ in all_:
            offsets.append(len(names))
            names += name.encode() + b"\0"
        offsets.append(len(names))
        names += b".shstrtab\0"
        all_.append((".shstrtab", 3, 0, bytes(names)))
        body, headers = bytearray(64), bytearray(64)
        for (name, kind, flags, content), at in zip(all_, offsets, strict=True):
            address = self.base if name == ".text" and self.kind != 1 else 0
            link = strtab if kind == 2 else 0
            info = 1 if kind == 4 else 0
            headers += struct.pack(
                "<IIQQQQIIQQ", at, kind, flags, address, len(body), len(content), link, info, 1, 0
            )
            body += content
        head = struct.pack(
            "<16sHHIQQQIHHHHHH",
            b"\x7fELF\2\1\1",
            self.kind,
            self.machine,
            1,
            0,
            0,
            len(body),
            0,
            64,
            0,
            0,
            64,
            len(all_) + 1,
            len(all_),
        )
        body[:64] = head
        return bytes(body + headers)


RET, NOP = 0xD65F03C0, 0xD503201F


def sample_btf() -> Btf:
    """A struct with anonymous ones in it, bit-fields, a typedef, an enum and prototypes."""
    btf = Btf()
    u32, u64 = btf.integer("unsigned int", 4), btf.integer("u64", 8)
    vregs = btf.struct("user_fpsimd_state", 528, ("vregs", btf.array(u64, u32, 64), 0))
    anonymous = btf.struct("", 536, ("fpsimd_state", vregs, 0), ("fpmr", u64, 528 * 8))
    union = btf.struct("", 8, ("fault_code", u64, 0), ("fault", u32, 0), kind=UNION)
    pointer = btf.add(PTR, "", 0)
    fp_type = btf.enum("fp_type", FP_STATE_CURRENT=0, FP_STATE_FPSIMD=1)
    thread = btf.struct(
        "thread_struct",
        576,
        ("uw", anonymous, 0),
        ("", union, 536 * 8),
        ("sve_state", pointer, 544 * 8),
        ("fp_type", fp_type, 552 * 8),
        ("vl", btf.array(u32, u32, 2), 556 * 8),
    )
    btf.struct("task_struct", 640, ("flags", u64, 0), ("thread", thread, 64 * 8))
    btf.add(TYPEDEF, "task_t", btf.count)
    const = btf.add(CONST, "", vregs)
    btf.function("fpsimd_update_current_state", 0, ("state", btf.add(PTR, "", const)))
    btf.function("kernel_neon_begin", 0)
    bits = struct.pack("<III", btf.text("armed"), u32, 3 << 24 | 5)
    btf.add(STRUCT, "flags", 4, 1, bits, flag=True)
    return btf


def sample_elf() -> Elf:
    """A kernel of four functions, one static, with BTF."""
    elf = Elf()
    elf.function("_text", NOP)
    elf.function("start_kernel", RET)
    elf.function("fpsimd_save_and_flush_cpu_state", 0xD53B4220, RET)  # mrs x0, daif
    elf.function("helper", elf.bl("fpsimd_save_and_flush_cpu_state", 4), RET, local=True)
    elf.function("kvm_arch_vcpu_load_fp", elf.bl("helper", 6), RET)
    elf.section(".rodata", b"Linux version 6.1.0-test (me@here) (gcc-12) #1 SMP\n\0")
    elf.section(".BTF", bytes(sample_btf()))
    return elf
