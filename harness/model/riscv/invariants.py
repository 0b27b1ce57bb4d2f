"""What must hold after every step, judged from the state alone.

It compares what a program would find in the registers with what it is entitled to (due.py),
and the settings with each other. One function of the modelled kernel is called, as a VMM would
call it: KVM_GET_ONE_REG, for what KVM_SET_ONE_REG has accepted.
"""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter

from harness.model.base import Violation, classify, shown
from harness.model.riscv.cpu.csr import (
    ENVCFG_LPE,
    ENVCFG_PMM,
    ENVCFG_SSE,
    EXC_BREAKPOINT,
    EXC_SOFTWARE_CHECK,
    OFF,
    get_fs,
    get_vs,
)
from harness.model.riscv.cpu.pointer_masking import pmlen_of
from harness.model.riscv.cpu.state import FCSR, V_CSRS, Hart
from harness.model.riscv.cpu.warl import (
    SCOUNTEREN_MASK,
    SISELECT_MASK,
    SSTATEEN0_MASK,
    legal_sepc,
    legal_ssp,
)
from harness.model.riscv.due import (
    HEDELEG,
    HENVCFG,
    HIDELEG,
    HSTATEEN0,
    INTERRUPTS,
    NEVER,
    VcpuDue,
    f_on,
    granted,
    v_on,
    vs_on,
)
from harness.model.riscv.host.state import Task
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import reg_name
from harness.model.riscv.kvm.vcpu_config import legal_henvcfg
from harness.model.riscv.kvm.vcpu_sbi_fwft import BROUGHT_BY, ENVCFG_FLAGS, MIS_DELEG
from harness.model.riscv.program import Program
from harness.model.tasks import Mode
from harness.model.values import Bank, Val, first_difference

INVARIANTS: dict[str, str] = {
    "stale": "a context never reads an older value of its own",
    "lost": "a context never finds zero or a reset value where it has written",
    "leak": "a context never reads a value that another context, or the kernel, produced",
    "alias": "writing ISA_EXT of one extension changes no other",
    "unobservable": "an extension that can be disabled makes a difference when it is",
    "not-loaded": "the CSRs of a CPU that runs a guest are what KVM has for the vcpu",
    "not-granted": "a guest runs with what its extensions call for, and no more",
    "masking": "a guest has pointer masking only as its extensions and the host allow",
    "lock": "a FWFT_SET that fails locks nothing",
    "reset": "a vcpu that is reset has nothing of its former life",
    "privilege": "an exception that KVM hands to a guest is one of VS-mode, and is handled there",
    "memory": "no copy goes beyond its destination, and no buffer is forgotten",
    "set-lost": "what a setter must take it takes, and it stays until somebody changes it",
    "round-trip": "a vcpu that is restored by ONE_REG has what the saved one had",
    "cost": "a trace stays within its budget of saves, loads and traps",
    "expect": "what the trace expects happens",
}

Found = list[Violation]


def check(m: Program) -> Found:
    """Every violation in the present state."""
    found: Found = []
    for hart in m.harts:
        if hart.mode is Mode.USER:
            _user(m, hart, m.tasks[m.rqs[hart.id].current], found)
        elif hart.mode is Mode.KERNEL:
            task = m.tasks[m.rqs[hart.id].current]
            owed = m.task_due.get(task.name)
            if owed is not None and owed.kernel_v.regs:
                _bank("kernel", "v", owed.kernel_v, hart.v, found)
        else:
            _guest(m, hart, m.vcpus[m.tasks[m.rqs[hart.id].current].vcpu], found)
    for due in m.vcpu_due.values():
        if due.accepted:
            _accepted(m, due, found)
    return found


def _wrong(who: str, what: str, want: Val, got: Val) -> Violation:
    kind = classify(who, want, got)
    text = f"{who} would read {what} = {shown(got)}, is entitled to {shown(want)}"
    return Violation(kind, who, what, text, want, got)


_OF_VCPU = attrgetter(*(field.name for field in fields(Vcpu)))
_FLAG_NAMES = {ENVCFG_LPE: "LPE", ENVCFG_SSE: "SSE"}
_CSR_NAMES = {n: name for name, n in V_CSRS.items()}


def _bank(who: str, letter: str, want: Bank, got: Bank, found: Found) -> None:
    difference = first_difference(want, got)
    if difference is None:
        return
    n, quad, due, there = difference
    name = "fcsr" if letter == "f" and n == FCSR else _CSR_NAMES.get(n, f"{letter}{n}")
    found.append(_wrong(who, f"{name}[{quad}]" if quad else name, due, there))


