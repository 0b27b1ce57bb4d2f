"""A guest's calls to its firmware, and what is due after them."""

from __future__ import annotations

from harness.errors import one_of
from harness.model.base import Refused
from harness.model.operands import Argument, words
from harness.model.places import in_guest
from harness.model.riscv import due
from harness.model.riscv.cpu.csr import EXC_SUPERVISOR_SYSCALL, IRQ_VS_SOFT
from harness.model.riscv.cpu.state import Trap
from harness.model.riscv.kvm.sbi import (
    EXTENSIONS,
    FWFT,
    SBI_FWFT_SET_FLAG_LOCK,
    extension_of,
    function_of,
)
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import SBI_STA, SBI_STATE, STA_REGS, U64, one_reg
from harness.model.riscv.kvm.vcpu_sbi_ext import SbiReturn
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.guest import _XLEN, set_x
from harness.model.riscv.stimuli.table import VERBS
from harness.model.values import number

FWFT_DUE = {
    FWFT["MISALIGNED_EXC_DELEG"]: "misaligned_deleg",
    FWFT["LANDING_PAD"]: "landing_pad",
    FWFT["SHADOW_STACK"]: "shadow_stack",
    FWFT["POINTER_MASKING_PMLEN"]: "pointer_masking",
}

SHMEM_LO = one_reg(SBI_STATE, SBI_STA, STA_REGS.index("shmem_lo"), U64)


def _call(extension: str, function: str) -> tuple[int, int]:
    """The EID and the FID of a call."""
    if extension[0].isdigit():
        eid = number(extension)
    else:
        eid = EXTENSIONS[extension].eid
    if function[0].isdigit():
        return eid, number(function)
    name = extension_of(eid)
    functions = EXTENSIONS[name].functions if name in EXTENSIONS else ()
    if function not in functions:
        known = f"has {one_of(functions)}" if functions else "has no functions with names"
        raise Refused(f"SBI {extension} {known}, not {function!r}: give it by its number")
    return eid, functions.index(function)


_FUNCTIONS = " ".join(dict.fromkeys(f for e in EXTENSIONS.values() for f in e.functions))


def _can_call(
    m: Program, actor: str, extension: str, function: str, args: tuple[int, ...] | None = None
) -> None:
    vcpu, (eid, fid) = in_guest(m, actor), _call(extension, function)
    if not m.supervisor(vcpu):
        raise Refused(f"{vcpu.name} is in VU-mode, which makes no SBI calls")
    pmu = m.find_ext(vcpu, eid) == "pmu" and m.probe("pmu")
    if pmu and fid and function_of("pmu", fid):
        raise Refused("the PMU's counters are left out: of SBI pmu there is num_counters")


def guest_sbi(m: Program, vcpu: Vcpu, extension: str, function: str, args: tuple[int, ...]) -> None:
    """By names or by numbers, which mean the same."""
    eid, fid = _call(extension, function)
    # a0 to a5, the function in a6, the extension in a7
    set_x(m, vcpu, 10, *(args + (0,) * 6)[:6], fid, eid)
    m.traps.append(Trap(EXC_SUPERVISOR_SYSCALL, False, 0))
    m.guest_exit(vcpu)
    m.sbi = m.kvm_riscv_vcpu_sbi_ecall(vcpu, eid, fid, args)
    _sbi_due(m, vcpu, eid, fid, args + (0,) * 6, m.sbi)
    if m.sbi.uexit:
        srst = extension_of(eid) == "srst"
        vcpu.run = "KVM_EXIT_SYSTEM_EVENT" if srst else "KVM_EXIT_RISCV_SBI"
        m.vcpu_put(vcpu)
        return
    _answered(m, vcpu, m.sbi.err_val, m.sbi.out_val)
    m.guest_enter_again(vcpu)


def _answered(m: Program, vcpu: Vcpu, error: int, value: int) -> None:
    """a0 and a1 of a call that is done."""
    set_x(m, vcpu, 10, error, value)


def _sbi_due(
    m: Program, vcpu: Vcpu, eid: int, fid: int, args: tuple[int, ...], answer: SbiReturn
) -> None:
    """What a call that has been accepted makes due."""
    owed, name = m.vcpu_due[vcpu.name], extension_of(eid)
    owed.answer = answer.uexit and name != "srst"
    if answer.err_val and not answer.uexit:
        return
    function = function_of(name, fid)
    if name == "fwft" and function == "set" and args[0] in FWFT_DUE:
        due.set_fwft(owed, FWFT_DUE[args[0]], args[1])
        if args[2] & SBI_FWFT_SET_FLAG_LOCK:
            owed.locked |= {FWFT_DUE[args[0]]}
        due.forget(owed, frozenset(["fwft"]))
    elif name == "fwft" and function == "get" and args[0] in FWFT_DUE:
        _fwft_read(m, vcpu, FWFT_DUE[args[0]], answer.out_val)
    elif name == "time" and function:
        owed.timecmp, owed.armed = args[0], True
    elif name == "hsm" and function == "hart_start":
        for other in m.vm_vcpus(vcpu):
            if m.hart_id(other) == args[0]:
                m.vcpu_due[other.name].reset = (args[1], m.hart_id(other), args[2])
    elif name == "susp" and function:
        owed.reset = (args[1], m.hart_id(vcpu), args[2])
    elif name == "ipi" and function:
        for other in m.vm_vcpus(vcpu):
            bit = m.hart_id(other) - args[1]
            if args[1] == _XLEN or (0 <= bit < 64 and args[0] >> bit & 1):
                due.interrupt(m.vcpu_due[other.name], IRQ_VS_SOFT, True)
    elif name == "sta":
        due.forget(owed, frozenset(["sta"]))
        due.set_accepted(owed, SHMEM_LO, (args[0],))


def _fwft_read(m: Program, vcpu: Vcpu, feature: str, got: int) -> None:
    owed = m.vcpu_due[vcpu.name]
    want = due.fwft_value(owed, feature)
    if want != got:
        kind = "reset" if owed.fresh else "set-lost"
        text = f"{vcpu.name} reads FWFT {feature} = {got}, it was set to {want}"
        m.violated(kind, vcpu.name, f"fwft.{feature}", text)


@VERBS.verb(
    "calls its firmware, by names or numbers, with a0 and on after the function",
    words(EXTENSIONS, numbers=True, called="EXTENSION"),
    words(_FUNCTIONS, numbers=True, called="FUNCTION"),
    Argument("A0, A1, ..."),
    when=_can_call,
    actors="vcpu",
    leads=[
        *(("hsm", "hart_start", (hart,)) for hart in range(4)),
        *(("ipi", "send_ipi", (1 << hart, 0)) for hart in range(4)),
        ("time", "set_timer", (0,)),
    ],
)
def sbi(
    m: Program, actor: str, extension: str, function: str, args: tuple[int, ...] | None = None
) -> None:
    guest_sbi(m, m.vcpus[actor], extension, function, args or ())
