"""What a guest does: its registers, its CSRs, its memory, its calls to the firmware."""

from __future__ import annotations

from harness.errors import one_of
from harness.model.base import Refused
from harness.model.riscv.cpu.access import (
    GUEST_CSRS,
    cbo_cause,
    csr_cause,
    fp_cause,
    page_cause,
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
    EXC_SUPERVISOR_SYSCALL,
    EXC_VIRTUAL_INST_FAULT,
    IRQ_PMU_OVF,
    IRQ_VS_EXT,
    IRQ_VS_SOFT,
    IRQ_VS_TIMER,
    SR_FS,
    SR_MXR,
    SR_SPP,
    SR_VS,
)
from harness.model.riscv.cpu.pointer_masking import (
    Access,
    canonical,
    legal_pmm,
    pmlen_of,
    transform,
)
from harness.model.riscv.cpu.state import FCSR, V_CSRS, Trap
from harness.model.riscv.kvm.sbi import EXTENSIONS
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.vcpu_exit import SEED
from harness.model.riscv.kvm.vcpu_sbi import SbiReturn
from harness.model.riscv.legal import Legal
from harness.model.values import Bank, Quads, Val

Reg = tuple[str, int]
_SATP_BITS = {8: 39, 9: 48, 10: 57}
PHYSICAL_BITS = 56
_VS = {
    "sstatus": "vsstatus",
    "stvec": "vstvec",
    "sepc": "vsepc",
    "scause": "vscause",
    "stval": "vstval",
    "satp": "vsatp",
}
VS_CSRS = (*_VS, "sip")
FAULTS = {
    "illegal": EXC_INST_ILLEGAL,
    "breakpoint": EXC_BREAKPOINT,
    "misaligned": EXC_LOAD_MISALIGNED,
    "load_access": EXC_LOAD_ACCESS,
    "inst_access": EXC_INST_ACCESS,
    "fetch_no_memslot": EXC_INST_GUEST_PAGE_FAULT,
}


def vsip_of(hvip: int) -> int:
    """The hart's view: VS interrupts a bit lower, the counter overflow where it is in hvip."""
    vs = 1 << IRQ_VS_SOFT | 1 << IRQ_VS_TIMER | 1 << IRQ_VS_EXT
    return (hvip & vs) >> 1 | hvip & 1 << IRQ_PMU_OVF


def number_of(reg: Reg) -> int:
    """Where a register is in its bank."""
    kind, n = reg
    if kind == "fcsr":
        return FCSR
    return V_CSRS.get(kind, n)


