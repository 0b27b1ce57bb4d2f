"""ioctls of a vcpu, but for ONE_REG."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.model.arm64 import due
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.kvm.uapi import KVM_ARM_VCPU_SVE
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.kvm_run import can_run
from harness.model.arm64.stimuli.places import aarch64, idle_vcpu
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Errno, Refused
from harness.model.operands import ARGUMENT, VCPU, Means, choices
from harness.model.shared import fails, vcpu_ioctl
from harness.model.verbs import Try
from harness.model.world import World


def unless_refused(m: Program, do: Callable[[], None]) -> None:
    """An ioctl which can turn out not to be modelled in its middle: then nothing happens."""
    before = m.capture()
    try:
        vcpu_ioctl(m, do)
    except Refused:
        m.restore(before)
        raise


def _can_call(
    m: Program, actor: str, request: str, name: str, argument: tuple[int, ...] | None = None
) -> None:
    if request in ("KVM_RUN", "KVM_GET_REG_LIST"):
        vcpu = aarch64(m, actor, name)
    else:
        vcpu = idle_vcpu(m, actor, name)
    if request != "KVM_RUN":
        return
    if vcpu.elsewhere:
        raise Refused(f"{vcpu.name} is on another host")
    if vcpu.powered_off:
        raise Refused(
            f"{vcpu.name} is powered off (KVM_ARM_VCPU_POWER_OFF): KVM_RUN waits until another "
            "vcpu wakes it"
        )
    if m.kvm_arm_vcpu_is_finalized(vcpu):
        can_run(vcpu)


def _runs(w: World, who: str, current: str) -> Iterator[Try]:
    for vcpu in w.vcpus_of(who):
        if "sme" not in (w.features_of(vcpu) or ()):  # which does not run here
            yield Try(("run",), ("KVM_RUN", vcpu))


@VERBS.verb(
    "calls an ioctl of a vcpu",
    choices(
        {
            "KVM_RUN": Means("loads the vcpu, enters the guest"),
            "KVM_ARM_VCPU_INIT": Means(
                "initialises the vcpu (again): by number or name, `none`, or the features on the "
                "`vm` line",
                "FEATURE, ...",
            ),
            "KVM_ARM_VCPU_FINALIZE": Means(
                "fixes the vector lengths (`KVM_ARM_VCPU_SVE`; `KVM_ARM_VCPU_VEC` is another name)",
                "FEATURE",
                needed=True,
            ),
            "KVM_GET_REG_LIST": Means(
                "lists the registers (those that are modelled); `expect read n = 35` is how many",
                "N",
            ),
        }
    ),
    VCPU,
    ARGUMENT,
    when=_can_call,
    touches="cpu vcpu",
    tries=_runs,
    leads=[
        ("KVM_RUN", None),
        ("KVM_ARM_VCPU_INIT", None),
        ("KVM_ARM_VCPU_FINALIZE", None, (KVM_ARM_VCPU_SVE,)),
    ],
)
def ioctl(
    m: Program, actor: str, request: str, name: str, argument: tuple[int, ...] | None = None
) -> None:
    vcpu = m.vcpus[name]
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
        vcpu_ioctl(m, lambda: _list(m, vcpu, room))


def _run(m: Program, vcpu: Vcpu) -> None:
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
