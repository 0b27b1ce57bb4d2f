"""What a search sets of a vcpu by ONE_REG: zero, all ones, each limit and the number after it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from harness.model.riscv.kvm.uapi import groups, known_names, reg_id, size_of

_LETTERS = (1 << 26) - 1  # KVM_RISCV_BASE_ISA_MASK
# The greatest numbers that these registers take, or that KVM has ever asked for. The others
# take whatever there is room for.
LIMITS: dict[str, tuple[int, ...]] = {
    r"config\.zic\w+_block_size": (64,),
    r"config\.satp_mode": (8, 9, 10),
    r"config\..*": (_LETTERS,),
    r"(isa|sbi)_ext\..*|core\.mode|timer\.state": (1,),
    r"fwft\.pointer_masking\.value": (7, 16),
    r"fwft\..*": (1,),
    r"fp_[fd]\.fcsr": (0xFF,),
    r"vector\.vcsr": (7,),
}


class Setting(NamedTuple):
    """A register, and what it is set to, in pieces of 128 bits."""

    reg: int
    bits: tuple[int, ...]


def representatives(extensions: Iterable[str]) -> Iterator[str]:
    """The name of one register of each kind: a kernel copies those of a bank alike.

    ISA extensions are those named: of others there is nothing to switch off.
    """
    there, seen = set(extensions), set()
    for group in groups():
        for member in known_names(group):
            kind = group, re.sub(r"\d+$", "", member)
            plain = group.endswith(("en", "dis", "ext")) or group == "fwft"
            if group == "isa_ext" and member not in there:
                continue
            if plain or kind not in seen:
                seen.add(kind)
                yield f"{group}.{member}"


def settings(extensions: Iterable[str], vlenb: int) -> Iterator[Setting]:
    """Every kind of register with every kind of number."""
    for name in representatives(extensions):
        reg = reg_id(name, vlenb)
        assert reg is not None
        size = size_of(reg)
        limits = next((n for known, n in LIMITS.items() if re.fullmatch(known, name)), ())
        ones = (1 << 8 * min(size, 16)) - 1
        for number in sorted({0, ones, *limits, *(n + 1 for n in limits)}):
            yield Setting(reg, (number,) * max(1, size // 16))
