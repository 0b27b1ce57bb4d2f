"""What a guest does: its registers, its CSRs, its memory, its calls to the firmware.

In one module, as each of them is an instruction of the guest that traps or does not, and says
what is due.
"""

from __future__ import annotations

from harness.errors import one_of
from harness.model.base import Refused
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
from harness.model.riscv.legal import Legal
from harness.model.values import ZERO, Bank, Quads, Val, number, set_both

Reg = tuple[str, int]
FWFT_DUE = {
    FWFT["MISALIGNED_EXC_DELEG"]: "misaligned_deleg",
    FWFT["LANDING_PAD"]: "landing_pad",
    FWFT["SHADOW_STACK"]: "shadow_stack",
    FWFT["POINTER_MASKING_PMLEN"]: "pointer_masking",
}
SHMEM_LO = one_reg(SBI_STATE, SBI_STA, STA_REGS.index("shmem_lo"), U64)
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
INSTRUCTIONS = ("nop", "sfence_vma", "hfence_gvma", "wfi", "wfi_unmapped", "jalr")
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


class Guest(Legal):
    """One method for each thing that a guest can do; all of them may trap."""

    __slots__ = ("address", "refused_reg", "returned", "sbi")

    # What the last stimulus came to: the address as it was translated, the SBI's answer.
    address: int | None
    sbi: SbiReturn | None
    returned: int | None  # by a prctl that asks
    refused_reg: str

    def supervisor(self, vcpu: Vcpu) -> bool:
        """Whether the guest is in VS-mode, not in VU-mode."""
        return bool(vcpu.sstatus & SR_SPP)

    # Registers -------------------------------------------------------------------------

    def guest_read(self, vcpu: Vcpu, reg: Reg) -> None:
        kind, n = reg
        if kind == "x":
            self.seen = (vcpu.x.get(n),)
        elif self._register_traps(vcpu, reg, write=False):
            pass  # what KVM made of it, it has said
        elif kind in ("f", "fcsr"):
            self.seen = (self.cpu.f.get(number_of(reg)),)
        elif kind == "v":
            self.seen = self.whole(self.cpu.v, n)
        elif kind in V_CSRS:
            self.seen = (self.cpu.v.get(V_CSRS[kind]),)
        elif kind in PARTS:
            self.seen = (self._part(kind),)
        else:
            self.seen = (self._csr(vcpu, kind),)

    def whole(self, bank: Bank, n: int) -> Quads:
        """All quadwords of a vector register."""
        return tuple(bank.get(n, quad) for quad in range(max(self.host.vlenb // 16, 1)))

    def _part(self, name: str) -> Val:
        """A field of fcsr or of vcsr that is a CSR of its own."""
        whole, shift, mask = PARTS[name]
        val = self.cpu.f.get(FCSR) if whole == "fcsr" else self.cpu.v.get(V_CSRS[whole])
        return Val(val.bits >> shift & mask, val.origin)

    def _register_traps(self, vcpu: Vcpu, reg: Reg, write: bool) -> bool:
        kind, isa = reg[0], self.host.isa
        cause = 0
        if kind == "f" or kind in FP_CSRS:
            cause = fp_cause(self.cpu, isa, vcpu.sstatus)
        elif kind == "v" or kind in VECTOR_CSRS:
            cause = vector_cause(self.cpu, isa, vcpu.sstatus)
        if kind == "ssp" and "isa-zicfi" not in self.fixes:
            isa -= {"zicfiss"}  # menvcfg.SSE is off, or KVM makes the same of it
        if kind in CSRS and not cause:
            supervisor = self.supervisor(vcpu)
            counters = self.open_counters(vcpu, supervisor)
            cause = csr_cause(self.cpu, isa, kind, supervisor, write, counters)
            if kind == "sireg" and not cause:
                cause = sireg_cause(vcpu.aia[0])
        if cause:
            self.take(vcpu, cause, csr=kind)
        return bool(cause)

    def open_counters(self, vcpu: Vcpu, supervisor: bool) -> int:
        """hcounteren, which leaves a guest the time alone, and in VU-mode scounteren too."""
        found = 1 << COUNTERS["time"] if "sbi-pmu" in self.fixes else SCOUNTEREN_MASK
        return found if supervisor else found & vcpu.scounteren

    def _csr(self, vcpu: Vcpu, name: str) -> Val:
        if name == "senvcfg":
            return self.cpu.senvcfg
        if name == "ssp":
            return self.cpu.ssp
        if name == "sstateen0":
            return Val(self.cpu.sstateen0.bits & self.cpu.hstateen0 & SSTATEEN0_MASK)
        if name == "stopi" and vsip_of(self.cpu.vs.hvip) & self.cpu.vs.vsie:
            raise Refused("stopi is modelled while no interrupt is pending")
        plain = {
            "stimecmp": self.cpu.vstimecmp,
            "siselect": vcpu.aia[0],
            "scounteren": vcpu.scounteren,
            "sip": vsip_of(self.cpu.vs.hvip),
            "sstatus": read_sstatus(self.cpu.vs.vsstatus),
            "vlenb": self.host.vlenb,
            "time": vcpu.time_delta,
        }
        if name in plain:
            return Val(plain[name])
        return Val(getattr(self.cpu.vs, _VS[name])) if name in _VS else ZERO

    def guest_write(self, vcpu: Vcpu, reg: Reg, bits: tuple[int, ...]) -> None:
        kind = reg[0]
        if kind == "x":
            self._set_x(vcpu, reg[1], bits[0])
            return
        if self._register_traps(vcpu, reg, write=True):
            return
        if kind in PARTS:
            whole, shift, mask = PARTS[kind]
            rest = (self.cpu.f if whole == "fcsr" else self.cpu.v).get(number_of((whole, 0))).bits
            reg, bits = (whole, 0), (rest & ~(mask << shift) | (bits[0] & mask) << shift,)
            kind = whole
        vals = tuple(self.val(b, vcpu.name) for b in self.legal(kind, bits))
        owed = self.vcpu_due[vcpu.name]
        if kind in ("f", "fcsr"):
            owed.f, self.cpu.f = set_both(due.f_on(owed), self.cpu.f, number_of(reg), vals)
            self.dirty(vcpu, SR_FS)
        elif kind == "v" or kind in V_CSRS:
            want = due.v_on(owed, self.host)
            owed.v, self.cpu.v = set_both(want, self.cpu.v, number_of(reg), vals)
            self.dirty(vcpu, SR_VS)
        else:
            self._write_csr(vcpu, kind, vals[0])

    def legal(self, kind: str, bits: tuple[int, ...]) -> tuple[int, ...]:
        """What an FP or vector register holds of these bits."""
        mask = {"fcsr": FCSR_MASK, "vcsr": VCSR_MASK, "vstart": 8 * self.host.vlenb - 1}.get(kind)
        return bits if mask is None else (bits[0] & mask,)

    def guest_vsetvli(self, vcpu: Vcpu, vtype: int) -> None:
        cause = vector_cause(self.cpu, self.host.isa, vcpu.sstatus)
        if cause:
            self.take(vcpu, cause)
            return
        owed = self.vcpu_due[vcpu.name]
        owed.v = due.v_on(owed, self.host)
        for name, bits in due.vsetvli(vtype, self.host.vlenb):
            vals = (self.val(bits, vcpu.name),)
            owed.v, self.cpu.v = set_both(owed.v, self.cpu.v, V_CSRS[name], vals)
        self.dirty(vcpu, SR_VS)

    def dirty(self, vcpu: Vcpu, field: int) -> None:
        """A write makes the state of both levels Dirty."""
        owed = self.vcpu_due[vcpu.name]
        owed.vs = owed.vs._replace(vsstatus=owed.vs.vsstatus | field)
        vcpu.sstatus |= field
        self.cpu.vs = self.cpu.vs._replace(vsstatus=self.cpu.vs.vsstatus | field)

    def _write_csr(self, vcpu: Vcpu, name: str, val: Val) -> None:
        vs, host, owed = self.cpu.vs, self.host, self.vcpu_due[vcpu.name]
        if name == "senvcfg":
            bits = legal_senvcfg(host.isa, host.pmlen, val.bits, owed.senvcfg.bits)
            owed.senvcfg = Val(bits, val.origin)
            bits = legal_senvcfg(host.isa, host.pmlen, val.bits, self.cpu.senvcfg.bits)
            self.cpu.senvcfg = Val(bits, val.origin)
        elif name == "sstateen0":
            # Bits that are zero in hstateen0 are read-only zero here, and KVM sets none of these.
            mask = self.cpu.hstateen0 & SSTATEEN0_MASK
            bits = self.cpu.sstateen0.bits & ~mask | val.bits & mask
            self.cpu.sstateen0 = Val(bits, val.origin if mask else self.cpu.sstateen0.origin)
        elif name == "ssp":
            owed.ssp = self.cpu.ssp = Val(legal_ssp(val.bits), val.origin)
        elif name == "stimecmp":
            owed.timecmp = val.bits
            self.csr_write("vstimecmp", val.bits)
        elif name == "siselect":
            owed.siselect = val.bits & SISELECT_MASK
            vcpu.aia = (val.bits & SISELECT_MASK, *vcpu.aia[1:])
        elif name == "scounteren":
            owed.scounteren = val.bits & SCOUNTEREN_MASK
            vcpu.scounteren = val.bits & SCOUNTEREN_MASK
        elif name == "sip":
            owed.vs = owed.vs._replace(hvip=self._write_sip(owed.vs.hvip, val.bits))
            self.cpu.vs = vs._replace(hvip=self._write_sip(vs.hvip, val.bits))
        elif name in _VS:
            field = _VS[name]
            was = due.vs_on(owed, host)
            wrote = legal_vs(host.isa, host.sv, was._replace(**{field: val.bits}), was)
            owed.vs = owed.vs._replace(**{field: getattr(wrote, field)})
            wrote = legal_vs(host.isa, host.sv, vs._replace(**{field: val.bits}), vs)
            self.cpu.vs = vs._replace(**{field: getattr(wrote, field)})

    def _write_sip(self, hvip: int, sip: int) -> int:
        """A guest writes its software interrupt, and the overflow of a counter."""
        mask = 1 << IRQ_VS_SOFT | legal_hvip(self.host.isa, 1 << IRQ_PMU_OVF)
        wrote = sip << 1 & 1 << IRQ_VS_SOFT | sip & 1 << IRQ_PMU_OVF
        return hvip & ~mask | wrote & mask

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
            self.take(vcpu, _FETCH[fault] if access is Access.FETCH else fault, where)

    def translate(self, address: int, pmlen: int, access: Access) -> tuple[int, int]:
        """The address as stval would hold it, and the cause of the fault it makes, or 0."""
        bits = _SATP_BITS.get(self.cpu.vs.vsatp >> 60)
        where = transform(address, pmlen, access, bits is not None)
        if bits is None:
            return where, 0 if self.in_memslot(where, 1) else EXC_LOAD_GUEST_PAGE_FAULT
        return where, 0 if canonical(where, bits) else EXC_LOAD_PAGE_FAULT

    def hypervisor_access(self, vcpu: Vcpu, address: int, access: Access) -> None:
        """HLV or HLVX of KVM's, as if the guest had made the access in the mode it was in.

        A fault is KVM's own to handle; it shows as a trap to HS.
        """
        envcfg = self.cpu.henvcfg if self.supervisor(vcpu) else self.cpu.senvcfg.bits
        self.address, fault = self.translate(address, pmlen_of(envcfg), access)
        if fault:
            self.traps.append(Trap(fault, False, self.address))

    def take(self, vcpu: Vcpu, cause: int, stval: int = 0, csr: str = "") -> None:
        """The guest traps; where VS-mode takes it, its CSRs say so."""
        seen, supervisor = len(self.traps), self.supervisor(vcpu)
        super().take(vcpu, cause, stval, csr)
        for trap in self.traps[seen:]:
            if trap.v:
                due.trap_entry(self.vcpu_due[vcpu.name], trap.cause, trap.stval, supervisor)

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

    def guest_insn(self, vcpu: Vcpu, what: str) -> None:
        """One that only a mode, or hstatus, decides."""
        if what == "hfence_gvma" or (what == "sfence_vma" and not self.supervisor(vcpu)):
            self.take(vcpu, EXC_VIRTUAL_INST_FAULT)
        elif what == "wfi":  # hstatus.VTW
            self.take(vcpu, EXC_VIRTUAL_INST_FAULT, csr="wfi")
        elif what == "wfi_unmapped":
            self.take(vcpu, EXC_VIRTUAL_INST_FAULT, csr=what)
            if not any(trap.v for trap in self.traps):  # executed again, once its page is back
                self.take(vcpu, EXC_VIRTUAL_INST_FAULT, csr="wfi")
        elif what == "jalr":  # to where there is no landing pad
            cause = lpad_cause(self.cpu, self.host.isa, self.supervisor(vcpu))
            if cause:
                self.take(vcpu, cause, _NO_LANDING_PAD)

    # Firmware ------------------------------------------------------------------------------

    def guest_sbi(self, vcpu: Vcpu, extension: str, function: str, args: tuple[int, ...]) -> None:
        """By names or by numbers, which mean the same."""
        eid, fid = _call(extension, function)
        if not self.supervisor(vcpu):
            raise Refused(f"{vcpu.name} is in VU-mode, which makes no SBI calls")
        pmu = self.find_ext(vcpu, eid) == "pmu" and self.probe("pmu")
        if pmu and fid and function_of("pmu", fid):
            raise Refused("the PMU's counters are left out: of SBI pmu there is num_counters")
        # a0 to a5, the function in a6, the extension in a7
        self._set_x(vcpu, 10, *(args + (0,) * 6)[:6], fid, eid)
        self.traps.append(Trap(EXC_SUPERVISOR_SYSCALL, False, 0))
        self.guest_exit(vcpu)
        self.sbi = self.kvm_riscv_vcpu_sbi_ecall(vcpu, eid, fid, args)
        self._sbi_due(vcpu, eid, fid, args + (0,) * 6, self.sbi)
        if self.sbi.uexit:
            srst = extension_of(eid) == "srst"
            vcpu.run = "KVM_EXIT_SYSTEM_EVENT" if srst else "KVM_EXIT_RISCV_SBI"
            self.vcpu_put(vcpu)
            return
        self._answered(vcpu, self.sbi.err_val, self.sbi.out_val)
        self.guest_enter_again(vcpu)

    def _set_x(self, vcpu: Vcpu, first: int, *values: int) -> None:
        owed = self.vcpu_due[vcpu.name]
        for n, value in enumerate(values, first):
            vals = (self.val(value & _XLEN, vcpu.name),)
            owed.x, vcpu.x = set_both(owed.x, vcpu.x, n, vals)

    def _answered(self, vcpu: Vcpu, error: int, value: int) -> None:
        """a0 and a1 of a call that is done."""
        self._set_x(vcpu, 10, error, value)

    def _sbi_due(
        self, vcpu: Vcpu, eid: int, fid: int, args: tuple[int, ...], answer: SbiReturn
    ) -> None:
        """What a call that has been accepted makes due."""
        owed, name = self.vcpu_due[vcpu.name], extension_of(eid)
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
            self._fwft_read(vcpu, FWFT_DUE[args[0]], answer.out_val)
        elif name == "time" and function:
            owed.timecmp, owed.armed = args[0], True
        elif name == "hsm" and function == "hart_start":
            for other in self.vm_vcpus(vcpu):
                if self.hart_id(other) == args[0]:
                    self.vcpu_due[other.name].reset = (args[1], self.hart_id(other), args[2])
        elif name == "susp" and function:
            owed.reset = (args[1], self.hart_id(vcpu), args[2])
        elif name == "ipi" and function:
            for other in self.vm_vcpus(vcpu):
                bit = self.hart_id(other) - args[1]
                if args[1] == _XLEN or (0 <= bit < 64 and args[0] >> bit & 1):
                    due.interrupt(self.vcpu_due[other.name], IRQ_VS_SOFT, True)
        elif name == "sta":
            due.forget(owed, frozenset(["sta"]))
            due.set_accepted(owed, SHMEM_LO, (args[0],))

    def _fwft_read(self, vcpu: Vcpu, feature: str, got: int) -> None:
        owed = self.vcpu_due[vcpu.name]
        want = due.fwft_value(owed, feature)
        if want != got:
            kind = "reset" if owed.fresh else "set-lost"
            text = f"{vcpu.name} reads FWFT {feature} = {got}, it was set to {want}"
            self.violated(kind, vcpu.name, f"fwft.{feature}", text)


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
