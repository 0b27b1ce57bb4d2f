"""What a VMM does with a vcpu's registers: reads and writes them, saves and restores all."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from harness.model.base import Refused, State, Violation, shown
from harness.model.riscv import due
from harness.model.riscv.cpu.state import FCSR, V_CSRS
from harness.model.riscv.cpu.warl import legal_senvcfg
from harness.model.riscv.guest import Guest, Reg
from harness.model.riscv.kvm.state import Errno, Saved, Vcpu
from harness.model.riscv.kvm.uapi import (
    ISA_EXT,
    SBI_EXT,
    SBI_EXT_ID,
    VECTOR_REGS,
    reg_id,
    reg_name,
    size_of,
)
from harness.model.riscv.kvm.vcpu_timer import KVM_RISCV_TIMER_STATE_ON
from harness.model.riscv.observability import Observe, observable
from harness.model.values import Quads, Val, trim

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


class Vmm(Guest):
    """ONE_REG, and what must come of it.

    `read_back` has, by vcpu, a state in which ONE_REG has last been found to give what was set.
    """

    __slots__ = ("read_back",)

    vcpu_ioctl: Callable[[Callable[[], None]], None]
    observe_guest: Observe
    has_reg: Callable[[Vcpu, int], bool]
    runs: Callable[[Vcpu], None]
    check: Callable[[], list[Violation]]
    capture: Callable[[], State]
    restore: Callable[[State], None]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.read_back: dict[str, tuple[Any, ...]] = {}

    def get_reg_list(self, vcpu: Vcpu, room: int | None) -> None:
        """KVM_GET_REG_LIST with room for so many ids. Raises Errno."""
        regs = self.kvm_riscv_vcpu_copy_reg_indices(vcpu)
        self.seen = (Val(len(regs)),)
        if room is not None and room < len(regs):
            raise Errno("E2BIG")

    # One register ----------------------------------------------------------------------

    def on_one_reg_get(self, actor: str, name: str, reg: Reg, addr: str = "") -> None:
        vcpu = self.vmm_vcpu(actor, name)
        self.vcpu_ioctl(lambda: self._get(vcpu, reg[1], addr != "NULL"))

    def _get(self, vcpu: Vcpu, reg: int, good: bool) -> None:
        vals = self.kvm_riscv_vcpu_get_reg(vcpu, reg)
        if not good:
            raise Errno("EFAULT")
        self.seen = vals
        self._is_due(vcpu, reg_name(reg), vals)

    def _is_due(self, vcpu: Vcpu, name: str, vals: Quads) -> None:
        """What a VMM reads is what the guest, or somebody before it, has left there."""
        owed, got = self.vcpu_due[vcpu.name], tuple(val.bits for val in trim(vals))
        want = due.read_back(owed, name, self.hosts[vcpu.host], "d" in vcpu.isa)
        if want and got not in want and owed.reset is None:
            text = f"a VMM reads {vcpu.name}'s {name} = {shown(vals[0])}, "
            self.violated("set-lost", vcpu.name, name, text + f"not {(*want[0], 0)[0]:#x}")

    def on_one_reg_set(self, actor: str, name: str, reg: Reg, bits: tuple[int, ...]) -> None:
        vcpu = self.vmm_vcpu(actor, name)
        vals = tuple(self.val(b, name) for b in bits)
        self.vcpu_ioctl(lambda: self._set(vcpu, reg[1], vals))

    def vmm_vcpu(self, actor: str, name: str) -> Vcpu:
        vcpu = self.idle_vcpu(actor, name)
        if not vcpu.created:
            raise Refused(f"{name} has not been created")
        return vcpu

    def _set(self, vcpu: Vcpu, reg: int, vals: Quads) -> None:
        """No values stand for a bad pointer."""
        if not vals:
            self.before_copy(vcpu, reg)
            raise Errno("EFAULT")
        if self.place_of(reg)[0] != ISA_EXT:
            self.set_one_reg(vcpu, reg, vals)
            return
        was, before = vcpu.isa, self._extensions(vcpu)
        self.set_one_reg(vcpu, reg, vals)
        self._alias(vcpu, reg, before, self._extensions(vcpu))
        if vcpu.isa < was:
            self._observable(vcpu, was, reg)

    def set_one_reg(self, vcpu: Vcpu, reg: int, vals: Quads) -> None:
        """KVM_SET_ONE_REG: what it has accepted is what there is from now on. Raises Errno."""
        name = reg_name(reg)
        try:
            self.kvm_riscv_vcpu_set_reg(vcpu, reg, vals)
        except Errno as error:
            if name in TAKES_ANYTHING and not vcpu.ran_atleast_once and self.has_reg(vcpu, reg):
                text = f"KVM refuses {name} = {vals[0].bits:#x} for {vcpu.name} with {error.name}, "
                text += "though it takes any value before the first run"
                self.violated("set-lost", vcpu.name, name, text)
            raise
        group, _, member = name.partition(".")
        if not group:
            return
        if group == "vector" and "vlenb-reg" not in self.fixes:
            # asm/kvm.h had no vlenb: from there on an id was of the next register.
            member = VECTOR_REGS[VECTOR_REGS.index(member) + (member in VECTOR_REGS[4:])]
        self._owe(vcpu, group, member, vals)
        self._replaces(vcpu, name)
        # To read sip takes pending interrupts over: it would not be as if nobody had asked.
        got = None if name in RUN_BY_THEMSELVES else self.would_get(vcpu, reg)
        if got is None:
            return
        # The time is of all vcpus of a VM.
        for other in self.vm_vcpus(vcpu) if name == "timer.time" else (vcpu,):
            due.set_accepted(self.vcpu_due[other.name], reg, tuple(val.bits for val in got))
        mask = (1 << 8 * min(size_of(reg), 16)) - 1
        for want, there in zip(vals, got, strict=False):
            if want.bits & mask != there.bits and not re.fullmatch(PARTLY_KEPT, name):
                text = f"KVM has taken {name} = {want.bits:#x} for {vcpu.name}, "
                text += f"and reads {there.bits:#x}"
                self.violated("set-lost", vcpu.name, name, text)

    def _replaces(self, vcpu: Vcpu, name: str) -> None:
        """A register that shows the same thing is no longer what it was set to.

        Nor is one that has gone with its extension.
        """
        view, owed = view_of(name), self.vcpu_due[vcpu.name]
        if not view or not owed.accepted:
            return
        group, off = name.partition(".")[0], self._off(vcpu)
        kept = []
        for reg, was in owed.accepted:
            other = reg_name(reg)
            same_kind = other.partition(".")[0] == group in ONE_BY_ONE
            if (same_kind or view_of(other) != view) and off.isdisjoint(needs(other)):
                kept.append((reg, was))
        owed.accepted = tuple(kept)

    def _off(self, vcpu: Vcpu) -> set[str]:
        """The registers of GOES_WITH that say no."""
        found = set()
        for extension in dict.fromkeys(GOES_WITH.values()):
            vals = self.would_get(vcpu, reg_id(extension, 0) or 0)
            if vals is None or not vals[0].bits:
                found.add(extension)
        return found

    def would_get(self, vcpu: Vcpu, reg: int) -> Quads | None:
        """What KVM_GET_ONE_REG would give now, None for an errno; nobody has called it."""
        n, cpu = len(self.log), self.cpu.id
        if self.host is not self.hosts[vcpu.host]:
            self.run_on(next(hart.id for hart in self.harts if hart.host == vcpu.host))
        try:
            return self.kvm_riscv_vcpu_get_reg(vcpu, reg)
        except Errno:
            return None
        finally:
            del self.log[n:]
            self.run_on(cpu)

    def _owe(self, vcpu: Vcpu, group: str, member: str, vals: Quads) -> None:
        """What a register that has been set makes due to the guest."""
        owed, host, val = self.vcpu_due[vcpu.name], self.hosts[vcpu.host], vals[0]
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
            lengths = frozenset().union(*(each.pmlen for each in self.hosts))
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
        elif group in ("sbi_ext", "sbi_multi_dis") and "sbi-ext-reset" in self.fixes:
            fwft = SBI_EXT_ID["fwft"]
            if (member == "fwft" and not val.bits) or (member == "0" and val.bits >> fwft & 1):
                due.fwft_off(owed)
        elif group == "fwft" and member.endswith(".flags"):
            feature = frozenset([member.partition(".")[0]])
            owed.locked = owed.locked | feature if val.bits & 1 else owed.locked - feature
        elif group == "fwft" and member.endswith(".value"):
            due.set_fwft(owed, member.partition(".")[0], val.bits)

    def _extensions(self, vcpu: Vcpu) -> dict[int, bool]:
        """Each id that this kernel and host know, and whether the vcpu has it."""
        found = {}
        for kvm_ext in range(self.isa_ext_max):
            guest = self.isa_check_host(kvm_ext)
            if guest is not None:
                found[kvm_ext] = guest in vcpu.isa
        return found

    def _alias(self, vcpu: Vcpu, reg: int, before: dict[int, bool], after: dict[int, bool]) -> None:
        """A write to one id changes no other."""
        _, subtype, index, _ = self.place_of(reg)
        if subtype:
            return
        for kvm_ext, was in before.items():
            if kvm_ext != index and after[kvm_ext] is not was:
                name = reg_name(ISA_EXT << 24 | 0x80 << 56 | kvm_ext)
                text = f"writing {reg_name(reg)} of {vcpu.name} changes {name} too"
                self.violated("alias", vcpu.name, name, text)

    def _observable(self, vcpu: Vcpu, was: frozenset[str], reg: int) -> None:
        """What has been switched off must make a difference."""
        same = observable(self.observe_guest, vcpu, was)
        for name in same:
            text = f"{name} is switched off for {vcpu.name}, and its guest sees no difference"
            self.violated("unobservable", vcpu.name, name, text)

    # All of them -------------------------------------------------------------------------

    def on_save(self, actor: str, name: str, dropped: tuple[str, ...] = ()) -> None:
        vcpu = self.vmm_vcpu(actor, name)
        self.vcpu_ioctl(lambda: self._save(vcpu, dropped))

    def _save(self, vcpu: Vcpu, dropped: tuple[str, ...]) -> None:
        regs = tuple(
            (reg, self.kvm_riscv_vcpu_get_reg(vcpu, reg))
            for reg in self.kvm_riscv_vcpu_copy_reg_indices(vcpu)
            if f"U{8 * size_of(reg)}" not in dropped
        )
        vcpu.saved = Saved(regs, vcpu.host)
        due.keep(self.vcpu_due[vcpu.name], tuple(v.what for v in self._tried_out(vcpu)))

    def on_restore(self, actor: str, name: str, source: str, first: Reg | None = None) -> None:
        """ISA first, then SBI extensions, then the rest as it was listed.

        What a vcpu has decides which of its registers there are. With `first` that one
        register goes before all.
        """
        vcpu, saved = self.vmm_vcpu(actor, name), self.vcpus[source].saved
        if saved is None:
            raise Refused(f"{source} has not been saved")
        rank = {ISA_EXT: 0, SBI_EXT: 1}

        def order(pair: tuple[int, Quads]) -> int:
            if first is not None and pair[0] == first[1]:
                return -1
            return rank.get(self.place_of(pair[0])[0], 2)

        regs = tuple(sorted(saved.regs, key=order))
        kept = self.vcpu_due[source].kept
        assert kept is not None
        same_host = self.hosts[vcpu.host] == self.hosts[saved.host]
        alike = same_host and first is None and not vcpu.ran_atleast_once
        self.vcpu_ioctl(lambda: self._restore(vcpu, saved._replace(regs=regs), kept, alike))

    def _restore(self, vcpu: Vcpu, saved: Saved, kept: due.Kept, alike: bool) -> None:
        for reg, vals in saved.regs:
            if reg_name(reg) == "timer.state" and not (vals[0].bits or vcpu.next_set):
                continue  # switching off what is off is an error, and no VMM tries
            try:
                self.set_one_reg(vcpu, reg, vals)
            except Errno as error:
                self.refused_reg = reg_name(reg)
                self.note("errno", f"{error.name} for {reg_name(reg)}")
                if alike:
                    text = f"{vcpu.name} is on a machine like the saved vcpu's, and KVM refuses "
                    self.violated("round-trip", vcpu.name, reg_name(reg), text + reg_name(reg))
                raise
        self._round_trip(vcpu, saved)
        missed = frozenset(v.what for v in self.violations)
        due.take_over(self.vcpu_due[vcpu.name], kept, missed)
        said = {v.what.partition("[")[0].rpartition(".")[2] for v in self.violations}
        for v in self._tried_out(vcpu):
            name = v.what.partition("[")[0].rpartition(".")[2]
            if v.what not in kept.wrong and name not in said:
                text = f"once it runs: {v.text}"
                self.violations.append(
                    Violation("round-trip", vcpu.name, v.what, text, v.want, v.got)
                )

    def _tried_out(self, vcpu: Vcpu) -> list[Violation]:
        """What is wrong with a guest and the hart it runs on, in registers that are listed or not.

        It runs, is looked at, and nothing of that has happened.
        """
        if vcpu.stopped or vcpu.waiting:
            return []
        kept, log, wrong = self.capture(), list(self.log), list(self.violations)
        last = self.cpu.id, self.seen, list(self.traps), self.errno
        try:
            self.runs(vcpu)
            self.kvm_arch_vcpu_ioctl_run(vcpu)
            self.guest_enter(vcpu)
            return [v for v in self.check() if v.who == vcpu.name]
        finally:
            self.restore(kept)
            self.log[:], self.violations[:] = log, wrong
            self.run_on(last[0])
            self.seen, self.traps[:], self.errno = last[1:]

    def _round_trip(self, vcpu: Vcpu, saved: Saved) -> None:
        """No call has failed: every register must now read what was saved."""
        for reg, vals in saved.regs:
            name = reg_name(reg)
            if name == "timer.time":
                continue
            try:
                got = self.kvm_riscv_vcpu_get_reg(vcpu, reg)
            except Errno as error:
                self.violated("round-trip", vcpu.name, name, f"{name} is gone: {error.name}")
                continue
            for want, found in zip(vals, got, strict=False):
                if want.bits != found.bits:
                    self._differs(vcpu, name, want, found)

    def _differs(self, vcpu: Vcpu, name: str, want: Val, got: Val) -> None:
        text = f"{vcpu.name} has {name} = {shown(got)}, the saved vcpu had {shown(want)}"
        self.violations.append(Violation("round-trip", vcpu.name, name, text, want, got))
