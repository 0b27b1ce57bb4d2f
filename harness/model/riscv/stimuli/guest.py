"""What a guest's instructions do: its registers, its CSRs, its memory. Each traps, or does not."""

from __future__ import annotations

from harness.model.base import Refused
from harness.model.operands import Reg
from harness.model.riscv import due
from harness.model.riscv.cpu.access import (
    FP_CSRS,
    VECTOR_CSRS,
    cbo_cause,
    csr_cause,
    fp_cause,
    lpad_cause,
    page_cause,
    sireg_cause,
    vector_cause,
)
from harness.model.riscv.cpu.csr import (
    EXC_BREAKPOINT,
    EXC_INST_ACCESS,
    EXC_INST_GUEST_PAGE_FAULT,
    EXC_INST_ILLEGAL,
    EXC_INST_PAGE_FAULT,
    EXC_LOAD_ACCESS,
    EXC_LOAD_GUEST_PAGE_FAULT,
    EXC_LOAD_MISALIGNED,
    EXC_LOAD_PAGE_FAULT,
    EXC_VIRTUAL_INST_FAULT,
    IRQ_PMU_OVF,
    IRQ_VS_EXT,
    IRQ_VS_SOFT,
    IRQ_VS_TIMER,
    SR_FS,
    SR_MXR,
    SR_VS,
)
from harness.model.riscv.cpu.csrs import COUNTERS, CSRS
from harness.model.riscv.cpu.pointer_masking import Access, canonical, pmlen_of, transform
from harness.model.riscv.cpu.state import FCSR, V_CSRS, Trap
from harness.model.riscv.cpu.warl import (
    FCSR_MASK,
    SCOUNTEREN_MASK,
    SISELECT_MASK,
    SSTATEEN0_MASK,
    VCSR_MASK,
    legal_hvip,
    legal_senvcfg,
    legal_ssp,
    legal_vs,
    read_sstatus,
)
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.program import Program
from harness.model.values import ZERO, Bank, Quads, Val, set_both

_XLEN = (1 << 64) - 1

_SATP_BITS = {8: 39, 9: 48, 10: 57}

_FETCH = {
    EXC_LOAD_PAGE_FAULT: EXC_INST_PAGE_FAULT,
    EXC_LOAD_GUEST_PAGE_FAULT: EXC_INST_GUEST_PAGE_FAULT,
}

_VS = {
    "sstatus": "vsstatus",
    "sie": "vsie",
    "stvec": "vstvec",
    "sscratch": "vsscratch",
    "sepc": "vsepc",
    "scause": "vscause",
    "stval": "vstval",
    "satp": "vsatp",
}

PARTS = {
    "fflags": ("fcsr", 0, 0x1F),
    "frm": ("fcsr", 5, 0b111),
    "vxsat": ("vcsr", 0, 1),
    "vxrm": ("vcsr", 1, 0b11),
}

_NO_LANDING_PAD = 2  # what stval says of a software check

FAULTS = {
    "illegal": EXC_INST_ILLEGAL,
    "breakpoint": EXC_BREAKPOINT,
    "misaligned": EXC_LOAD_MISALIGNED,
    "load_access": EXC_LOAD_ACCESS,
    "inst_access": EXC_INST_ACCESS,
    "fetch_no_memslot": EXC_INST_GUEST_PAGE_FAULT,
}


def vsip_of(hvip: int) -> int:
    """The hart's view: the VS interrupts a bit lower, the counter overflow where it is in hvip."""
    vs = 1 << IRQ_VS_SOFT | 1 << IRQ_VS_TIMER | 1 << IRQ_VS_EXT
    return (hvip & vs) >> 1 | hvip & 1 << IRQ_PMU_OVF


def number_of(reg: Reg) -> int:
    """Where a register is in its bank."""
    kind, n = reg
    if kind == "fcsr":
        return FCSR
    return V_CSRS.get(kind, n)


def can_read(m: Program, vcpu: Vcpu, reg: Reg) -> None:
    pending = vsip_of(m.cpu.vs.hvip) & m.cpu.vs.vsie
    if reg[0] == "stopi" and pending and not _cause(m, vcpu, reg, write=False):
        raise Refused("stopi is modelled while no interrupt is pending")


