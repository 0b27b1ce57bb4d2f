"""ioctls of a vcpu, but for ONE_REG."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.model.base import Errno, Refused
from harness.model.operands import ARGUMENT, VCPU, Means, choices
from harness.model.riscv import due
from harness.model.riscv.cpu.csr import IRQ_VS_EXT
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import (
    ARGUMENTS,
    KVM_GUESTDBG_ENABLE,
    KVM_INTERRUPT_SET,
    KVM_MP_STATE_INIT_RECEIVED,
    KVM_MP_STATE_RUNNABLE,
)
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.kvm_run import RESET_GROUPS, can_load, goes_on, has_no_past, runs
from harness.model.riscv.stimuli.places import caller, idle_vcpu
from harness.model.riscv.stimuli.table import VERBS
from harness.model.shared import vcpu_ioctl
from harness.model.values import Val
from harness.model.verbs import Try
from harness.model.world import World

IOCTLS = {
    "KVM_RUN": Means(
        "loads the vcpu, enters the guest; while the thread sleeps in KVM_RUN (its vcpu is "
        "stopped, or waits for an interrupt), lets the vcpu go on"
    ),
    "KVM_CREATE_VCPU": Means(
        "makes a vcpu that is `later`; with 1 or 2, that allocation of a vector buffer fails", "N"
    ),
    "KVM_GET_REG_LIST": Means("lists the registers, if there is room for so many ids", "N"),
    "KVM_INTERRUPT": Means(
        "`KVM_INTERRUPT_SET` sets the external interrupt, any other number unsets it", "N", True
    ),
    "KVM_SET_MP_STATE": Means(
        "`KVM_MP_STATE_RUNNABLE`, `KVM_MP_STATE_STOPPED`, `KVM_MP_STATE_INIT_RECEIVED`", "N", True
    ),
    "KVM_SET_GUEST_DEBUG": Means("`KVM_GUESTDBG_ENABLE` (bit 0 counts)", "N", True),
    "KVM_ENABLE_CAP": Means("`KVM_CAP_RISCV_MP_STATE_RESET`, for the VM of the vcpu", "N", True),
}


def get_reg_list(m: Program, vcpu: Vcpu, room: int | None) -> None:
    """KVM_GET_REG_LIST with room for so many ids. Raises Errno."""
    regs = m.kvm_riscv_vcpu_copy_reg_indices(vcpu)
    m.seen = (Val(len(regs)),)
    if room is not None and room < len(regs):
        raise Errno("E2BIG")


def _can_call(
    m: Program, actor: str, request: str, name: str, argument: tuple[int, ...] | None = None
) -> None:
    if request == "KVM_RUN" and goes_on(m, actor, name):
        can_load(m, name)
        return
    asynchronous = request in ("KVM_INTERRUPT", "KVM_ENABLE_CAP")
    vcpu = caller(m, actor, name) if asynchronous else idle_vcpu(m, actor, name)
    if request == "KVM_CREATE_VCPU":
        if vcpu.created:
            raise Refused(f"{name} exists; `vcpu {name} in {vcpu.thread} later` waits for this")
        if argument is not None and argument[0] > 2:
            raise Refused("a vcpu has two buffers: allocation 1 or 2 can fail")
        return
    if not vcpu.created:
        raise Refused(f"{name} has not been created")
    if argument is None and request in ARGUMENTS:
        example = next(iter(ARGUMENTS[request]))
        raise Refused(
            f"{request} takes a number, such as `{actor} ioctl {request} {name} {example}`"
        )
    if request == "KVM_RUN" and vcpu.stopped:
        raise Refused(m.is_stopped(vcpu))


def _runs(w: World, who: str, current: str) -> Iterator[Try]:
    yield from (Try(("run",), ("KVM_RUN", vcpu)) for vcpu in w.vcpus_of(who))


@VERBS.verb(
    "calls an ioctl of a vcpu",
    choices(IOCTLS),
    VCPU,
    ARGUMENT,
    when=_can_call,
    touches="cpu vcpu",
    tries=_runs,
    leads=[
        ("KVM_RUN", None),
        ("KVM_CREATE_VCPU", None),
        ("KVM_SET_MP_STATE", None, (KVM_MP_STATE_RUNNABLE,)),
    ],
)
def ioctl(
    m: Program, actor: str, request: str, name: str, argument: tuple[int, ...] | None = None
) -> None:
    vcpu, number = m.vcpus[name], argument[0] if argument else 0
    if request == "KVM_RUN":
        if not goes_on(m, actor, name):
            m.svc()
        runs(m, vcpu)
        m.kvm_arch_vcpu_ioctl_run(vcpu)
        m.guest_enter(vcpu)
        return
    if request == "KVM_CREATE_VCPU":
        vcpu_ioctl(m, lambda: m.kvm_arch_vcpu_create(vcpu, number))
        if not m.errno:
            due.reset_vcpu(m.vcpu_due[name])
        return
    room = None if argument is None else number
    calls: dict[str, Callable[[], None]] = {
        "KVM_INTERRUPT": lambda: m.kvm_arch_vcpu_async_ioctl(vcpu, number),
        "KVM_ENABLE_CAP": lambda: m.kvm_vm_ioctl_enable_cap(vcpu, number),
        "KVM_SET_MP_STATE": lambda: m.kvm_arch_vcpu_ioctl_set_mpstate(vcpu, number),
        "KVM_SET_GUEST_DEBUG": lambda: m.kvm_arch_vcpu_ioctl_set_guest_debug(vcpu, number),
        "KVM_GET_REG_LIST": lambda: get_reg_list(m, vcpu, room),
    }
    vcpu_ioctl(m, calls[request])
    if m.errno:
        return
    owed = m.vcpu_due[name]
    if request == "KVM_INTERRUPT":
        due.interrupt(owed, IRQ_VS_EXT, number == KVM_INTERRUPT_SET)
    elif request == "KVM_SET_GUEST_DEBUG":
        owed.debug = bool(number & KVM_GUESTDBG_ENABLE)
    elif request == "KVM_SET_MP_STATE" and number == KVM_MP_STATE_INIT_RECEIVED:
        # The next KVM_RUN completes a call, and starts where hart_start has said: reset or not.
        answer, asked = owed.answer, owed.reset
        due.reset_vcpu(owed)
        owed.answer, owed.reset = answer, asked
        due.forget(owed, RESET_GROUPS)
        has_no_past(m, vcpu)
