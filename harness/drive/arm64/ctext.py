"""Numbers, names and lines of a trace as text of C."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.drive.arm64.values import split, width
from harness.model.arm64.kvm.uapi import named, reg_id

NUMBERED = ("v", "z", "p")
SIZED = ("z", "p", "ffr", "za")  # how long depends on the vector length
_FIXED = {"v": 16, "zt0": 64}
_FEATURES = (
    "POWER_OFF",
    "EL1_32BIT",
    "PSCI_0_2",
    "PMU_V3",
    "SVE",
    "PTRAUTH_ADDRESS",
    "PTRAUTH_GENERIC",
)
_PLAIN = re.compile(r"[A-Z]|v\d{1,3}")


def harmless(text: str) -> str:
    """Text that stays within a comment of C, in ASCII and on its line."""
    text = re.sub(r"(?<=[*/])(?=[*/])", " ", " ".join(text.split()))
    return "".join(char if " " <= char <= "~" else "?" for char in text).rstrip("\\ ")


def identifier(name: str) -> str:
    """A name of the trace as one of C, which is no keyword, and no macro of a header."""
    return name if _PLAIN.fullmatch(name) else f"{name}_"


def values(kind: str, data: bytes) -> str:
    part = min(width(kind), 16)
    return listed([*split(data, part)], max(len(data) // part, 1))


def listed(parts: list[int], count: int) -> str:
    """One value if all `count` parts have it, else each up to the last that is not 0."""
    parts = [*parts, *[0] * (count - len(parts))]
    if len(set(parts)) == 1:
        return value_of(parts[0])
    while len(parts) > 2 and not parts[-1]:
        parts.pop()
    return ", ".join(value_of(part) for part in parts)


def value_of(value: int) -> str:
    if value >> 64:
        return f"(u128){value >> 64:#x}UL << 64 | {value & (1 << 64) - 1:#x}UL"
    return number_of(value)


def number_of(value: int) -> str:
    return str(value) if value < 10 else f"{value:#x}"


def vl(value: int) -> str:
    """A vector length with flags."""
    return str(value) if value < 0x10000 else f"{value >> 16:#x} << 16 | {value & 0xFFFF}"


def feature(number: int) -> str:
    return f"KVM_ARM_VCPU_{_FEATURES[number]}" if number < len(_FEATURES) else str(number)


def features(bits: int) -> str:
    return " | ".join(f"1 << {feature(n)}" for n in range(32) if bits >> n & 1) or "0"


def reg(number: int) -> str:
    kind, n = named(number) or ("", 0)
    if not kind or reg_id(kind, n) != number:  # such as a slice that is never there
        return f"{number:#x}"
    name = {"z": f"ZREG({n}, 0)", "p": f"PREG({n}, 0)", "ffr": "FFR(0)"}.get(kind)
    return f"KVM_REG_ARM64_SVE_{name}" if name else f"{number:#x}"


def runs(data: bytes, begin: int) -> Iterator[tuple[int, int, str]]:
    """Where a set has something, for how long, and with which values."""
    rows = [(at, data[at : at + 16]) for at in range(begin, len(data), 16)]
    while rows:
        at, row = rows[0]
        alike = next((n for n, (_, other) in enumerate(rows) if other != row), len(rows))
        if any(row):
            length = sum(len(other) for _, other in rows[:alike])
            yield at, length, value_of(int.from_bytes(row, "little"))
        rows = rows[alike:]


def lined(line: int, calls: list[str], comment: str) -> Iterator[str]:
    """Calls, one a line, and the trace's line behind the first, or above it."""
    texts = [f"AT({line}, {call});" if line else f"{call};" for call in calls]
    pad = "\t" * max(1, (47 - len(texts[0])) // 8 + 1)
    if comment and len((texts[0] + pad).expandtabs()) + len(comment) > 82:
        yield f"/* {comment} */"
    elif comment:
        texts[0] += f"{pad}/* {comment} */"
    yield from texts


def instruction_macros(op: str) -> Iterator[tuple[str, str]]:
    """What an operation can be called by, and what that is."""
    verb, _, kind = op.partition("_")
    if verb not in ("read", "write"):
        yield f"{op}(who)", f"instruction(who, OP_{op})"
        yield "expect_rdvl(who, value)", 'expect_register(who, OP_rdvl, "VL", 8, 8, VALUES(value))'
        return
    numbered, part = kind in NUMBERED, width(kind)
    n, register = ("n, ", f"OP_{op}##n") if numbered else ("", f"OP_{op}")
    if verb == "write":
        yield (
            f"write_{kind}(who, {n}...)",
            f"write_register(who, {register}, {part}, VALUES(__VA_ARGS__))",
        )
        return
    name = f'"{kind}" #n' if numbered else f'"{kind}"'
    yield f"read_{kind}(who{', n' * numbered})", f"read_register(who, {register}, {name}, {part})"
    len_, length = ("len, ", "len") if kind in SIZED else ("", str(_FIXED.get(kind, 8)))
    yield (
        f"expect_{kind}(who, {n}{len_}...)",
        f"expect_register(who, {register}, {name}, {part}, {length}, VALUES(__VA_ARGS__))",
    )


def define(head: str, to: str) -> Iterator[str]:
    if len(head) + len(to) < 75:
        yield f"#define {head}\t{to}"
    else:
        yield from (f"#define {head} \\", f"\t{to}")