def guest_read(m: Program, vcpu: Vcpu, reg: Reg) -> None:
    kind, n = reg
    if kind == "x":
        m.seen = (vcpu.x.get(n),)
    elif _register_traps(m, vcpu, reg, write=False):
        pass  # what KVM made of it, it has said
    elif kind in ("f", "fcsr"):
        m.seen = (m.cpu.f.get(number_of(reg)),)
    elif kind == "v":
        m.seen = whole(m, m.cpu.v, n)
    elif kind in V_CSRS:
        m.seen = (m.cpu.v.get(V_CSRS[kind]),)
    elif kind in PARTS:
        m.seen = (_part(m, kind),)
    else:
        m.seen = (_csr(m, vcpu, kind),)


def whole(m: Program, bank: Bank, n: int) -> Quads:
    """All quadwords of a vector register."""
    return tuple(bank.get(n, quad) for quad in range(max(m.host.vlenb // 16, 1)))


def _part(m: Program, name: str) -> Val:
    """A field of fcsr or of vcsr that is a CSR of its own."""
    whole, shift, mask = PARTS[name]
    val = m.cpu.f.get(FCSR) if whole == "fcsr" else m.cpu.v.get(V_CSRS[whole])
    return Val(val.bits >> shift & mask, val.origin)


def _cause(m: Program, vcpu: Vcpu, reg: Reg, write: bool) -> int:
    """Why an access to a register traps, 0 if it does not."""
    kind, isa = reg[0], m.host.isa
    cause = 0
    if kind == "f" or kind in FP_CSRS:
        cause = fp_cause(m.cpu, isa, vcpu.sstatus)
    elif kind == "v" or kind in VECTOR_CSRS:
        cause = vector_cause(m.cpu, isa, vcpu.sstatus)
    if kind == "ssp" and "isa-zicfi" not in m.fixes:
        isa -= {"zicfiss"}  # menvcfg.SSE is off, or KVM makes the same of it
    if kind in CSRS and not cause:
        supervisor = m.supervisor(vcpu)
        counters = open_counters(m, vcpu, supervisor)
        cause = csr_cause(m.cpu, isa, kind, supervisor, write, counters)
        if kind == "sireg" and not cause:
            cause = sireg_cause(vcpu.aia[0])
    return cause


def _register_traps(m: Program, vcpu: Vcpu, reg: Reg, write: bool) -> bool:
    cause = _cause(m, vcpu, reg, write)
    if cause:
        m.take(vcpu, cause, csr=reg[0])
    return bool(cause)


def open_counters(m: Program, vcpu: Vcpu, supervisor: bool) -> int:
    """hcounteren, which leaves a guest the time alone, and in VU-mode scounteren too."""
    found = 1 << COUNTERS["time"] if "sbi-pmu" in m.fixes else SCOUNTEREN_MASK
    return found if supervisor else found & vcpu.scounteren


def _csr(m: Program, vcpu: Vcpu, name: str) -> Val:
    if name == "senvcfg":
        return m.cpu.senvcfg
    if name == "ssp":
        return m.cpu.ssp
    if name == "sstateen0":
        return Val(m.cpu.sstateen0.bits & m.cpu.hstateen0 & SSTATEEN0_MASK)
    plain = {
        "stimecmp": m.cpu.vstimecmp,
        "siselect": vcpu.aia[0],
        "scounteren": vcpu.scounteren,
        "sip": vsip_of(m.cpu.vs.hvip),
        "sstatus": read_sstatus(m.cpu.vs.vsstatus),
        "vlenb": m.host.vlenb,
        "time": vcpu.time_delta,
    }
    if name in plain:
        return Val(plain[name])
    return Val(getattr(m.cpu.vs, _VS[name])) if name in _VS else ZERO


def guest_write(m: Program, vcpu: Vcpu, reg: Reg, bits: tuple[int, ...]) -> None:
    kind = reg[0]
    if kind == "x":
        set_x(m, vcpu, reg[1], bits[0])
        return
    if _register_traps(m, vcpu, reg, write=True):
        return
    if kind in PARTS:
        whole, shift, mask = PARTS[kind]
        rest = (m.cpu.f if whole == "fcsr" else m.cpu.v).get(number_of((whole, 0))).bits
        reg, bits = (whole, 0), (rest & ~(mask << shift) | (bits[0] & mask) << shift,)
        kind = whole
    vals = tuple(m.val(b, vcpu.name) for b in legal(m, kind, bits))
    owed = m.vcpu_due[vcpu.name]
    if kind in ("f", "fcsr"):
        owed.f, m.cpu.f = set_both(due.f_on(owed), m.cpu.f, number_of(reg), vals)
        dirty(m, vcpu, SR_FS)
    elif kind == "v" or kind in V_CSRS:
        want = due.v_on(owed, m.host)
        owed.v, m.cpu.v = set_both(want, m.cpu.v, number_of(reg), vals)
        dirty(m, vcpu, SR_VS)
    else:
        _write_csr(m, vcpu, kind, vals[0])


def legal(m: Program, kind: str, bits: tuple[int, ...]) -> tuple[int, ...]:
    """What an FP or vector register holds of these bits."""
    mask = {"fcsr": FCSR_MASK, "vcsr": VCSR_MASK, "vstart": 8 * m.host.vlenb - 1}.get(kind)
    return bits if mask is None else (bits[0] & mask,)


def guest_vsetvli(m: Program, vcpu: Vcpu, vtype: int) -> None:
    cause = vector_cause(m.cpu, m.host.isa, vcpu.sstatus)
    if cause:
        m.take(vcpu, cause)
        return
    owed = m.vcpu_due[vcpu.name]
    owed.v = due.v_on(owed, m.host)
    for name, bits in due.vsetvli(vtype, m.host.vlenb):
        vals = (m.val(bits, vcpu.name),)
        owed.v, m.cpu.v = set_both(owed.v, m.cpu.v, V_CSRS[name], vals)
    dirty(m, vcpu, SR_VS)


def dirty(m: Program, vcpu: Vcpu, field: int) -> None:
    """A write makes the state of both levels Dirty."""
    owed = m.vcpu_due[vcpu.name]
    owed.vs = owed.vs._replace(vsstatus=owed.vs.vsstatus | field)
    vcpu.sstatus |= field
    m.cpu.vs = m.cpu.vs._replace(vsstatus=m.cpu.vs.vsstatus | field)


def _write_csr(m: Program, vcpu: Vcpu, name: str, val: Val) -> None:
    vs, host, owed = m.cpu.vs, m.host, m.vcpu_due[vcpu.name]
    if name == "senvcfg":
        bits = legal_senvcfg(host.isa, host.pmlen, val.bits, owed.senvcfg.bits)
        owed.senvcfg = Val(bits, val.origin)
        bits = legal_senvcfg(host.isa, host.pmlen, val.bits, m.cpu.senvcfg.bits)
        m.cpu.senvcfg = Val(bits, val.origin)
    elif name == "sstateen0":
        # Bits that are zero in hstateen0 are read-only zero here, and KVM sets none of these.
        mask = m.cpu.hstateen0 & SSTATEEN0_MASK
        bits = m.cpu.sstateen0.bits & ~mask | val.bits & mask
        m.cpu.sstateen0 = Val(bits, val.origin if mask else m.cpu.sstateen0.origin)
    elif name == "ssp":
        owed.ssp = m.cpu.ssp = Val(legal_ssp(val.bits), val.origin)
    elif name == "stimecmp":
        owed.timecmp = val.bits
        m.csr_write("vstimecmp", val.bits)
    elif name == "siselect":
        owed.siselect = val.bits & SISELECT_MASK
        vcpu.aia = (val.bits & SISELECT_MASK, *vcpu.aia[1:])
    elif name == "scounteren":
        owed.scounteren = val.bits & SCOUNTEREN_MASK
        vcpu.scounteren = val.bits & SCOUNTEREN_MASK
    elif name == "sip":
        owed.vs = owed.vs._replace(hvip=_write_sip(m, owed.vs.hvip, val.bits))
        m.cpu.vs = vs._replace(hvip=_write_sip(m, vs.hvip, val.bits))
    elif name in _VS:
        field = _VS[name]
        was = due.vs_on(owed, host)
        wrote = legal_vs(host.isa, host.sv, was._replace(**{field: val.bits}), was)
        owed.vs = owed.vs._replace(**{field: getattr(wrote, field)})
        wrote = legal_vs(host.isa, host.sv, vs._replace(**{field: val.bits}), vs)
        m.cpu.vs = vs._replace(**{field: getattr(wrote, field)})


def _write_sip(m: Program, hvip: int, sip: int) -> int:
    """A guest writes its software interrupt, and the overflow of a counter."""
    mask = 1 << IRQ_VS_SOFT | legal_hvip(m.host.isa, 1 << IRQ_PMU_OVF)
    wrote = sip << 1 & 1 << IRQ_VS_SOFT | sip & 1 << IRQ_PMU_OVF
    return hvip & ~mask | wrote & mask


def guest_access(m: Program, vcpu: Vcpu, address: int, access: Access) -> None:
    """A load or a fetch at an address that is mapped, if it is canonical once it is masked."""
    if access is Access.DATA and (vcpu.sstatus | m.cpu.vs.vsstatus) & SR_MXR:
        access = Access.MXR
    supervisor = m.supervisor(vcpu)
    envcfg = m.cpu.henvcfg if supervisor else m.cpu.senvcfg.bits
    where, fault = translate(m, address, pmlen_of(envcfg), access)
    m.address = where
    if fault:
        m.take(vcpu, _FETCH[fault] if access is Access.FETCH else fault, where)


def translate(m: Program, address: int, pmlen: int, access: Access) -> tuple[int, int]:
    """The address as stval would hold it, and the cause of the fault it makes, or 0."""
    bits = _SATP_BITS.get(m.cpu.vs.vsatp >> 60)
    where = transform(address, pmlen, access, bits is not None)
    if bits is None:
        return where, 0 if m.in_memslot(where, 1) else EXC_LOAD_GUEST_PAGE_FAULT
    return where, 0 if canonical(where, bits) else EXC_LOAD_PAGE_FAULT


def hypervisor_access(m: Program, vcpu: Vcpu, address: int, access: Access) -> None:
    """HLV or HLVX of KVM's, as if the guest had made the access in the mode it was in.

    A fault is KVM's own to handle; it shows as a trap to HS.
    """
    envcfg = m.cpu.henvcfg if m.supervisor(vcpu) else m.cpu.senvcfg.bits
    m.address, fault = translate(m, address, pmlen_of(envcfg), access)
    if fault:
        m.traps.append(Trap(fault, False, m.address))


def guest_fault(m: Program, vcpu: Vcpu, what: str) -> None:
    """An exception that no state modelled here decides."""
    m.take(vcpu, FAULTS[what])


def guest_page(m: Program, vcpu: Vcpu, page: str) -> None:
    cause = page_cause(m.cpu, m.host.isa, page)
    if cause:
        m.take(vcpu, cause)


def guest_cbo(m: Program, vcpu: Vcpu, cbo: str) -> None:
    cause = cbo_cause(m.cpu, m.host.isa, cbo, m.supervisor(vcpu))
    if cause:
        m.take(vcpu, cause)


def guest_insn(m: Program, vcpu: Vcpu, what: str) -> None:
    """One that only a mode, or hstatus, decides."""
    if what == "hfence_gvma" or (what == "sfence_vma" and not m.supervisor(vcpu)):
        m.take(vcpu, EXC_VIRTUAL_INST_FAULT)
    elif what == "wfi":  # hstatus.VTW
        m.take(vcpu, EXC_VIRTUAL_INST_FAULT, csr="wfi")
    elif what == "wfi_unmapped":
        m.take(vcpu, EXC_VIRTUAL_INST_FAULT, csr=what)
        if not any(trap.v for trap in m.traps):  # executed again, once its page is back
            m.take(vcpu, EXC_VIRTUAL_INST_FAULT, csr="wfi")
    elif what == "jalr":  # to where there is no landing pad
        cause = lpad_cause(m.cpu, m.host.isa, m.supervisor(vcpu))
        if cause:
            m.take(vcpu, cause, _NO_LANDING_PAD)


def set_x(m: Program, vcpu: Vcpu, first: int, *values: int) -> None:
    owed = m.vcpu_due[vcpu.name]
    for n, value in enumerate(values, first):
        vals = (m.val(value & _XLEN, vcpu.name),)
        owed.x, vcpu.x = set_both(owed.x, vcpu.x, n, vals)