class Guest(Legal):
    """One method for each thing that a guest can do; all of them may trap."""

    __slots__ = ("address", "refused_reg", "sbi")

    # What the last stimulus came to: the address as it was translated, the SBI's answer.
    address: int | None
    sbi: SbiReturn | None
    refused_reg: str

    def supervisor(self, vcpu: Vcpu) -> bool:
        """Whether the guest is in VS-mode, not in VU-mode."""
        return bool(vcpu.sstatus & SR_SPP)

    # Registers -------------------------------------------------------------------------

    def guest_read(self, vcpu: Vcpu, reg: Reg) -> None:
        if self._register_traps(vcpu, reg):
            return
        kind, n = reg
        if kind == "seed":
            self.take(vcpu, EXC_VIRTUAL_INST_FAULT, SEED)
        elif kind in ("f", "fcsr"):
            self.seen = (self.cpu.f.get(number_of(reg)),)
        elif kind == "v":
            self.seen = self.whole(self.cpu.v, n)
        elif kind in V_CSRS:
            self.seen = (self.cpu.v.get(V_CSRS[kind]),)
        else:
            self.seen = (self._csr(vcpu, kind),)

    def whole(self, bank: Bank, n: int) -> Quads:
        """All quadwords of a vector register."""
        return tuple(bank.get(n, quad) for quad in range(max(self.host.vlenb // 16, 1)))

    def _register_traps(self, vcpu: Vcpu, reg: Reg) -> bool:
        kind, isa = reg[0], self.host.isa
        cause = 0
        if kind in ("f", "fcsr"):
            cause = fp_cause(self.cpu, isa, vcpu.sstatus)
        elif kind == "v" or kind in V_CSRS:
            cause = vector_cause(self.cpu, isa, vcpu.sstatus)
        elif kind in GUEST_CSRS:
            cause = csr_cause(self.cpu, isa, kind, self.supervisor(vcpu))
        if cause:
            self.take(vcpu, cause)
        return bool(cause)

    def _csr(self, vcpu: Vcpu, name: str) -> Val:
        if name == "senvcfg":
            return self.cpu.senvcfg
        if name == "sstateen0":
            return self.cpu.sstateen0
        if name == "stimecmp":
            return Val(self.cpu.vstimecmp)
        if name == "siselect":
            return Val(vcpu.aia[0])
        if name == "sip":
            return Val(vsip_of(self.cpu.vs.hvip))
        return Val(getattr(self.cpu.vs, _VS[name]))

    def guest_write(self, vcpu: Vcpu, reg: Reg, bits: tuple[int, ...]) -> None:
        if self._register_traps(vcpu, reg):
            return
        kind = reg[0]
        vals = tuple(self.val(b, vcpu.name) for b in bits)
        if kind in ("f", "fcsr"):
            self.cpu.f = self.cpu.f.set(number_of(reg), vals)
            vcpu.right = vcpu.right._replace(f=vcpu.right.f.set(number_of(reg), vals))
            self._dirty(vcpu, SR_FS)
        elif kind == "v" or kind in V_CSRS:
            self.cpu.v = self.cpu.v.set(number_of(reg), vals)
            vcpu.right = vcpu.right._replace(v=vcpu.right.v.set(number_of(reg), vals))
            self._dirty(vcpu, SR_VS)
        else:
            self._write_csr(vcpu, kind, vals[0])

    def _dirty(self, vcpu: Vcpu, field: int) -> None:
        """A write makes the state of both levels Dirty."""
        vcpu.sstatus |= field
        self.cpu.vs = self.cpu.vs._replace(vsstatus=self.cpu.vs.vsstatus | field)

    def _write_csr(self, vcpu: Vcpu, name: str, val: Val) -> None:
        vs = self.cpu.vs
        if name == "senvcfg":
            bits = legal_pmm(val.bits, self.cpu.senvcfg.bits, self.host.pmlen)
            self.cpu.senvcfg = Val(bits, val.origin)
            vcpu.right = vcpu.right._replace(senvcfg=self.cpu.senvcfg)
        elif name == "sstateen0":
            self.cpu.sstateen0 = val
            vcpu.right = vcpu.right._replace(sstateen0=val)
        elif name == "stimecmp":
            self.csr_write("vstimecmp", val.bits)
        elif name == "siselect":
            vcpu.aia = (val.bits, *vcpu.aia[1:])
        elif name == "sip":
            soft = 1 << IRQ_VS_SOFT
            raised = soft if val.bits & 1 << IRQ_VS_SOFT - 1 else 0
            self.cpu.vs = vs._replace(hvip=vs.hvip & ~soft | raised)
        else:
            self.cpu.vs = vs._replace(**{_VS[name]: val.bits})

    # Memory ------------------------------------------------------------------------------

    def guest_access(self, vcpu: Vcpu, address: int, access: Access) -> None:
        """A load or a fetch at an address that is mapped, if it is canonical once it is masked."""
        if access is Access.DATA and (vcpu.sstatus | self.cpu.vs.vsstatus) & SR_MXR:
            access = Access.MXR
        supervisor = self.supervisor(vcpu)
        envcfg = self.cpu.henvcfg if supervisor else self.cpu.senvcfg.bits
        where, fault = self.translate(address, pmlen_of(envcfg), access)
        self.address = where
        if fault:
            self.take(vcpu, EXC_INST_PAGE_FAULT if access is Access.FETCH else fault, where)

    def translate(self, address: int, pmlen: int, access: Access) -> tuple[int, int]:
        """The address as stval would hold it, and the cause of the fault it makes, or 0."""
        bits = _SATP_BITS.get(self.cpu.vs.vsatp >> 60)
        where = transform(address, pmlen, access, bits is not None)
        if bits is None:
            return where, EXC_LOAD_GUEST_PAGE_FAULT if where >> PHYSICAL_BITS else 0
        return where, 0 if canonical(where, bits) else EXC_LOAD_PAGE_FAULT

    def hypervisor_access(self, vcpu: Vcpu, address: int, access: Access) -> None:
        """HLV or HLVX of KVM's, as if the guest had made the access in the mode it was in.

        A fault is KVM's own to handle; it shows as a trap to HS.
        """
        envcfg = self.cpu.henvcfg if self.supervisor(vcpu) else self.cpu.senvcfg.bits
        self.address, fault = self.translate(address, pmlen_of(envcfg), access)
        if fault:
            self.traps.append(Trap(fault, False, self.address))

    def guest_fault(self, vcpu: Vcpu, what: str) -> None:
        """An exception that no state modelled here decides."""
        self.take(vcpu, FAULTS[what])

    def guest_page(self, vcpu: Vcpu, page: str) -> None:
        cause = page_cause(self.cpu, self.host.isa, page)
        if cause:
            self.take(vcpu, cause)

    def guest_cbo(self, vcpu: Vcpu, cbo: str) -> None:
        cause = cbo_cause(self.cpu, self.host.isa, cbo, self.supervisor(vcpu))
        if cause:
            self.take(vcpu, cause)

    # Firmware ------------------------------------------------------------------------------

    def guest_sbi(self, vcpu: Vcpu, name: str, function: str, args: tuple[int, ...]) -> None:
        known = EXTENSIONS[name].functions
        if function not in known:
            raise Refused(f"SBI {name} has {one_of(known)}, not {function!r}")
        if not self.supervisor(vcpu):
            raise Refused(f"{vcpu.name} is in VU-mode; `{vcpu.name} priv s` takes it back")
        self.traps.append(Trap(EXC_SUPERVISOR_SYSCALL, False, 0))
        self.guest_exit(vcpu)
        self.sbi = self.kvm_riscv_vcpu_sbi_ecall(vcpu, name, function, args)
        if self.sbi.uexit:
            vcpu.run = "KVM_EXIT_SYSTEM_EVENT" if name == "srst" else "KVM_EXIT_RISCV_SBI"
            self.vcpu_put(vcpu)
        elif vcpu.stopped:
            self.vcpu_put(vcpu)
        else:
            self.guest_enter(vcpu)
