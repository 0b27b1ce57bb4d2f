"""ioctls of a vcpu, but for ONE_REG."""

from __future__ import annotations

from collections.abc import Callable

from harness.model.arm64 import due
from harness.model.arm64.kvm.state import Errno, Vcpu
from harness.model.arm64.kvm.uapi import KVM_ARM_VCPU_EL1_32BIT
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import idle_vcpu
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import ARGUMENT, VCPU, words


def vcpu_ioctl(m: Program, do: Callable[[], None]) -> None:
    """kvm_vcpu_ioctl(), from user space and back, with the errno it gives."""
    m.svc()
    try:
        do()
    except Errno as error:
        fails(m, error)
    m.exit_to_user_mode()


def unless_refused(m: Program, do: Callable[[], None]) -> None:
    """An ioctl which can turn out not to be modelled in its middle: then nothing happens."""
    before = m.capture()
    try:
        vcpu_ioctl(m, do)
    except Refused:
        m.restore(before)
        raise


def fails(m: Program, error: Errno) -> None:
    m.errno = str(error)
    if m.recording:
        m.note("errno", m.errno)


@VERBS.verb(
    "KVM_RUN: loads the vcpu, enters the guest",
    words("KVM_RUN KVM_ARM_VCPU_INIT KVM_ARM_VCPU_FINALIZE KVM_GET_REG_LIST"),
    VCPU,
    ARGUMENT,
    touches="cpu vcpu",
)
def ioctl(
    m: Program, actor: str, request: str, name: str, argument: tuple[int, ...] | None = None
) -> None:
    vcpu = idle_vcpu(m, actor, name)
    if request == "KVM_RUN":
        _run(m, vcpu)
    elif request == "KVM_ARM_VCPU_INIT":
        features = vcpu.asked if argument is None else argument
        unless_refused(m, lambda: init_vcpu(m, vcpu, features))
    elif request == "KVM_ARM_VCPU_FINALIZE":
        assert argument is not None
        vcpu_ioctl(m, lambda: _finalize(m, vcpu, argument[0]))
    else:
        room = argument[0] if argument else None
        aarch64(m, vcpu)
        vcpu_ioctl(m, lambda: _list(m, vcpu, room))


def aarch64(m: Program, vcpu: Vcpu) -> Vcpu:
    """Beyond KVM_ARM_VCPU_INIT there is nothing here for an AArch32 guest."""
    if vcpu.initialized and vcpu.features >> KVM_ARM_VCPU_EL1_32BIT & 1:
        raise Refused(f"{vcpu.name} is an AArch32 guest, which is not modelled")
    return vcpu


def _run(m: Program, vcpu: Vcpu) -> None:
    aarch64(m, vcpu)
    if vcpu.elsewhere:
        raise Refused(f"{vcpu.name} is on another host")
    if vcpu.powered_off:
        raise Refused(
            f"{vcpu.name} is powered off (KVM_ARM_VCPU_POWER_OFF): KVM_RUN waits until another "
            "vcpu wakes it"
        )
    if m.kvm_arm_vcpu_is_finalized(vcpu):
        can_run(m, vcpu)
    m.svc()
    try:
        m.kvm_arch_vcpu_run_pid_change(vcpu)
    except Errno as error:
        fails(m, error)
        m.exit_to_user_mode()
        return
    m.boot(vcpu)
    m.vcpu_load(vcpu)
    if not m.oops:
        m.guest_enter(vcpu)


def can_run(m: Program, vcpu: Vcpu) -> None:
    if vcpu.sme:
        raise Refused(
            f"{vcpu.name} has SME, and a vcpu with SME does not run yet; `one_reg`, `save` and "
            f"`restore` reach its registers, and without `sme` on its `vm` line it would run"
        )


def init_vcpu(m: Program, vcpu: Vcpu, features: tuple[int, ...]) -> None:
    """KVM_ARM_VCPU_INIT. Raises Errno."""
    m.kvm_arch_vcpu_ioctl_vcpu_init(vcpu, features)
    lengths = m.lengths._replace(sve=m.host_lengths(vcpu))
    sme_guests = "sme-guest" in m.fixes
    due.vcpu_init(m.vcpu_due[vcpu.name], features, lengths, sme_guests)


def finalize_vcpu(m: Program, vcpu: Vcpu, feature: int) -> None:
    """KVM_ARM_VCPU_FINALIZE. Raises Errno."""
    m.kvm_arm_vcpu_finalize(vcpu, feature)
    m.vcpu_due[vcpu.name].finalized = True


def _finalize(m: Program, vcpu: Vcpu, feature: int) -> None:
    if not m.sve_guests:
        raise Errno("EINVAL")  # no such ioctl
    initialized(m, vcpu)
    finalize_vcpu(m, vcpu, feature)


def _list(m: Program, vcpu: Vcpu, room: int | None) -> None:
    m.kvm_get_reg_list(vcpu, room)


def initialized(m: Program, vcpu: Vcpu) -> None:
    if not vcpu.initialized:
        raise Errno("ENOEXEC")
