"""ONE_REG, and what must come of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from harness.model.base import Errno, shown
from harness.model.operands import VALUE, VCPU, Reg, Register, words
from harness.model.riscv import due
from harness.model.riscv.cpu.state import FCSR, V_CSRS
from harness.model.riscv.cpu.warl import legal_senvcfg
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import ISA_EXT, SBI_EXT_ID, VECTOR_REGS, reg_id, reg_name, size_of
from harness.model.riscv.kvm.vcpu_timer import KVM_RISCV_TIMER_STATE_ON
from harness.model.riscv.observability import observable
from harness.model.riscv.program import Program
from harness.model.riscv.settings import settings
from harness.model.riscv.stimuli.places import created
from harness.model.riscv.stimuli.table import VERBS
from harness.model.shared import vcpu_ioctl
from harness.model.values import Quads, Val, trim
from harness.model.verbs import Try
from harness.model.world import World

# Before the first run.
TAKES_ANYTHING = ("config.mvendorid", "config.marchid", "config.mimpid")

# What changes without anybody's doing, or what a read changes.
RUN_BY_THEMSELVES = ("timer.state", "csr.sip")

# What KVM keeps only a part of, or makes its own of: what is read back may differ.
PARTLY_KEPT = (
    r"config\.(isa|zic\w+_block_size)|(isa|sbi)_multi_(en|dis)\..*|core\.mode|csr\.sip"
    r"|timer\.state|fwft\..*\.flags|vector\.vlenb"
)

# Registers that show the same thing in other ways: what is set by one is not what another was
# set to. Those of a kind in ONE_BY_ONE are about different things.
VIEWS = (
    r"config\.isa|isa_ext\..*|isa_multi_(en|dis)\..*",
    r"sbi_ext\..*|sbi_multi_(en|dis)\..*",
    r"fp_[fd]\..*",
    r"sta\.shmem_(lo|hi)",
    r"timer\.(compare|state|time)",
)

ONE_BY_ONE = ("isa_ext", "sbi_ext", "fp_f", "fp_d", "timer")

# What is there only with an extension.
GOES_WITH = {
    r"fp_f\..*": "isa_ext.f",
    r"fp_d\..*": "isa_ext.d",
    r"vector\..*": "isa_ext.v",
    r"aia\..*": "isa_ext.ssaia",
    r"smstateen\..*": "isa_ext.smstateen",
    r"fwft\.pointer_masking\..*": "isa_ext.smnpm",
    r"fwft\.landing_pad\..*": "isa_ext.zicfilp",
    r"fwft\.shadow_stack\..*": "isa_ext.zicfiss",
    r"zicfiss\..*": "isa_ext.zicfiss",
    r"fwft\..*": "sbi_ext.fwft",
    r"sta\..*": "sbi_ext.sta",
}


@cache
def view_of(name: str) -> str:
    """The one of VIEWS that a register is of, or ''."""
    return next((views for views in VIEWS if re.fullmatch(views, name)), "")


@cache
def needs(name: str) -> frozenset[str]:
    """The extensions without which there is no such register."""
    return frozenset(ext for names, ext in GOES_WITH.items() if re.fullmatch(names, name))


@VERBS.verb(
    "KVM_GET_ONE_REG, into a bad pointer with `NULL`",
    *(VCPU, Register("one_reg"), words("NULL")),
    when=created,
    reads=True,
)
def one_reg_get(m: Program, actor: str, name: str, reg: Reg, addr: str = "") -> None:
    vcpu = m.vcpus[name]
    vcpu_ioctl(m, lambda: _get(m, vcpu, reg[1], addr != "NULL"))


def _get(m: Program, vcpu: Vcpu, reg: int, good: bool) -> None:
    vals = m.kvm_riscv_vcpu_get_reg(vcpu, reg)
    if not good:
        raise Errno("EFAULT")
    m.seen = vals
    _is_due(m, vcpu, reg_name(reg), vals)


def _is_due(m: Program, vcpu: Vcpu, name: str, vals: Quads) -> None:
    """What a VMM reads is what the guest, or somebody before it, has left there."""
    owed, got = m.vcpu_due[vcpu.name], tuple(val.bits for val in trim(vals))
    want = due.read_back(owed, name, m.hosts[vcpu.host], "d" in vcpu.isa)
    if want and got not in want and owed.reset is None:
        text = f"a VMM reads {vcpu.name}'s {name} = {shown(vals[0])}, "
        m.violated("set-lost", vcpu.name, name, text + f"not {(*want[0], 0)[0]:#x}")


def _sets(w: World, who: str, current: str) -> Iterator[Try]:
    isa = set(w.words.get("isa", ()))
    vlenb = w.settings.get("vlen", (128, 128))[1] // 8
    for vcpu in w.vcpus_of(who):
        for extension in sorted(isa):
            reg = reg_id(f"isa_ext.{extension}", 16)
            if reg is not None:
                yield Try(("vmm",), (vcpu, ("id", reg), (0,)))
        for number, bits in settings(isa, vlenb):
            yield Try(("onereg",), (vcpu, ("id", number), bits))


@VERBS.verb(
    "KVM_SET_ONE_REG, from a bad pointer with `= NULL`",
    *(VCPU, Register("one_reg"), VALUE),
    when=created,
    tries=_sets,
)
def one_reg_set(m: Program, actor: str, name: str, reg: Reg, bits: tuple[int, ...]) -> None:
    vcpu = m.vcpus[name]
    vals = tuple(m.val(b, name) for b in bits)
    vcpu_ioctl(m, lambda: _set(m, vcpu, reg[1], vals))


def _set(m: Program, vcpu: Vcpu, reg: int, vals: Quads) -> None:
    """No values stand for a bad pointer."""
    if not vals:
        m.before_copy(vcpu, reg)
        raise Errno("EFAULT")
    if m.place_of(reg)[0] != ISA_EXT:
        set_one_reg(m, vcpu, reg, vals)
        return
    was, before = vcpu.isa, _extensions(m, vcpu)
    set_one_reg(m, vcpu, reg, vals)
    _alias(m, vcpu, reg, before, _extensions(m, vcpu))
    if vcpu.isa < was:
        _observable(m, vcpu, was, reg)


def set_one_reg(m: Program, vcpu: Vcpu, reg: int, vals: Quads) -> None:
    """KVM_SET_ONE_REG: what it has accepted is what there is from now on. Raises Errno."""
    name = reg_name(reg)
    try:
        m.kvm_riscv_vcpu_set_reg(vcpu, reg, vals)
    except Errno as error:
        if name in TAKES_ANYTHING and not vcpu.ran_atleast_once and m.has_reg(vcpu, reg):
            text = f"KVM refuses {name} = {vals[0].bits:#x} for {vcpu.name} with {error.name}, "
            text += "though it takes any value before the first run"
            m.violated("set-lost", vcpu.name, name, text)
        raise
    group, _, member = name.partition(".")
    if not group:
        return
    if group == "vector" and "vlenb-reg" not in m.fixes:
        # asm/kvm.h had no vlenb: from there on an id was of the next register.
        member = VECTOR_REGS[VECTOR_REGS.index(member) + (member in VECTOR_REGS[4:])]
    _owe(m, vcpu, group, member, vals)
    _replaces(m, vcpu, name)
    # To read sip takes pending interrupts over: it would not be as if nobody had asked.
    got = None if name in RUN_BY_THEMSELVES else m.would_get(vcpu, reg)
    if got is None:
        return
    # The time is of all vcpus of a VM.
    for other in m.vm_vcpus(vcpu) if name == "timer.time" else (vcpu,):
        due.set_accepted(m.vcpu_due[other.name], reg, tuple(val.bits for val in got))
    mask = (1 << 8 * min(size_of(reg), 16)) - 1
    for want, there in zip(vals, got, strict=False):
        if want.bits & mask != there.bits and not re.fullmatch(PARTLY_KEPT, name):
            text = f"KVM has taken {name} = {want.bits:#x} for {vcpu.name}, "
            text += f"and reads {there.bits:#x}"
            m.violated("set-lost", vcpu.name, name, text)


def _replaces(m: Program, vcpu: Vcpu, name: str) -> None:
    """A register that shows the same thing is no longer what it was set to.

    Nor is one that has gone with its extension.
    """
    view, owed = view_of(name), m.vcpu_due[vcpu.name]
    if not view or not owed.accepted:
        return
    group, off = name.partition(".")[0], _off(m, vcpu)
    kept = []
    for reg, was in owed.accepted:
        other = reg_name(reg)
        same_kind = other.partition(".")[0] == group in ONE_BY_ONE
        if (same_kind or view_of(other) != view) and off.isdisjoint(needs(other)):
            kept.append((reg, was))
    owed.accepted = tuple(kept)


def _off(m: Program, vcpu: Vcpu) -> set[str]:
    """The registers of GOES_WITH that say no."""
    found = set()
    for extension in dict.fromkeys(GOES_WITH.values()):
        vals = m.would_get(vcpu, reg_id(extension, 0) or 0)
        if vals is None or not vals[0].bits:
            found.add(extension)
    return found


def _owe(m: Program, vcpu: Vcpu, group: str, member: str, vals: Quads) -> None:
    """What a register that has been set makes due to the guest."""
    owed, host, val = m.vcpu_due[vcpu.name], m.hosts[vcpu.host], vals[0]
    owed.fresh = False
    if group in ("fp_f", "fp_d"):
        n = FCSR if member == "fcsr" else int(member[1:])
        owed.f = due.fp_set(owed.f, "d" in vcpu.isa, group == "fp_f", n, val)
    elif group == "vector" and member not in ("vlenb", "datap"):
        n = V_CSRS.get(member, -1)
        owed.v = owed.v.set(int(member[1:]) if n < 0 else n, vals)
    elif group == "core" and member[0] == "x":
        owed.x = owed.x.set(int(member[1:]), vals)
    elif group == "core" and member == "pc":
        owed.pc = val.bits
    elif member == "senvcfg":
        # What no hart can hold nobody is entitled to. But a length that another host masks is
        # a promise of the one that the guest came from.
        lengths = frozenset().union(*(each.pmlen for each in m.hosts))
        bits = legal_senvcfg(host.isa, lengths, val.bits, 0)
        owed.senvcfg = Val(bits, val.origin)
    elif member == "ssp":
        owed.ssp = val
    elif group == "csr" or member == "siselect":
        due.csr_set(owed, member, val, val.bits << 1 & due.INTERRUPTS)
    elif member == "compare":
        owed.timecmp = val.bits
    elif group == "timer" and member == "state":
        owed.armed = val.bits == KVM_RISCV_TIMER_STATE_ON
    elif group in ("sbi_ext", "sbi_multi_dis") and "sbi-ext-reset" in m.fixes:
        fwft = SBI_EXT_ID["fwft"]
        if (member == "fwft" and not val.bits) or (member == "0" and val.bits >> fwft & 1):
            due.fwft_off(owed)
    elif group == "fwft" and member.endswith(".flags"):
        feature = frozenset([member.partition(".")[0]])
        owed.locked = owed.locked | feature if val.bits & 1 else owed.locked - feature
    elif group == "fwft" and member.endswith(".value"):
        due.set_fwft(owed, member.partition(".")[0], val.bits)


def _extensions(m: Program, vcpu: Vcpu) -> dict[int, bool]:
    """Each id that this kernel and host know, and whether the vcpu has it."""
    found = {}
    for kvm_ext in range(m.isa_ext_max):
        guest = m.isa_check_host(kvm_ext)
        if guest is not None:
            found[kvm_ext] = guest in vcpu.isa
    return found


def _alias(
    m: Program, vcpu: Vcpu, reg: int, before: dict[int, bool], after: dict[int, bool]
) -> None:
    """A write to one id changes no other."""
    _, subtype, index, _ = m.place_of(reg)
    if subtype:
        return
    for kvm_ext, was in before.items():
        if kvm_ext != index and after[kvm_ext] is not was:
            name = reg_name(ISA_EXT << 24 | 0x80 << 56 | kvm_ext)
            text = f"writing {reg_name(reg)} of {vcpu.name} changes {name} too"
            m.violated("alias", vcpu.name, name, text)


def _observable(m: Program, vcpu: Vcpu, was: frozenset[str], reg: int) -> None:
    """What has been switched off must make a difference."""
    same = observable(m.observe_guest, vcpu, was)
    for name in same:
        text = f"{name} is switched off for {vcpu.name}, and its guest sees no difference"
        m.violated("unobservable", vcpu.name, name, text)
