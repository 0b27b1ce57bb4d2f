"""What a VMM does: ioctls of vcpus, ONE_REG, saving and restoring."""

from __future__ import annotations

from harness.drive.arm64.calls import call
from harness.drive.arm64.planner import Planner
from harness.drive.arm64.values import encode
from harness.drive.undriven import Undriven
from harness.dsl.nodes import Event
from harness.model.arm64.kvm.uapi import (
    KVM_ARM_VCPU_EL1_32BIT,
    KVM_ARM_VCPU_PMU_V3,
    KVM_REG_SIZE_SHIFT,
    SIZES,
    named,
    reg_id,
    size,
)
from harness.model.operands import Bits, Reg

_OF_THE_CPU = {KVM_ARM_VCPU_EL1_32BIT: "aarch32", KVM_ARM_VCPU_PMU_V3: "pmu"}
_ALL = 1200  # registers that the runner has room for


def _owner(p: Planner, task: str, vcpu: str) -> int:
    """The number of a vcpu that this task, in user space, has created."""
    p.user(task)
    if p.thread[vcpu] != task:
        raise Undriven(f"{task} uses {vcpu}, which is another process's")
    return p.vcpu[vcpu]


def kvm_run(p: Planner, task: str, vcpu: str) -> None:
    number = _owner(p, task, vcpu)
    p.drive(task, "ioctl", "KVM_RUN", vcpu)
    p.observe(task)
    p.send(f"run {p.slot[task]} {number}")


def ioctl(p: Planner, event: Event) -> None:
    task, request, vcpu = event.actor.text, *event.args[:2]
    argument = event.args[2] if len(event.args) > 2 else None
    if request == "KVM_RUN":
        kvm_run(p, task, vcpu)
        return
    number = _owner(p, task, vcpu)
    p.drive(task, "ioctl", *event.args)
    if request == "KVM_ARM_VCPU_INIT":
        features = p.own.vcpus[vcpu].asked if argument is None else argument
        if any(feature >= 32 for feature in features):
            raise Undriven("a feature beyond the first word of kvm_vcpu_init")
        for feature, setting in _OF_THE_CPU.items():
            if feature in features:
                p.machine.append(setting if setting in p.settings else f"no {setting}")
        call(p, task, "init", number, sum(1 << feature for feature in set(features)))
    elif request == "KVM_ARM_VCPU_FINALIZE":
        assert argument is not None
        call(p, task, "finalize", number, argument[0])
    else:
        room = argument[0] if argument else _ALL
        if 0 < room < _ALL:
            raise Undriven(
                "KVM_GET_REG_LIST with less room than it needs: more is listed than is modelled"
            )
        call(p, task, "list", number, room)


def one_reg_get(p: Planner, event: Event) -> None:
    task, (vcpu, reg, *null) = event.actor.text, event.args
    number = _owner(p, task, vcpu)
    p.drive(task, "one_reg_get", *event.args)
    call(p, task, "get", number, reg_id(*reg), int(null == ["NULL"]))


def one_reg_set(p: Planner, event: Event) -> None:
    task, (vcpu, reg, bits) = event.actor.text, event.args
    number = _owner(p, task, vcpu)
    p.drive(task, "one_reg_set", *event.args)
    call(p, task, "set", number, reg_id(*reg), int(not bits), data=reg_bytes(reg, bits))


def reg_bytes(reg: Reg, bits: Bits) -> bytes:
    """A value as KVM_SET_ONE_REG takes it: as many bytes as the id says."""
    if not bits:
        return b""
    number = reg_id(*reg)
    length = size(number)
    kind = (named(number) or ("id", 0))[0]
    if kind in ("z", "p", "ffr"):
        data = encode(kind, bits, length if kind == "z" else 8 * length)
    else:
        data = bits[0].to_bytes(64, "little")
    return (data + bytes(length))[:length]


def save(p: Planner, event: Event) -> None:
    task, vcpu, *dropped = event.actor.text, *event.args
    number = _owner(p, task, vcpu)
    p.drive(task, "save", *event.args)
    sizes = dropped[0] if dropped else ()
    call(p, task, "save", number, sum(1 << (SIZES[name] >> KVM_REG_SIZE_SHIFT) for name in sizes))


def restore(p: Planner, event: Event) -> None:
    task, (vcpu, source, *first) = event.actor.text, event.args
    number, other = _owner(p, task, vcpu), _owner(p, task, source)
    p.drive(task, "restore", *event.args)
    call(p, task, "restore", number, other, reg_id(*first[0]) if first and first[0] else 0)