def _user(m: Program, hart: Hart, task: Task, found: Found) -> None:
    due = m.task_due[task.name]
    isa = m.hosts[hart.host].isa
    if not isa.isdisjoint(("f", "d")) and get_fs(task.status) == OFF:
        found.append(_off(task.name, "FS"))
    if get_fs(task.status) != OFF:
        _bank(task.name, "f", due.f, hart.f, found)
    if get_vs(task.status) != OFF:
        _bank(task.name, "v", due.v, hart.v, found)
    if due.v_used and get_vs(task.status) == OFF:
        found.append(_off(task.name, "VS"))
    if task.vstate is None and get_vs(task.status) != OFF:
        text = f"{task.name} has vectors on, and nowhere to save them"
        found.append(Violation("memory", task.name, "vstate", text))
    sstateen0 = Val(m.hosts[hart.host].sstateen0)
    if "smstateen" in isa and hart.sstateen0.bits != sstateen0.bits:
        found.append(_wrong(task.name, "sstateen0", sstateen0, hart.sstateen0))
    if hart.senvcfg.bits != due.envcfg:
        found.append(_wrong(task.name, "senvcfg", Val(due.envcfg), hart.senvcfg))
    if "v" in isa and task.vstate_ctrl != due.control:
        text = f"{task.name} would be told {task.vstate_ctrl:#x} by PR_RISCV_V_GET_CONTROL, "
        text += f"it has asked for {due.control:#x}"
        found.append(Violation("set-lost", task.name, "PR_RISCV_V_SET_CONTROL", text))


def _off(who: str, field: str) -> Violation:
    """Registers that somebody has are out of reach."""
    text = f"sstatus.{field} is Off for {who}, and its registers trap"
    return Violation("lost", who, f"sstatus.{field}", text)


def _guest(m: Program, hart: Hart, vcpu: Vcpu, found: Found) -> None:
    due, host = m.vcpu_due[vcpu.name], m.hosts[hart.host]
    if not vcpu.isa.isdisjoint(("f", "d")) and get_fs(vcpu.sstatus) == OFF:
        found.append(_off(vcpu.name, "FS"))
    if "v" in vcpu.isa and "vector-lazy" in m.fixes and get_vs(vcpu.sstatus) == OFF:
        found.append(_off(vcpu.name, "VS"))
    if get_fs(vcpu.sstatus) != OFF:
        # Without D what a register holds is unspecified until the guest has written it.
        got = hart.f if "d" in vcpu.isa else hart.f.only(due.f.regs)
        _bank(vcpu.name, "f", f_on(due), got, found)
    if get_vs(vcpu.sstatus) != OFF:
        _bank(vcpu.name, "v", v_on(due, host), hart.v, found)
    if due.reset is not None:
        return  # what it asked for takes place as it enters
    _csrs(m, hart, vcpu, due, found)
    if hart.senvcfg.bits != due.senvcfg.bits:
        found.append(_wrong(vcpu.name, "senvcfg", due.senvcfg, hart.senvcfg))
    if hart.henvcfg & ENVCFG_SSE and hart.ssp.bits != legal_ssp(due.ssp.bits):
        found.append(_wrong(vcpu.name, "ssp", due.ssp, hart.ssp))
    _config(m, hart, vcpu, found)


def _csrs(m: Program, hart: Hart, vcpu: Vcpu, due: VcpuDue, found: Found) -> None:
    """What the guest's kernel has written, and what FWFT has set."""
    host = m.hosts[hart.host]
    want = vs_on(due, host)
    for name, bits, got in zip(want._fields, want, hart.vs, strict=True):
        if name == "hvip":
            pending = got & ~vcpu.irqs_pending_mask | vcpu.irqs_pending & vcpu.irqs_pending_mask
            bits, got = bits & INTERRUPTS, pending & INTERRUPTS
        if name == "vsatp" and bits != due.vs.vsatp:
            continue  # a mode that there is not leaves what was there
        if bits != got:
            found.append(_differs(vcpu, due, name, bits, got))
    others: list[tuple[str, int | None, int]] = [
        ("scounteren", due.scounteren, vcpu.scounteren),
        ("siselect", due.siselect, vcpu.aia[0]),
        ("pc", legal_sepc(due.pc), legal_sepc(vcpu.sepc)),
    ]
    timer = hart.vstimecmp if "sstc" in host.isa else vcpu.next_cycles & NEVER
    others.append(("stimecmp", due.timecmp, timer))
    if "sstc" not in host.isa:
        others.append(("timer.state", int(due.armed), int(vcpu.next_set)))
    if "smnpm" in vcpu.isa and "fwft-pmlen" in m.fixes:
        others.append(("henvcfg.PMM", due.pmlen, pmlen_of(hart.henvcfg)))
    switches = _switches(m, vcpu)
    for switch, flag in switches.items():
        bit, name = int(switch in due.on), f"henvcfg.{_FLAG_NAMES[flag]}"
        others.append((name, bit, int(bool(hart.henvcfg & flag))))
    if "fwft-cfi" in m.fixes:
        check = not due.on.isdisjoint(switches)  # all of them are about control flow
        there = hart.hedeleg >> EXC_SOFTWARE_CHECK & 1
        others.append(("hedeleg, software check", int(check), there))
    if "fwft-base" in m.fixes:
        misaligned = hart.hedeleg & MIS_DELEG == MIS_DELEG
        others.append(("hedeleg, misaligned", int(due.misaligned), int(misaligned)))
    for number, (_, feature, _) in m.fwft_features:
        locked = bool(vcpu.fwft[number].flags & 1)
        if not locked and not {BROUGHT_BY.get(feature, "")} <= {"", *vcpu.isa}:
            continue  # its extension is off, and so is what was set: kvm_sbi_ext_fwft_validate()
        if locked is not (feature in due.locked):
            what = "locked, which nobody has asked for" if locked else "not locked any more"
            text = f"{vcpu.name} finds FWFT {feature} {what}"
            kind = "lock" if locked else "set-lost"
            found.append(Violation(kind, vcpu.name, f"fwft.{feature}.flags", text))
    for name, wanted, there in others:
        mask = SCOUNTEREN_MASK if name == "scounteren" else SISELECT_MASK
        if name in ("scounteren", "siselect") and wanted is not None:
            wanted &= mask
        if wanted is not None and wanted != there:
            found.append(_differs(vcpu, due, name, wanted, there))
    difference = first_difference(due.x, vcpu.x)
    if difference:
        n, _, a, b = difference
        found.append(_wrong(vcpu.name, f"x{n}", a, b))


