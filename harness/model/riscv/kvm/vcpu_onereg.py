"""arch/riscv/kvm/vcpu_onereg.c: KVM_GET_ONE_REG, KVM_SET_ONE_REG, KVM_GET_REG_LIST.

Longer than other modules because it mirrors one kernel file.
"""

from __future__ import annotations

from contextlib import suppress

from harness.model.base import Errno, kernel_function
from harness.model.riscv.cpu.csr import SR_SPP
from harness.model.riscv.kvm.aia import Aia
from harness.model.riscv.kvm.isa import KVM_RISCV_BASE_ISA_MASK, LETTERS
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import (
    AIA_REGS,
    BITS_PER_LONG,
    CONFIG,
    CONFIG_REGS,
    CORE,
    CORE_REGS,
    CSR,
    CSR_AIA,
    CSR_GENERAL,
    CSR_REGS,
    CSR_SMSTATEEN,
    CSR_ZICFISS,
    FP_D,
    FP_F,
    FP_REGS,
    ISA_EXT,
    ISA_EXT_ID,
    ISA_EXTENSIONS,
    KVM_REG_RISCV_SUBTYPE_MASK,
    KVM_REG_RISCV_TYPE_MASK,
    MULTI_DIS,
    MULTI_EN,
    SBI_EXT,
    SBI_EXTENSIONS,
    SBI_STATE,
    SINGLE,
    SMSTATEEN_REGS,
    TIMER,
    TIMER_REGS,
    VECTOR,
    VECTOR_REGS,
    ZICFISS_REGS,
    one_reg,
    size_in,
    size_of,
)
from harness.model.values import Quads, Val

_ULONG = 8
_LONG = (1 << BITS_PER_LONG) - 1
_INT = (1 << 32) - 1  # what fls() takes
_MACHINE_IDS = ("mvendorid", "marchid", "mimpid")
_BLOCKS = {
    "zicbom_block_size": "zicbom",
    "zicboz_block_size": "zicboz",
    "zicbop_block_size": "zicbop",
}
_CSR_FIELDS = {
    "sstatus": "vsstatus",
    "sie": "vsie",
    "stvec": "vstvec",
    "sscratch": "vsscratch",
    "sepc": "vsepc",
    "scause": "vscause",
    "stval": "vstval",
    "sip": "hvip",
    "satp": "vsatp",
}


