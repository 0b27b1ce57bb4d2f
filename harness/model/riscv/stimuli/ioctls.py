"""ioctls of a vcpu, but for ONE_REG."""

from __future__ import annotations

from collections.abc import Callable

from harness.model.base import Refused
from harness.model.operands import ARGUMENT, VCPU, words
from harness.model.riscv import due
from harness.model.riscv.cpu.csr import IRQ_VS_EXT
from harness.model.riscv.kvm.state import Errno, Vcpu
from harness.model.riscv.kvm.uapi import ARGUMENTS, KVM_INTERRUPT_SET, KVM_MP_STATE_INIT_RECEIVED
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.kvm_run import RESET_GROUPS, goes_on, has_no_past, runs
from harness.model.riscv.stimuli.places import caller, idle_vcpu
from harness.model.riscv.stimuli.table import VERBS
from harness.model.values import Val

IOCTLS = (
    *("KVM_RUN", "KVM_CREATE_VCPU", "KVM_GET_REG_LIST", "KVM_INTERRUPT"),
    *("KVM_SET_MP_STATE", "KVM_SET_GUEST_DEBUG", "KVM_ENABLE_CAP"),
)


def get_reg_list(m: Program, vcpu: Vcpu, room: int | None) -> None:
    """KVM_GET_REG_LIST with room for so many ids. Raises Errno."""
    regs = m.kvm_riscv_vcpu_copy_reg_indices(vcpu)
    m.seen = (Val(len(regs)),)
    if room is not None and room < len(regs):
        raise Errno("E2BIG")


def vcpu_ioctl(m: Program, do: Callable[[], None]) -> None:
    """kvm_vcpu_ioctl(), from user space and back, with the errno it gives."""
    task = m.current
    m.svc(task)
    try:
        do()
    except Errno as error:
        m.errno = error.name
        m.note("errno", m.errno)
    m.exit_to_user_mode()


@VERBS.verb(
    "KVM_RUN: loads the vcpu, enters the guest",
    words(IOCTLS),
    VCPU,
    ARGUMENT,
    touches="cpu vcpu",
)
def ioctl(
    m: Program, actor: str, request: str, name: str, argument: tuple[int, ...] | None = None
) -> None:
    if request == "KVM_RUN" and goes_on(m, actor, name):
        return
    asynchronous = request in ("KVM_INTERRUPT", "KVM_ENABLE_CAP")
    vcpu = caller(m, actor, name) if asynchronous else idle_vcpu(m, actor, name)
    number = argument[0] if argument else 0
    if request == "KVM_CREATE_VCPU":
        if vcpu.created:
            raise Refused(f"{name} exists; `vcpu {name} in {vcpu.thread} later` waits for this")
        if number > 2:
            raise Refused("a vcpu has two buffers: allocation 1 or 2 can fail")
        vcpu_ioctl(m, lambda: m.kvm_arch_vcpu_create(vcpu, number))
        if not m.errno:
            due.reset_vcpu(m.vcpu_due[name])
        return
    if not vcpu.created:
        raise Refused(f"{name} has not been created")
    if argument is None and request in ARGUMENTS:
        example = next(iter(ARGUMENTS[request]))
        raise Refused(
            f"{request} takes a number, such as `{actor} ioctl {request} {name} {example}`"
        )
    if request == "KVM_RUN":
        if vcpu.stopped:
            raise Refused(m.is_stopped(vcpu))
        m.svc(m.current)
        runs(m, vcpu)
        m.kvm_arch_vcpu_ioctl_run(vcpu)
        m.guest_enter(vcpu)
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
    elif request == "KVM_SET_MP_STATE" and number == KVM_MP_STATE_INIT_RECEIVED:
        # The next KVM_RUN completes a call, and starts where hart_start has said: reset or not.
        answer, asked = owed.answer, owed.reset
        due.reset_vcpu(owed)
        owed.answer, owed.reset = answer, asked
        due.forget(owed, RESET_GROUPS)
        has_no_past(m, vcpu)
