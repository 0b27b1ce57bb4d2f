"""What a VMM does with a vcpu's registers: reads and writes them, saves and restores all."""

from __future__ import annotations

from collections.abc import Callable

from harness.model.base import Refused, Violation, shown
from harness.model.riscv.guest import Guest, Reg
from harness.model.riscv.kvm.state import Errno, Saved, Vcpu
from harness.model.riscv.kvm.uapi import (
    ISA_EXT,
    SBI_EXT,
    reg_name,
    size_of,
)
from harness.model.riscv.observability import Observe, observable
from harness.model.values import Quads, Val


class Vmm(Guest):
    """ONE_REG, and what must come of it."""

    __slots__ = ()

    vcpu_ioctl: Callable[[Callable[[], None]], None]
    observe_guest: Observe

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

    def on_one_reg_set(self, actor: str, name: str, reg: Reg, bits: tuple[int, ...]) -> None:
        vcpu = self.vmm_vcpu(actor, name)
        vals = tuple(self.val(b, name) for b in bits)
        self.vcpu_ioctl(lambda: self._set(vcpu, reg[1], vals))

    def vmm_vcpu(self, actor: str, name: str) -> Vcpu:
        vcpu = self.idle_vcpu(actor, name)
        if not vcpu.created:
            raise Refused(f"{name} does not exist; `{actor} ioctl KVM_CREATE_VCPU {name}` makes it")
        return vcpu

    def _set(self, vcpu: Vcpu, reg: int, vals: Quads) -> None:
        """No values stand for a bad pointer."""
        if not vals:
            self.before_copy(vcpu, reg)
            raise Errno("EFAULT")
        if self.place_of(reg)[0] != ISA_EXT:
            self.kvm_riscv_vcpu_set_reg(vcpu, reg, vals)
            return
        was, before = vcpu.isa, self._extensions(vcpu)
        self.kvm_riscv_vcpu_set_reg(vcpu, reg, vals)
        self._alias(vcpu, reg, before, self._extensions(vcpu))
        if vcpu.isa < was:
            self._observable(vcpu, was, reg)

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
        vcpu.saved = Saved(regs, vcpu.right, vcpu.host)

    def on_restore(self, actor: str, name: str, source: str, first: Reg | None = None) -> None:
        """ISA first, then SBI extensions, then the rest as it was listed.

        What a vcpu has decides which of its registers there are. With `first` that one
        register goes before all.
        """
        vcpu, saved = self.vmm_vcpu(actor, name), self.vcpus[source].saved
        if saved is None:
            raise Refused(f"{source} has not been saved; `{actor} save {source}` would do it")
        rank = {ISA_EXT: 0, SBI_EXT: 1}

        def order(pair: tuple[int, Quads]) -> int:
            if first is not None and pair[0] == first[1]:
                return -1
            return rank.get(self.place_of(pair[0])[0], 2)

        regs = tuple(sorted(saved.regs, key=order))
        self.vcpu_ioctl(lambda: self._restore(vcpu, saved._replace(regs=regs)))

    def _restore(self, vcpu: Vcpu, saved: Saved) -> None:
        for reg, vals in saved.regs:
            if reg_name(reg) == "timer.state" and not (vals[0].bits or vcpu.next_set):
                continue  # switching off what is off is an error, and no VMM tries
            try:
                self.kvm_riscv_vcpu_set_reg(vcpu, reg, vals)
            except Errno as error:
                self.refused_reg = reg_name(reg)
                self.note("errno", f"{error.name} for {reg_name(reg)}")
                raise
        self._round_trip(vcpu, saved)

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
        vcpu.right = saved.due

    def _differs(self, vcpu: Vcpu, name: str, want: Val, got: Val) -> None:
        text = f"{vcpu.name} has {name} = {shown(got)}, the saved vcpu had {shown(want)}"
        self.violations.append(Violation("round-trip", vcpu.name, name, text, want, got))
