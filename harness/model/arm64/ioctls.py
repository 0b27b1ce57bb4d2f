"""The ioctls of a VMM on its vcpus, as stimuli."""

from __future__ import annotations

from collections.abc import Callable

from harness.model.arm64 import due
from harness.model.arm64.kvm.guest import with_word
from harness.model.arm64.kvm.state import Errno, Vcpu
from harness.model.arm64.kvm.uapi import (
    KVM_ARM_VCPU_EL1_32BIT,
    KVM_REG_ARM_COPROC_MASK,
    KVM_REG_ARM_CORE,
    LONG_NAMES,
    OneReg,
    core_words,
    name_of,
    named,
    reg_id,
)
from harness.model.arm64.legal import Legal
from harness.model.base import Refused, State, Violation, classify, shown
from harness.model.values import Quads, Val, trim

Reg = tuple[str, int]
Bits = tuple[int, ...]


class Ioctls(Legal):
    """A whole system call each, but for KVM_RUN, which goes on in the guest."""

    __slots__ = ()

    capture: Callable[[], State]
    restore: Callable[[State], None]

    def idle_vcpu(self, actor: str, name: str) -> Vcpu:
        """The vcpu, which nobody runs: a task in user space can call an ioctl on it."""
        self.in_user(actor)
        vcpu = self.vcpus[name]
        if vcpu.cpu >= 0 or any(t.vcpu == name for t in self.tasks.values()):
            raise Refused(f"{name} is in KVM_RUN already, by {vcpu.thread}; an ioctl would wait")
        return vcpu

    def vcpu_ioctl(self, do: Callable[[], None]) -> None:
        """kvm_vcpu_ioctl(), from user space and back, with the errno it gives."""
        self.svc()
        try:
            do()
        except Errno as error:
            self.fails(error)
        self.exit_to_user_mode()

    def unless_refused(self, do: Callable[[], None]) -> None:
        """An ioctl which can turn out not to be modelled in its middle: then nothing happens."""
        before = self.capture()
        try:
            self.vcpu_ioctl(do)
        except Refused:
            self.restore(before)
            raise

    def fails(self, error: Errno) -> None:
        self.errno = str(error)
        if self.recording:
            self.note("errno", self.errno)

    def on_ioctl(
        self, actor: str, request: str, name: str, argument: tuple[int, ...] | None = None
    ) -> None:
        vcpu = self.idle_vcpu(actor, name)
        if request == "KVM_RUN":
            self._run(vcpu)
        elif request == "KVM_ARM_VCPU_INIT":
            features = vcpu.asked if argument is None else argument
            self.unless_refused(lambda: self.init_vcpu(vcpu, features))
        elif request == "KVM_ARM_VCPU_FINALIZE":
            assert argument is not None
            self.vcpu_ioctl(lambda: self._finalize(vcpu, argument[0]))
        else:
            room = argument[0] if argument else None
            self.aarch64(vcpu)
            self.vcpu_ioctl(lambda: self._list(vcpu, room))

    def aarch64(self, vcpu: Vcpu) -> Vcpu:
        """Beyond KVM_ARM_VCPU_INIT there is nothing here for an AArch32 guest."""
        if vcpu.initialized and vcpu.features >> KVM_ARM_VCPU_EL1_32BIT & 1:
            raise Refused(f"{vcpu.name} is an AArch32 guest, which is not modelled")
        return vcpu

    def _run(self, vcpu: Vcpu) -> None:
        self.aarch64(vcpu)
        if vcpu.elsewhere:
            raise Refused(f"{vcpu.name} is on another host")
        if vcpu.powered_off:
            raise Refused(
                f"{vcpu.name} is powered off (KVM_ARM_VCPU_POWER_OFF): KVM_RUN waits until another "
                "vcpu wakes it"
            )
        if self.kvm_arm_vcpu_is_finalized(vcpu):
            self.can_run(vcpu)
        self.svc()
        try:
            self.kvm_arch_vcpu_run_pid_change(vcpu)
        except Errno as error:
            self.fails(error)
            self.exit_to_user_mode()
            return
        self.boot(vcpu)
        self.vcpu_load(vcpu)
        if not self.oops:
            self.guest_enter(vcpu)

    def can_run(self, vcpu: Vcpu) -> None:
        if vcpu.sme:
            raise Refused(
                f"{vcpu.name} has SME, and a vcpu with SME does not run yet; `one_reg`, `save` and "
                f"`restore` reach its registers, and without `sme` on its `vm` line it would run"
            )

    def init_vcpu(self, vcpu: Vcpu, features: tuple[int, ...]) -> None:
        """KVM_ARM_VCPU_INIT. Raises Errno."""
        self.kvm_arch_vcpu_ioctl_vcpu_init(vcpu, features)
        lengths = self.lengths._replace(sve=self.host_lengths(vcpu))
        sme_guests = "sme-guest" in self.fixes
        due.vcpu_init(self.vcpu_due[vcpu.name], features, lengths, sme_guests)

    def finalize_vcpu(self, vcpu: Vcpu, feature: int) -> None:
        """KVM_ARM_VCPU_FINALIZE. Raises Errno."""
        self.kvm_arm_vcpu_finalize(vcpu, feature)
        self.vcpu_due[vcpu.name].finalized = True

    def _finalize(self, vcpu: Vcpu, feature: int) -> None:
        if not self.sve_guests:
            raise Errno("EINVAL")  # no such ioctl
        self._initialized(vcpu)
        self.finalize_vcpu(vcpu, feature)

    def _list(self, vcpu: Vcpu, room: int | None) -> None:
        self.kvm_get_reg_list(vcpu, room)

    def _initialized(self, vcpu: Vcpu) -> None:
        if not vcpu.initialized:
            raise Errno("ENOEXEC")

    # One register ----------------------------------------------------------------

    def on_one_reg_get(self, actor: str, name: str, reg: Reg, addr: str = "") -> None:
        vcpu = self.aarch64(self.idle_vcpu(actor, name))
        call = self.unless_refused if reg[0] == "id" else self.vcpu_ioctl
        call(lambda: self._get(vcpu, reg, addr != "NULL"))

    def on_one_reg_set(self, actor: str, name: str, reg: Reg, bits: Bits) -> None:
        vcpu = self.aarch64(self.idle_vcpu(actor, name))
        vals = tuple(self.value(name, b) for b in bits)
        call = self.unless_refused if reg[0] == "id" else self.vcpu_ioctl
        call(lambda: self._set(vcpu, reg, vals))

    def _get(self, vcpu: Vcpu, reg: Reg, good: bool) -> None:
        self._initialized(vcpu)
        self.seen = self.get_one_reg(vcpu, OneReg(reg_id(*reg), good))

    def get_one_reg(self, vcpu: Vcpu, reg: OneReg) -> Quads:
        """KVM_GET_ONE_REG: a value that is not the guest's is a violation. Raises Errno."""
        got = self.kvm_arm_get_reg(vcpu, reg)
        self._is_due(vcpu, reg, got)
        return got

    def _is_due(self, vcpu: Vcpu, reg: OneReg, got: Quads) -> None:
        known, owed = named(reg.id), self.vcpu_due[vcpu.name]
        if known is None:
            return
        want = due.read_back(owed, *known, self.abi, owed.vq(self.host_lengths(vcpu)))
        for quad, (a, b) in enumerate(zip(want or (), got, strict=False)):
            if a.bits != due.kept(known[0], b, self.abi).bits:
                name = name_of(reg.id) + (f"[{quad}]" if quad else "")
                text = f"a VMM reads {vcpu.name}'s {name} = {shown(b)}, not {shown(a)}"
                kind = classify(vcpu.name, a, b)
                self.violations.append(Violation(kind, vcpu.name, f"one_reg {name}", text, a, b))
                break

    def _set(self, vcpu: Vcpu, reg: Reg, vals: Quads) -> None:
        """No values stand for a bad pointer."""
        self._initialized(vcpu)
        self.set_one_reg(vcpu, OneReg(reg_id(*reg), bool(vals)), vals)

    def set_one_reg(self, vcpu: Vcpu, reg: OneReg, vals: Quads) -> None:
        """KVM_SET_ONE_REG: what it has accepted is the guest's. Raises Errno."""
        self.kvm_arm_set_reg(vcpu, reg, vals)
        known = named(reg.id)
        if known is None:
            self._words_due(vcpu, reg, vals[0])
            return
        due.one_reg(self.vcpu_due[vcpu.name], *known, vals, self.abi)
        n = len(self.log)
        try:
            got = self.kvm_arm_get_reg(vcpu, reg)  # nobody has called it
        except Errno:
            return
        finally:
            del self.log[n:]
        self._is_due(vcpu, reg, got)
        asked, there = ([val.bits for val in trim(quads)] for quads in (vals, got))
        if known[0] in LONG_NAMES and asked != there:
            text = f"KVM has taken {shown(vals[0])} for {vcpu.name}, and reads {shown(got[0])}"
            self.violate("lost", vcpu.name, f"one_reg {name_of(reg.id)}", text)

    def _words_due(self, vcpu: Vcpu, reg: OneReg, val: Val) -> None:
        """Words that are no register, which KVM takes until v4.18."""
        owed = self.vcpu_due[vcpu.name]
        if reg.id & KVM_REG_ARM_COPROC_MASK != KVM_REG_ARM_CORE:
            return
        for n, (kind, number, word) in enumerate(core_words(reg.id)):
            old = due.read_back(owed, kind, number, self.abi, 1) if kind else None
            if old is not None:
                due.one_reg(owed, kind, number, (with_word(old[0], word, val, n),), self.abi)

    @property
    def abi(self) -> due.Abi:
        return due.Abi("sme-larger-vl" in self.fixes, self.cpacr_res0)
