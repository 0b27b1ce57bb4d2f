"""ONE_REG, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.arm64 import due
from harness.model.arm64.kvm.guest import with_word
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.kvm.uapi import (
    KVM_REG_ARM_COPROC_MASK,
    KVM_REG_ARM_CORE,
    LONG_NAMES,
    OneReg,
    core_words,
    name_of,
    named,
    reg_id,
)
from harness.model.arm64.program import Program
from harness.model.arm64.settings import settings
from harness.model.arm64.stimuli.ioctls import initialized, unless_refused
from harness.model.arm64.stimuli.places import aarch64
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Errno, Violation, classify, shown
from harness.model.operands import VALUE, VCPU, Bits, Reg, Register, words
from harness.model.shared import vcpu_ioctl
from harness.model.values import Quads, Val, trim
from harness.model.verbs import Try
from harness.model.world import World


@VERBS.verb(
    "KVM_GET_ONE_REG, into a bad pointer with `NULL`",
    *(VCPU, Register("one_reg"), words("NULL")),
    when=aarch64,
    reads=True,
)
def one_reg_get(m: Program, actor: str, name: str, reg: Reg, addr: str = "") -> None:
    vcpu, call = m.vcpus[name], unless_refused if reg[0] == "id" else vcpu_ioctl
    call(m, lambda: _get(m, vcpu, reg, addr != "NULL"))


def _sets(w: World, who: str, current: str) -> Iterator[Try]:
    """The vector register that a VMM writes, and what there is besides with SME."""
    vectors = "z" if {"sve", "sme"} & w.settings.keys() else "v"
    for vcpu in w.vcpus_of(who):
        features = w.features_of(vcpu) or ()
        regs = [(vectors, 0)]
        if "sme" in features:
            zt0 = [("zt0", 0)] if w.settings.get("sme2") == (1, 1) else []
            regs = [("v", 0), (vectors, 0), ("za", 0), *zt0]
            for svcr in range(4):
                yield Try(("vmm",), (vcpu, ("svcr", 0), (svcr,)))
        yield from (Try(("vmm",), (vcpu, reg, None)) for reg in regs)
        for reg, bits in settings(w.settings, features):
            yield Try(("onereg",), (vcpu, reg, (bits,)))


@VERBS.verb(
    "KVM_SET_ONE_REG, from a bad pointer with `= NULL`",
    *(VCPU, Register("one_reg"), VALUE),
    when=aarch64,
    tries=_sets,
)
def one_reg_set(m: Program, actor: str, name: str, reg: Reg, bits: Bits) -> None:
    vcpu, call = m.vcpus[name], unless_refused if reg[0] == "id" else vcpu_ioctl
    vals = tuple(m.value(name, b) for b in bits)
    call(m, lambda: _set(m, vcpu, reg, vals))


def _get(m: Program, vcpu: Vcpu, reg: Reg, good: bool) -> None:
    initialized(m, vcpu)
    m.seen = get_one_reg(m, vcpu, OneReg(reg_id(*reg), good))


def get_one_reg(m: Program, vcpu: Vcpu, reg: OneReg) -> Quads:
    """KVM_GET_ONE_REG: a value that is not the guest's is a violation. Raises Errno."""
    got = m.kvm_arm_get_reg(vcpu, reg)
    _is_due(m, vcpu, reg, got)
    return got


def _is_due(m: Program, vcpu: Vcpu, reg: OneReg, got: Quads) -> None:
    known, owed = named(reg.id), m.vcpu_due[vcpu.name]
    if known is None:
        return
    want = due.read_back(owed, *known, m.abi, owed.vq(m.host_lengths(vcpu)))
    for quad, (a, b) in enumerate(zip(want or (), got, strict=False)):
        if a.bits != due.kept(known[0], b, m.abi).bits:
            name = name_of(reg.id) + (f"[{quad}]" if quad else "")
            text = f"a VMM reads {vcpu.name}'s {name} = {shown(b)}, not {shown(a)}"
            kind = classify(vcpu.name, a, b)
            m.violations.append(Violation(kind, vcpu.name, f"one_reg {name}", text, a, b))
            break


def _set(m: Program, vcpu: Vcpu, reg: Reg, vals: Quads) -> None:
    """No values stand for a bad pointer."""
    initialized(m, vcpu)
    set_one_reg(m, vcpu, OneReg(reg_id(*reg), bool(vals)), vals)


def set_one_reg(m: Program, vcpu: Vcpu, reg: OneReg, vals: Quads) -> None:
    """KVM_SET_ONE_REG: what it has accepted is the guest's. Raises Errno."""
    m.kvm_arm_set_reg(vcpu, reg, vals)
    known = named(reg.id)
    if known is None:
        _words_due(m, vcpu, reg, vals[0])
        return
    due.one_reg(m.vcpu_due[vcpu.name], *known, vals, m.abi)
    n = len(m.log)
    try:
        got = m.kvm_arm_get_reg(vcpu, reg)  # nobody has called it
    except Errno:
        return
    finally:
        del m.log[n:]
    _is_due(m, vcpu, reg, got)
    asked, there = ([val.bits for val in trim(quads)] for quads in (vals, got))
    if known[0] in LONG_NAMES and asked != there:
        text = f"KVM has taken {shown(vals[0])} for {vcpu.name}, and reads {shown(got[0])}"
        m.violate("lost", vcpu.name, f"one_reg {name_of(reg.id)}", text)


def _words_due(m: Program, vcpu: Vcpu, reg: OneReg, val: Val) -> None:
    """Words that are no register, which KVM takes until v4.18."""
    owed = m.vcpu_due[vcpu.name]
    if reg.id & KVM_REG_ARM_COPROC_MASK != KVM_REG_ARM_CORE:
        return
    for n, (kind, number, word) in enumerate(core_words(reg.id)):
        old = due.read_back(owed, kind, number, m.abi, 1) if kind else None
        if old is not None:
            due.one_reg(owed, kind, number, (with_word(old[0], word, val, n),), m.abi)