class VcpuOnereg(Aia):
    """By type, subtype and index; each type has its own order of checks."""

    __slots__ = ()

    # CONFIG ------------------------------------------------------------------------------

    def _config_place(self, vcpu: Vcpu, index: int, size: int) -> str:
        if size != _ULONG:
            raise Errno("EINVAL")
        name = CONFIG_REGS[index] if index < len(CONFIG_REGS) else ""
        since = {"satp_mode": "satp-mode", "zicboz_block_size": "isa-zicboz"}
        since |= {"zicbop_block_size": "isa-zicbop"} | dict.fromkeys(_MACHINE_IDS, "machine-ids")
        brought_by = since.get(name, "")
        if not name or (brought_by and brought_by not in self.fixes):
            raise Errno(self.no_such_reg)
        ext = _BLOCKS.get(name)
        if ext and not self.block_size_there(vcpu, ext):
            raise Errno(self.no_such_reg)
        return name

    def block_size_there(self, vcpu: Vcpu, ext: str) -> bool:
        if "zicbo-block-always" in self.fixes:
            return True
        if "zicbo-block-host" in self.fixes:
            return self.has(ext)
        return ext in vcpu.isa

    def block_size(self, ext: str) -> int:
        return self.host.block if self.has(ext) else 0

    @kernel_function()
    def kvm_riscv_vcpu_get_reg_config(self, vcpu: Vcpu, index: int, size: int) -> int:
        name = self._config_place(vcpu, index, size)
        if name == "isa":
            return self.base_isa(vcpu.isa)
        if name in _BLOCKS:
            return self.block_size(_BLOCKS[name])
        if name == "satp_mode":
            return self.satp_mode
        value: int = getattr(vcpu, name)
        return value

    @property
    def satp_mode(self) -> int:
        """satp.MODE of the host: 8, 9 or 10 for Sv39, Sv48 or Sv57."""
        return (self.host.sv - 39) // 9 + 8

    @kernel_function()
    def kvm_riscv_vcpu_set_reg_config(self, vcpu: Vcpu, index: int, size: int, value: int) -> None:
        # 9bfd900beeec meant the letters of `isa`, and tested every register.
        if "config-size-check" not in self.fixes and size == _ULONG and (value & _INT) >> 25:
            raise Errno("EINVAL")
        name = self._config_place(vcpu, index, size)
        if name == "isa":
            self._set_letters(vcpu, value)
        elif name in _BLOCKS:
            if "onereg-ebusy" not in self.fixes:
                raise Errno("EOPNOTSUPP")
            may_be_zero = "zicbo-block-always" in self.fixes
            if value != self.block_size(_BLOCKS[name]) and not (may_be_zero and not value):
                raise Errno("EINVAL")
        elif name == "satp_mode":
            if value != self.satp_mode:
                raise Errno("EINVAL")
        elif "onereg-same-value" not in self.fixes or value != getattr(vcpu, name):
            if vcpu.ran_atleast_once:
                raise Errno("EBUSY")
            setattr(vcpu, name, value)

    def _set_letters(self, vcpu: Vcpu, value: int) -> None:
        """What may not be is put right in silence, rather than refused."""
        if (value & _INT) >> 25:  # fls() >= RISCV_ISA_EXT_BASE: `z` is out as well
            raise Errno("EINVAL")
        if "onereg-same-value" in self.fixes and value == self.base_isa(vcpu.isa):
            return
        if vcpu.ran_atleast_once:
            raise Errno("EBUSY" if "onereg-ebusy" in self.fixes else "EOPNOTSUPP")
        letters = set()
        for name in LETTERS:
            kvm_ext = ISA_EXT_ID.get(name)
            if kvm_ext is None or not self.isa_known(kvm_ext) or not self.has(name):
                continue
            wanted = bool(value >> LETTERS.index(name) & 1)
            if wanted and not self.kvm_riscv_isa_enable_allowed(kvm_ext):
                wanted = False
            if not wanted and not self.kvm_riscv_isa_disable_allowed(kvm_ext):
                wanted = True
            if wanted:
                letters.add(name)
        vcpu.isa = frozenset(n for n in vcpu.isa if len(n) > 1) | letters
        assert not self.base_isa(vcpu.isa) & ~KVM_RISCV_BASE_ISA_MASK
        self.kvm_riscv_vcpu_fp_reset(vcpu)

    # CORE ----------------------------------------------------------------------------------

    def _core_place(self, index: int, size: int) -> str:
        if size != _ULONG:
            raise Errno("EINVAL")
        if index >= len(CORE_REGS):
            raise Errno(self.no_such_reg)
        return CORE_REGS[index]

    @kernel_function()
    def kvm_riscv_vcpu_get_reg_core(self, vcpu: Vcpu, index: int, size: int) -> Val:
        name = self._core_place(index, size)
        if name == "pc":
            return Val(vcpu.sepc)
        if name == "mode":
            return Val(int(bool(vcpu.sstatus & SR_SPP)))
        return vcpu.x.get(index)

    @kernel_function()
    def kvm_riscv_vcpu_set_reg_core(self, vcpu: Vcpu, index: int, size: int, val: Val) -> None:
        name = self._core_place(index, size)
        if name == "pc":
            vcpu.sepc = val.bits
        elif name == "mode":
            vcpu.sstatus = vcpu.sstatus & ~SR_SPP | (SR_SPP if val.bits == 1 else 0)
        else:
            vcpu.x = vcpu.x.set(index, (val,))

    # CSR -----------------------------------------------------------------------------------

    def _csr_place(self, vcpu: Vcpu, subtype: int, index: int, size: int) -> str:
        if size != _ULONG:
            raise Errno("EINVAL")
        if subtype == CSR_GENERAL:
            names = CSR_REGS if "senvcfg-switch" in self.fixes else CSR_REGS[:-1]
            if index >= len(names):
                raise Errno(self.no_such_reg)
            return names[index]
        if subtype == CSR_SMSTATEEN and "smstateen" in self.fixes:
            if "smstateen-errno" in self.fixes:
                if "smstateen" not in vcpu.isa or index >= len(SMSTATEEN_REGS):
                    raise Errno("ENOENT")
            elif not self.has("smstateen") or index >= len(SMSTATEEN_REGS):
                raise Errno("EINVAL")
            return SMSTATEEN_REGS[index]
        if subtype == CSR_ZICFISS and "ssp-switch" in self.fixes:
            if "zicfiss" not in vcpu.isa or index >= len(ZICFISS_REGS):
                raise Errno("ENOENT")
            return ZICFISS_REGS[index]
        if subtype == CSR_AIA and "isa-ssaia" in self.fixes:
            return ""
        raise Errno(self.no_such_reg)

    @kernel_function()
    def kvm_riscv_vcpu_get_reg_csr(self, vcpu: Vcpu, subtype: int, index: int, size: int) -> Val:
        name = self._csr_place(vcpu, subtype, index, size)
        if not name:
            return Val(self.kvm_riscv_vcpu_aia_get_csr(vcpu, index))
        if name in ("senvcfg", "sstateen0", "ssp"):
            val: Val = getattr(vcpu, name)
            return val
        if name == "scounteren":
            return Val(vcpu.scounteren)
        if name == "sip":
            self.kvm_riscv_vcpu_flush_interrupts(vcpu)
            return Val(self.hvip_to_vsip(vcpu.csr.hvip))
        return Val(getattr(vcpu.csr, _CSR_FIELDS[name]))

    @kernel_function()
    def kvm_riscv_vcpu_set_reg_csr(
        self, vcpu: Vcpu, subtype: int, index: int, size: int, val: Val
    ) -> None:
        name = self._csr_place(vcpu, subtype, index, size)
        if not name:
            self.kvm_riscv_vcpu_aia_set_csr(vcpu, index, val.bits)
        elif name in ("senvcfg", "sstateen0", "ssp"):
            setattr(vcpu, name, val)
        elif name == "scounteren":
            vcpu.scounteren = val.bits
        elif name == "sip":
            vcpu.csr = vcpu.csr._replace(hvip=self.vsip_to_hvip(val.bits))
            vcpu.irqs_pending_mask = 0
        else:
            vcpu.csr = vcpu.csr._replace(**{_CSR_FIELDS[name]: val.bits})
        if "load-fastpath" in self.fixes:
            vcpu.csr_dirty = True

    # ISA_EXT -------------------------------------------------------------------------------

    @kernel_function()
    def riscv_vcpu_get_isa_ext_single(self, vcpu: Vcpu, kvm_ext: int) -> int:
        if "isa-get-missing" not in self.fixes:
            # Only the write asks the host.
            if not self.isa_known(kvm_ext):
                raise Errno(self.no_such_reg)
            return int(self.guest_ext(kvm_ext) in vcpu.isa)
        guest = self.isa_check_host(kvm_ext)
        if guest is None:
            raise Errno(self.no_such_reg)
        return int(guest in vcpu.isa)

    @kernel_function()
    def riscv_vcpu_set_isa_ext_single(self, vcpu: Vcpu, kvm_ext: int, value: int) -> None:
        ebusy = "EBUSY" if "onereg-ebusy" in self.fixes else "EOPNOTSUPP"
        guest = self.isa_check_host(kvm_ext)
        if guest is None:
            known = self.isa_known(kvm_ext)
            missing = "onereg-enoent" not in self.fixes and known
            raise Errno("EOPNOTSUPP" if missing else self.no_such_reg)
        if "onereg-same-value" in self.fixes and value == int(guest in vcpu.isa):
            return
        if vcpu.ran_atleast_once:
            raise Errno(ebusy)
        if value == 1 and self.kvm_riscv_isa_enable_allowed(kvm_ext):
            vcpu.isa |= {guest}
        elif value == 0 and self.kvm_riscv_isa_disable_allowed(kvm_ext):
            vcpu.isa -= {guest}
        else:
            raise Errno("EINVAL")
        self.kvm_riscv_vcpu_fp_reset(vcpu)

    def _isa_place(self, subtype: int, index: int, size: int) -> None:
        if size != _ULONG:
            raise Errno("EINVAL")
        multi = "onereg-multi" in self.fixes
        if subtype != SINGLE and not (multi and subtype in (MULTI_EN, MULTI_DIS)):
            raise Errno(self.no_such_reg)
        if subtype != SINGLE and index * BITS_PER_LONG >= self.isa_ext_max:
            raise Errno(self.no_such_reg)

    @property
    def isa_ext_max(self) -> int:
        """KVM_RISCV_ISA_EXT_MAX"""
        return ISA_EXT_ID[next(reversed(self.isa_ids))] + 1

    def _word(self, index: int) -> range:
        first = index * BITS_PER_LONG
        return range(first, min(first + BITS_PER_LONG, self.isa_ext_max))

    @kernel_function()
    def kvm_riscv_vcpu_get_reg_isa_ext(
        self, vcpu: Vcpu, subtype: int, index: int, size: int
    ) -> int:
        self._isa_place(subtype, index, size)
        if subtype == SINGLE:
            return self.riscv_vcpu_get_isa_ext_single(vcpu, index)
        enabled = 0
        for kvm_ext in self._word(index):
            guest = self.isa_check_host(kvm_ext)
            if guest is not None and guest in vcpu.isa:
                enabled |= 1 << kvm_ext % BITS_PER_LONG
        return enabled if subtype == MULTI_EN else ~enabled & _LONG

    @kernel_function()
    def kvm_riscv_vcpu_set_reg_isa_ext(
        self, vcpu: Vcpu, subtype: int, index: int, size: int, value: int
    ) -> None:
        self._isa_place(subtype, index, size)
        if subtype == SINGLE:
            self.riscv_vcpu_set_isa_ext_single(vcpu, index, value)
            return
        for kvm_ext in self._word(index):
            if value >> kvm_ext % BITS_PER_LONG & 1:
                with suppress(Errno):  # and nobody is told
                    self.riscv_vcpu_set_isa_ext_single(vcpu, kvm_ext, int(subtype == MULTI_EN))

    # The ioctls ------------------------------------------------------------------------------

    @kernel_function()
    def kvm_riscv_vcpu_get_reg(self, vcpu: Vcpu, reg: int) -> Quads:
        """The value of a register, in quadwords. Raises Errno."""
        kind, subtype, index, size = self.place_of(reg)
        if kind == CONFIG:
            return (Val(self.kvm_riscv_vcpu_get_reg_config(vcpu, index, size)),)
        if kind == CORE:
            return (self.kvm_riscv_vcpu_get_reg_core(vcpu, index, size),)
        if kind == CSR:
            return (self.kvm_riscv_vcpu_get_reg_csr(vcpu, subtype, index, size),)
        if kind == TIMER:
            return (self.kvm_riscv_vcpu_get_reg_timer(vcpu, index, size),)
        if kind in (FP_F, FP_D):
            return (self.kvm_riscv_vcpu_get_reg_fp(vcpu, kind, index, size),)
        if kind == VECTOR and "vector-lazy" in self.fixes:
            return self.kvm_riscv_vcpu_get_reg_vector(vcpu, index, size)
        if kind == ISA_EXT:
            return (Val(self.kvm_riscv_vcpu_get_reg_isa_ext(vcpu, subtype, index, size)),)
        if kind == SBI_EXT and self.sbi_ids:
            return (Val(self.kvm_riscv_vcpu_get_reg_sbi_ext(vcpu, subtype, index, size)),)
        if kind == SBI_STATE and "sta" in self.sbi_ids:
            return (Val(self.kvm_riscv_vcpu_get_reg_sbi(vcpu, subtype, index, size)),)
        raise Errno(self.no_such_reg)

    @kernel_function()
    def kvm_riscv_vcpu_set_reg(self, vcpu: Vcpu, reg: int, vals: Quads) -> None:
        """Raises Errno."""
        kind, subtype, index, size = self.place_of(reg)
        val = vals[0]
        if kind == CONFIG:
            self.kvm_riscv_vcpu_set_reg_config(vcpu, index, size, val.bits)
        elif kind == CORE:
            self.kvm_riscv_vcpu_set_reg_core(vcpu, index, size, val)
        elif kind == CSR:
            self.kvm_riscv_vcpu_set_reg_csr(vcpu, subtype, index, size, val)
        elif kind == TIMER:
            self.kvm_riscv_vcpu_set_reg_timer(vcpu, index, size, val)
        elif kind in (FP_F, FP_D):
            self.kvm_riscv_vcpu_set_reg_fp(vcpu, kind, index, size, val)
        elif kind == VECTOR and "vector-lazy" in self.fixes:
            self.kvm_riscv_vcpu_set_reg_vector(vcpu, index, size, vals)
        elif kind == ISA_EXT:
            self.kvm_riscv_vcpu_set_reg_isa_ext(vcpu, subtype, index, size, val.bits)
        elif kind == SBI_EXT and self.sbi_ids:
            self.kvm_riscv_vcpu_set_reg_sbi_ext(vcpu, subtype, index, size, val.bits)
        elif kind == SBI_STATE and "sta" in self.sbi_ids:
            self.kvm_riscv_vcpu_set_reg_sbi(vcpu, subtype, index, size, val.bits)
        else:
            raise Errno(self.no_such_reg)

    def before_copy(self, vcpu: Vcpu, reg: int) -> None:
        """What KVM_SET_ONE_REG finds wrong before it looks at the value. Raises Errno."""
        kind, subtype, index, size = self.place_of(reg)
        if kind == CORE:
            self._core_place(index, size)
        elif kind == TIMER:
            self.timer_place(index, size)
        elif kind in (FP_F, FP_D):
            self.fp_place(vcpu, kind, index, size)
        elif kind == VECTOR and "vector-lazy" in self.fixes:
            self.vector_before_copy(vcpu, index, size)
        elif kind == SBI_STATE and "sta" in self.sbi_ids:
            self.state_size(size)
        elif kind in (CONFIG, CSR, ISA_EXT) or (kind == SBI_EXT and self.sbi_ids):
            if size != _ULONG:
                raise Errno("EINVAL")
            if kind == SBI_EXT and vcpu.ran_atleast_once:
                raise Errno("EBUSY")
            # The number came before the value until there were subtypes.
            if kind == CSR and "isa-ssaia" not in self.fixes:
                self._csr_place(vcpu, subtype, index, size)
            named = kind == ISA_EXT and not subtype and self.isa_known(index)
            if kind == ISA_EXT and "onereg-multi" not in self.fixes and not named:
                raise Errno(self.no_such_reg)
        else:
            raise Errno(self.no_such_reg)

    def place_of(self, reg: int) -> tuple[int, int, int, int]:
        """Type, subtype, index and size in bytes of an id.

        Bits that belong to none of them stay in the index, as they do in the kernel.
        """
        kind = (reg & KVM_REG_RISCV_TYPE_MASK) >> 24
        stray = reg >> 32 & 0xFFFFF
        index = reg & 0xFFFF | stray << 32
        subtype = (reg & KVM_REG_RISCV_SUBTYPE_MASK) >> 16
        if kind not in (CSR, ISA_EXT, SBI_EXT, SBI_STATE):
            subtype, index = 0, index | subtype << 16
        return kind, subtype, index, size_of(reg)

    @kernel_function()
    def kvm_riscv_vcpu_copy_reg_indices(self, vcpu: Vcpu) -> list[int]:
        """KVM_GET_REG_LIST, in order. Raises Errno."""
        if "reglist" not in self.fixes:
            raise Errno("EINVAL")
        regs = [
            one_reg(CONFIG, 0, index)
            for index, name in enumerate(CONFIG_REGS)
            if self._config_listed(vcpu, name)
        ]
        regs += [one_reg(CORE, 0, index) for index in range(len(CORE_REGS))]
        general = len(CSR_REGS) if "senvcfg-switch" in self.fixes else len(CSR_REGS) - 1
        regs += [one_reg(CSR, CSR_GENERAL, index) for index in range(general)]
        if "ssaia" in vcpu.isa:
            regs += [one_reg(CSR, CSR_AIA, index) for index in range(len(AIA_REGS))]
        if "smstateen" in self.fixes and "smstateen" in vcpu.isa:
            regs.append(one_reg(CSR, CSR_SMSTATEEN, 0))
        if "ssp-switch" in self.fixes and "zicfiss" in vcpu.isa:
            regs.append(one_reg(CSR, CSR_ZICFISS, 0))
        regs += [one_reg(TIMER, 0, index) for index in range(len(TIMER_REGS))]
        for kind, letter in ((FP_F, "f"), (FP_D, "d")):
            if letter in vcpu.isa:
                regs += [
                    one_reg(kind, 0, index, size_in(kind, index, 0))
                    for index in range(len(FP_REGS))
                ]
        if "v" in vcpu.isa and "reglist-vector" in self.fixes:
            regs += [
                one_reg(VECTOR, 0, index, size_in(VECTOR, index, self.host.vlenb))
                for index, name in enumerate(VECTOR_REGS)
                if name != "datap"
            ]
        regs += [
            one_reg(ISA_EXT, SINGLE, kvm_ext)
            for kvm_ext in range(len(ISA_EXTENSIONS))
            if self._isa_listed(vcpu, kvm_ext)
        ]
        regs += [
            one_reg(SBI_EXT, SINGLE, number)
            for number in range(len(SBI_EXTENSIONS))
            if self.sbi_listed(vcpu, number)
        ]
        if self.sbi_ids and "reglist-no-sbi-multi" not in self.fixes:
            regs += [one_reg(SBI_EXT, subtype, 0) for subtype in (MULTI_EN, MULTI_DIS)]
        regs += [one_reg(SBI_STATE, *place) for place in self.sbi_state_regs(vcpu)]
        return regs

    def _isa_listed(self, vcpu: Vcpu, kvm_ext: int) -> bool:
        guest = self.isa_check_host(kvm_ext)
        if guest is None or "reglist-isa-host" in self.fixes:
            return guest is not None
        return guest in vcpu.isa

    def _config_listed(self, vcpu: Vcpu, name: str) -> bool:
        try:
            self._config_place(vcpu, CONFIG_REGS.index(name), _ULONG)
        except Errno:
            return False
        return True
