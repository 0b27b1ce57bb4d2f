"""What must hold after every step, judged from the state alone.

None of this calls a function of the modelled kernel: it compares what a program would
find in the registers with what it is entitled to, and the settings with each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model.base import Violation, classify, shown
from harness.model.riscv.cpu.csr import (
    ENVCFG_PMM,
    OFF,
    get_fs,
    get_vs,
)
from harness.model.riscv.cpu.pointer_masking import pmlen_of
from harness.model.riscv.cpu.state import FCSR, V_CSRS, Hart, Mode
from harness.model.riscv.cpu.warl import SSTATEEN0_MASK
from harness.model.riscv.host.state import Task
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.vcpu_config import legal_henvcfg
from harness.model.values import Bank, Val, first_difference

if TYPE_CHECKING:
    from harness.model.riscv.machine import Machine

INVARIANTS: dict[str, str] = {
    "stale": "a context never reads an older value of its own",
    "lost": "a context never finds zero or a reset value where it has written",
    "leak": "a context never reads a value that another context, or the kernel, produced",
    "alias": "writing ISA_EXT of one extension changes no other",
    "unobservable": "an extension that can be disabled makes a difference when it is",
    "not-loaded": "the CSRs of a CPU that runs a guest are what KVM has for the vcpu",
    "masking": "a guest has pointer masking only as its extensions and the host allow",
    "lock": "a FWFT_SET that fails locks nothing",
    "reset": "a vcpu that is reset has nothing of its former life",
    "privilege": "an exception that KVM hands to a guest is handled in VS-mode",
    "memory": "no copy goes beyond its destination, and no buffer is forgotten",
    "round-trip": "a vcpu that is restored by ONE_REG has what the saved one had",
    "cost": "a trace stays within its budget of saves, loads and traps",
    "expect": "what the trace expects happens",
}

Found = list[Violation]


def check(m: Machine) -> Found:
    """Every violation in the present state."""
    found: Found = []
    for hart in m.harts:
        if hart.mode is Mode.USER:
            _user(m, hart, m.tasks[m.rqs[hart.id].current], found)
        elif hart.mode is Mode.KERNEL:
            task = m.tasks[m.rqs[hart.id].current]
            if task.kernel_mode_v:
                _bank("kernel", "v", task.logical_kernel_v, hart.v, found)
        else:
            _guest(m, hart, m.vcpus[m.tasks[m.rqs[hart.id].current].vcpu], found)
    return found


def _wrong(who: str, what: str, want: Val, got: Val) -> Violation:
    kind = classify(who, want, got)
    text = f"{who} would read {what} = {shown(got)}, is entitled to {shown(want)}"
    return Violation(kind, who, what, text, want, got)


_CSR_NAMES = {n: name for name, n in V_CSRS.items()}


def _bank(who: str, letter: str, want: Bank, got: Bank, found: Found) -> None:
    difference = first_difference(want, got)
    if difference is None:
        return
    n, quad, due, there = difference
    name = "fcsr" if letter == "f" and n == FCSR else _CSR_NAMES.get(n, f"{letter}{n}")
    found.append(_wrong(who, f"{name}[{quad}]" if quad else name, due, there))


def _user(m: Machine, hart: Hart, task: Task, found: Found) -> None:
    if get_fs(task.status) != OFF:
        _bank(task.name, "f", task.logical_f, hart.f, found)
    if get_vs(task.status) != OFF:
        _bank(task.name, "v", task.logical_v, hart.v, found)
    if task.vstate is None and get_vs(task.status) != OFF:
        text = f"{task.name} has vectors on, and nowhere to save them"
        found.append(Violation("memory", task.name, "vstate", text))
    due = task.envcfg
    if hart.senvcfg.bits != due:
        found.append(_wrong(task.name, "senvcfg", Val(due), hart.senvcfg))


def _guest(m: Machine, hart: Hart, vcpu: Vcpu, found: Found) -> None:
    due = vcpu.right
    if get_fs(vcpu.sstatus) != OFF:
        # Without D what a register holds is unspecified until the guest has written it.
        got = hart.f if "d" in vcpu.isa else hart.f.only(due.f.regs)
        _bank(vcpu.name, "f", due.f, got, found)
    if get_vs(vcpu.sstatus) != OFF:
        _bank(vcpu.name, "v", due.v, hart.v, found)
    if hart.senvcfg.bits != due.senvcfg.bits:
        found.append(_wrong(vcpu.name, "senvcfg", due.senvcfg, hart.senvcfg))
    _config(m, hart, vcpu, found)


def _config(m: Machine, hart: Hart, vcpu: Vcpu, found: Found) -> None:
    host = m.hosts[hart.host]
    want = {
        "henvcfg": legal_henvcfg(host, vcpu.cfg.henvcfg, 0),
        "hedeleg": vcpu.cfg.hedeleg,
        "hstateen0": vcpu.cfg.hstateen0,
        # A guest reads zero, whatever is there: it is a setting too.
        "sstateen0": vcpu.sstateen0.bits & SSTATEEN0_MASK,
    }
    if "smstateen" not in host.isa or "smstateen" not in m.fixes:
        del want["hstateen0"], want["sstateen0"]
    if "guest-debug" not in m.fixes:
        del want["hedeleg"]
    for name, bits in want.items():
        got: int = hart.sstateen0.bits if name == "sstateen0" else getattr(hart, name)
        if got != bits:
            text = (
                f"{vcpu.name} runs on cpu{hart.id} with {name} {got:#x}, KVM has {bits:#x} for it"
            )
            found.append(Violation("not-loaded", vcpu.name, name, text))
    pmlen = pmlen_of(hart.henvcfg)
    if hart.henvcfg & ENVCFG_PMM and "smnpm" not in vcpu.isa:
        text = f"{vcpu.name} has no Smnpm, and VS-mode masks {pmlen} bits"
        found.append(Violation("masking", vcpu.name, "henvcfg.PMM", text))
