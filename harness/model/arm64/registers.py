"""The registers, by kind: who can name them, where they are kept, how much they hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from harness.errors import nearest
from harness.model.arm64.cpu.cpu import Access
from harness.model.arm64.cpu.state import FFR, ZA, ZA_ROWS, ZT0
from harness.model.arm64.kvm.uapi import LONG_NAMES
from harness.model.operands import BadOperand, Reg

_NO_SVE = "this machine has no SVE (`sve 16..64` would give it some)"
_SHORT_NAMES = {long: kind for kind, long in LONG_NAMES.items()}
_NAME = re.compile(r"(v|z|p|za)(0|[1-9][0-9]*)")


class Kind(NamedTuple):
    """A kind of register.

    `views` are those who can name it: a task, a vcpu, one_reg, a tracer (ptrace), and who changes a
    signal frame; nobody, if it is only a field in the header of a register set. `bits` is how wide
    it is, or each of its quadwords; it has `quads` of them, or (0) as many as a vector has.
    `numbered` is how many there are with numbers, 0 for one without. Of those in a `bank` (z, p,
    za) the first is number `first` there. `access` is what an instruction that names it needs.
    """

    views: str
    bits: int
    quads: int = 1
    numbered: int = 0
    bank: str = ""
    first: int = 0
    access: Access | None = None


KINDS: dict[str, Kind] = {
    "v": Kind("task vcpu one_reg ptrace frame", 128, numbered=32, bank="z", access="asimd"),
    "z": Kind("task vcpu one_reg ptrace", 128, 0, numbered=32, bank="z", access="sve"),
    "p": Kind("task vcpu one_reg ptrace", 16, 0, numbered=16, bank="p", access="sve"),
    "ffr": Kind("task vcpu one_reg ptrace", 16, 0, bank="p", first=FFR, access="ffr"),
    # A task's ZA is one register here. User space reaches a vcpu's by rows, ZA.H[n].
    "za": Kind("task one_reg", 128, bank="za", first=ZA, access="za"),
    "zt0": Kind("task one_reg", 128, 4, bank="za", first=ZT0, access="zt0"),
    "fpsr": Kind("task vcpu one_reg", 32, access="fp"),
    "fpcr": Kind("task vcpu one_reg", 32, access="fp"),
    "fpmr": Kind("task vcpu one_reg", 64, access="fp"),
    "svcr": Kind("task one_reg", 64, access="sme"),
    "tpidr2_el0": Kind("task vcpu", 64),
    "zcr_el1": Kind("vcpu one_reg", 64, access="zcr"),
    "smcr_el1": Kind("one_reg", 64),
    "cpacr_el1": Kind("vcpu one_reg", 64),
    "dbgbvr0_el1": Kind("vcpu one_reg", 64),
    "dbgbvr1_el1": Kind("vcpu one_reg", 64),
    "sve_vls": Kind("one_reg", 512),
    "sme_vls": Kind("one_reg", 512),
    "vl": Kind("", 16),
    "flags": Kind("", 16),
    "size": Kind("", 32),
}
_ROWS = 256  # of ZA, as ONE_REG has them


def find(name: str, view: str) -> Reg:
    """The register of this name in somebody's view, on a machine that has everything.

    Raises BadOperand.
    """
    there = {kind for kind, told in KINDS.items() if view in told.views.split()}
    found = _NAME.fullmatch(name)
    kind, n = (found[1], int(found[2])) if found else (_SHORT_NAMES.get(name, name), 0)
    if view == "ptrace" and kind not in there:
        raise BadOperand(f"{name}: a tracer reaches v, z, p and ffr here")
    if view == "frame" and kind not in there:
        raise BadOperand(f"{name}: the FPSIMD record has v0 to v31")
    if found and kind == "za" and view != "one_reg":
        raise BadOperand(f"{name}: ZA is one register here, `za`")
    if kind not in there or (not found and KINDS[kind].numbered):
        others = [LONG_NAMES.get(k, k) for k in KINDS if k in there and not KINDS[k].numbered]
        hint = nearest(name, (*others, "v0", "z0", "p0"))
        raise BadOperand(
            f"unknown register {name!r}{hint}: v0-v31, z0-z31, p0-p15, " + ", ".join(others)
        )
    count = _ROWS if kind == "za" else KINDS[kind].numbered
    if found and n >= count:
        raise BadOperand(f"no register {name!r}: {kind}0 to {kind}{count - 1}")
    return kind, n


def lacking(kind: str, view: str, settings: Mapping[str, tuple[int, int]]) -> str | None:
    """Why a machine has no such register, None if it has it."""
    has = settings.keys()
    if kind in ("z", "p", "ffr") and not ("sve" in has or (view != "vcpu" and "sme" in has)):
        return _NO_SVE
    if (
        kind in ("zcr_el1", "sve_vls")
        and not {"sve", *(["sme"] if view == "one_reg" else [])} & has
    ):
        return _NO_SVE
    if kind == "fpmr" and "fpmr" not in has:
        return "this machine has no FPMR (`fpmr 1` would give it one)"
    if kind == "dbgbvr0_el1" and "brps" not in has:
        return "this machine has no breakpoints (`brps 1` gives it one)"
    if kind == "dbgbvr1_el1" and settings.get("brps", (0, 0))[1] < 2:
        return "this machine has no second breakpoint (`brps 2`)"
    if view == "one_reg":
        return None  # it is KVM that says what a vcpu has of SME
    if kind == "zt0" and not settings.get("sme2", (0, 0))[1]:
        return "this machine has no SME2 (`sme2 1` would give it some)"
    if kind in ("za", "svcr", "tpidr2_el0") and "sme" not in has:
        return "this machine has no SME (`sme 16..64` would give it some)"
    if kind == "tpidr2_el0" and view == "vcpu" and "fgt" not in has:
        return "this machine has no SME, or no `fgt 1` to trap it by"
    return None


def place(kind: str, n: int, rows: bool = False) -> tuple[str, int]:
    """The bank that a register is in ('' if it is in none), and its number there.

    With `rows` ZA is a vcpu's, whose rows stand each by itself.
    """
    known = KINDS[kind]
    return known.bank, (ZA_ROWS if rows and kind == "za" else known.first) + n


def called(bank: str, n: int) -> str:
    """The name of a register in a bank; `v` is the bank of Z where nobody sees more of it."""
    if bank == "p" and n == FFR:
        return "ffr"
    if bank != "za":
        return f"{bank}{n}"
    return f"za{n - ZA_ROWS}" if n >= ZA_ROWS else {ZA: "za", ZT0: "zt0"}[n]