def _switches(m: Program, vcpu: Vcpu) -> dict[str, int]:
    """The features of FWFT that this vcpu can set to 0 or 1, and their bits of henvcfg."""
    known = [feature.name for _, feature in m.fwft_features if feature.name in ENVCFG_FLAGS]
    return {name: ENVCFG_FLAGS[name] for name in known if BROUGHT_BY[name] in vcpu.isa}


def _differs(vcpu: Vcpu, due: VcpuDue, name: str, want: int, got: int) -> Violation:
    """A setting is not what it was set to, or not what a reset makes it."""
    kind = "reset" if due.fresh and got & ~want else "set-lost"
    text = f"{vcpu.name} finds {name} = {got:#x}, is entitled to {want:#x}"
    return Violation(kind, vcpu.name, name, text)


def _accepted(m: Program, due: VcpuDue, found: Found) -> None:
    """What KVM_SET_ONE_REG has taken KVM_GET_ONE_REG gives; the vcpu is not loaded."""
    vcpu = m.vcpus[due.name]
    if vcpu.cpu >= 0 or not vcpu.created:
        return
    # What a GET gives depends on nothing else.
    state = due.accepted, _OF_VCPU(vcpu)
    if m.read_back.get(due.name) == state:
        return
    n = len(found)
    for reg, bits in due.accepted:
        got = m.would_get(vcpu, reg)
        name = reg_name(reg)
        # A hart that has run the guest has kept what sstateen0 has fields for.
        mask = SSTATEEN0_MASK if name == "smstateen.sstateen0" else -1
        if got is None or any(
            val.bits & mask != n & mask for val, n in zip(got, bits, strict=True)
        ):
            there = "there is none now" if got is None else f"it is {got[0].bits:#x} now"
            text = f"{vcpu.name}'s VMM has set {name} to {bits[0]:#x}, and {there}"
            found.append(Violation("set-lost", vcpu.name, name, text))
    if len(found) == n:
        m.read_back[due.name] = state


def _config(m: Program, hart: Hart, vcpu: Vcpu, found: Found) -> None:
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
    _granted(m, hart, vcpu, found)
    pmlen = pmlen_of(hart.henvcfg)
    if hart.henvcfg & ENVCFG_PMM and "smnpm" not in vcpu.isa:
        text = f"{vcpu.name} has no Smnpm, and VS-mode masks {pmlen} bits"
        found.append(Violation("masking", vcpu.name, "henvcfg.PMM", text))


def _granted(m: Program, hart: Hart, vcpu: Vcpu, found: Found) -> None:
    """What the guest's extensions are for: no record of KVM's is asked, but for what they are."""
    host, isa = m.hosts[hart.host], vcpu.isa
    if "svadu-svade" not in m.fixes or "svade" in isa:
        isa -= {"svadu"}
    mask = ENVCFG_PMM | sum(_switches(m, vcpu).values())  # these are the guest's to set
    want = legal_henvcfg(host, granted(HENVCFG, isa), 0)
    checks = [
        ("henvcfg", want & ~mask, hart.henvcfg & ~mask),
        ("hedeleg", HEDELEG, hart.hedeleg & HEDELEG),
        ("hideleg", HIDELEG, hart.hideleg & HIDELEG),
    ]
    if "smstateen" in host.isa and "smstateen" in m.fixes:
        every = granted(HSTATEEN0, frozenset(HSTATEEN0))
        checks.append(("hstateen0", granted(HSTATEEN0, isa), hart.hstateen0 & every))
    owed = m.vcpu_due[vcpu.name]
    if owed.debug and hart.hedeleg >> EXC_BREAKPOINT & 1:
        text = f"{vcpu.name} takes breakpoints itself, which its VMM has asked for"
        found.append(Violation("not-granted", vcpu.name, "hedeleg, breakpoint", text))
    for name, want, got in checks:
        if want != got:
            text = f"{vcpu.name} runs with {name} {got:#x}, its extensions call for {want:#x}"
            found.append(Violation("not-granted", vcpu.name, name, text))
