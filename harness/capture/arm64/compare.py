"""The model's state at one point, held against what was recorded there."""

from __future__ import annotations

from collections.abc import Iterator

from harness.capture.arm64.addresses import pointer, whose
from harness.capture.arm64.fields import State, number
from harness.capture.arm64.probe import Point
from harness.capture.arm64.replica import FLAGS, OWNERS, TYPES, Replica
from harness.capture.verdict import Difference
from harness.model.arm64.host.state import NULL, TIF_FOREIGN_FPSTATE, TIF_SME, TIF_SVE


def differences(r: Replica, state: State, p: Point) -> Iterator[Difference]:
    """Where the state that stands beside a call is another, for the same current.

    A recorded -1 is a field that this kernel does not have.
    """
    task = p.runqueue
    for name, mask in FLAGS.items():
        if (state.flags ^ task.flags) & mask:
            on = bool(state.flags & mask)
            yield Difference(name, _bit(on), _bit(not on))
    if state.fp_type not in (task.fp_type, -1):
        yield Difference("fp_type", _type(state.fp_type), _type(task.fp_type))
    ncpus = r.m.config.cpus
    if min(state.fpsimd_cpu, ncpus) != min(task.fpsimd_cpu, ncpus):
        yield Difference("fpsimd_cpu", _cpu(state.fpsimd_cpu, ncpus), _cpu(task.fpsimd_cpu, ncpus))
    st = pointer(r, p.st, state)
    if st is not None and st != state.st:
        yield Difference("fpsimd_last_state.st", whose(r, state.st), r.m.points_to(p.st))
    if state.to_save not in (p.to_save, -1):
        yield Difference("to_save", _type(state.to_save), _type(p.to_save))
    if state.sve_vl not in (p.sve_vl, -1):
        yield Difference("fpsimd_last_state.sve_vl", str(state.sve_vl), str(p.sve_vl))
    guest = r.guests.get(p.vcpu) if p.vcpu else None
    if guest is not None and guest.address == 0:
        guest.address = state.vcpu
    if (guest.address if guest else 0) != state.vcpu:
        yield Difference("kvm_running_vcpu", f"{state.vcpu:#x}", p.vcpu or "none")
    elif guest is not None and state.fp_state not in (p.owner, -1):
        yield Difference("fp_state", _owner(state.fp_state), _owner(p.owner))


def dump_differences(r: Replica, dump: dict[str, str], p: Point) -> Iterator[Difference]:
    """Where flags and live registers are others than in a dump."""
    task = p.current
    ncpus = r.m.config.cpus
    last = "other"
    if p.st == NULL:
        last = "none"
    elif p.st == r.m.tasks[task.name].addr:
        last = "current"
    model: dict[str, int | str] = {}
    if task.name not in r.unsure:
        model |= {
            "foreign": int(bool(task.flags & TIF_FOREIGN_FPSTATE)),
            "sve": int(bool(task.flags & TIF_SVE)),
            "sme": int(bool(task.flags & TIF_SME)),
            "type": task.fp_type,
            "fpcpu": task.fpsimd_cpu,
        }
    model |= {
        "last": last,
        "save": p.to_save,
        "svl": p.sve_vl,
        "vcpu": p.owner,
        "zen": p.zen,
        "smen": p.smen,
        "fpen": p.fpen,
        "zcr": f"{p.zcr:x}",
        "svcr": f"{p.svcr:x}",
    }
    for name, value in model.items():
        kernel = dump.get(name)
        if kernel is None or kernel == str(value):
            continue
        if name == "fpcpu" and task.fpsimd_cpu >= ncpus and number(kernel) >= ncpus:
            continue  # nowhere
        yield Difference(name, kernel, str(value))


def _bit(on: bool) -> str:
    return "set" if on else "clear"


def _type(value: int) -> str:
    return TYPES.get(value, str(value))


def _owner(value: int) -> str:
    return OWNERS.get(value, str(value))


def _cpu(value: int, ncpus: int) -> str:
    return "NR_CPUS" if value >= ncpus else f"cpu{value}"
