"""arch/riscv/kvm/vcpu_sbi_*.c: what each SBI extension does with a call.

The handlers of base, of what replaced version 0.1 (time, ipi, rfence, srst), of hsm, susp,
sta, pmu, and of what user space is left to answer. FWFT has its own module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from harness.model.base import kernel_function
from harness.model.riscv.cpu.csr import IRQ_VS_SOFT
from harness.model.riscv.kvm.sbi import (
    EXPERIMENTAL,
    SBI_ERR_ALREADY_AVAILABLE,
    SBI_ERR_DENIED,
    SBI_ERR_INVALID_ADDRESS,
    SBI_ERR_INVALID_PARAM,
    SBI_ERR_NOT_SUPPORTED,
    SBI_HSM_STATE_STARTED,
    SBI_HSM_STATE_STOPPED,
    SBI_HSM_STATE_SUSPENDED,
    SBI_SUCCESS,
    VENDOR,
    function_of,
)
from harness.model.riscv.kvm.state import HALTED, Vcpu
from harness.model.riscv.kvm.uapi import BITS_PER_LONG
from harness.model.riscv.kvm.vcpu_sbi import INVALID_GPA, VcpuSbi

_LONG = (1 << BITS_PER_LONG) - 1
_U32 = (1 << 32) - 1
_PAGE = (1 << 12) - 1
_FORWARDED = ("dbcn", "mpxy", "experimental", "vendor")
_SHUTDOWN, _COLD_REBOOT, _WARM_REBOOT = range(3)  # SBI_SRST_RESET_TYPE_*
_RETENTIVE, _NON_RETENTIVE = 0, 1 << 31  # SBI_HSM_SUSPEND_*_DEFAULT


class SbiReturn(NamedTuple):
    """struct kvm_vcpu_sbi_return"""

    err_val: int
    out_val: int = 0
    uexit: bool = False


_TO_USER_SPACE = SbiReturn(SBI_ERR_NOT_SUPPORTED, 0, True)
_UNKNOWN = SbiReturn(SBI_ERR_NOT_SUPPORTED)
_INVALID = SbiReturn(SBI_ERR_INVALID_PARAM)


class VcpuSbiExt(VcpuSbi):
    """kvm_sbi_ext_*_handler()"""

    __slots__ = ()

    @kernel_function()
    def kvm_riscv_vcpu_sbi_ecall(
        self, vcpu: Vcpu, eid: int, fid: int, args: tuple[int, ...]
    ) -> SbiReturn:
        """A call by EID and FID, which are a7 and a6; `args` are a0 and on."""
        name = self.find_ext(vcpu, eid)
        if not name or name == "v01":
            return _UNKNOWN
        if name in _FORWARDED:
            return self._forward(name, fid)
        handle: Callable[[Vcpu, int, tuple[int, ...]], SbiReturn] = getattr(self, "_" + name)
        return handle(vcpu, fid, args + (0,) * 6)

    def _forward(self, name: str, fid: int) -> SbiReturn:
        """kvm_riscv_vcpu_sbi_forward_handler(), which DBCN's functions went through one by one."""
        if name == "dbcn" and "sbi-dbcn-forward" not in self.fixes and not function_of(name, fid):
            return _UNKNOWN
        return _TO_USER_SPACE

    @kernel_function("kvm_sbi_ext_base_handler")
    def _base(self, vcpu: Vcpu, fid: int, args: tuple[int, ...]) -> SbiReturn:
        function = function_of("base", fid)
        if function == "probe_extension":
            if args[0] in EXPERIMENTAL or args[0] in VENDOR:
                return _TO_USER_SPACE  # whether it is enabled or not
            name = self.find_ext(vcpu, args[0])
            return SbiReturn(SBI_SUCCESS, int(name != "" and self.probe(name)))
        value = {
            "get_spec_version": self.spec_version << 24,
            "get_impl_id": 3,
            "get_impl_version": 0,  # LINUX_VERSION_CODE: no kernel here has a number
            "get_mvendorid": vcpu.mvendorid,
            "get_marchid": vcpu.marchid,
            "get_mimpid": vcpu.mimpid,
        }
        return SbiReturn(SBI_SUCCESS, value[function]) if function in value else _UNKNOWN

    @property
    def spec_version(self) -> int:
        """KVM_SBI_VERSION_MAJOR"""
        return 1 + ("sbi-spec-2" in self.fixes) + ("sbi-spec-3" in self.fixes)

    @kernel_function("kvm_sbi_ext_time_handler")
    def _time(self, vcpu: Vcpu, fid: int, args: tuple[int, ...]) -> SbiReturn:
        if not function_of("time", fid):
            return _UNKNOWN if "sbi-time-errors" in self.fixes else _INVALID
        self.kvm_riscv_vcpu_timer_next_event(vcpu, args[0])
        return SbiReturn(SBI_SUCCESS)

    @kernel_function("kvm_sbi_ext_ipi_handler")
    def _ipi(self, vcpu: Vcpu, fid: int, args: tuple[int, ...]) -> SbiReturn:
        """To the harts of a mask that begins at a hart id; with -1 there to all."""
        strict = "sbi-ipi-errors" in self.fixes
        if not function_of("ipi", fid):
            return _UNKNOWN if strict else _INVALID
        hmask, hbase, sent = args[0], args[1], 0
        for target in self.vm_vcpus(vcpu):
            bit = target.id - hbase
            if hbase != _LONG:
                if bit < 0 or (strict and bit >= BITS_PER_LONG):
                    continue
                if not hmask >> bit % BITS_PER_LONG & 1:  # how SLL shifts
                    continue
                sent |= 1 << bit
            self.kvm_riscv_vcpu_set_interrupt(target, IRQ_VS_SOFT)
        return _INVALID if strict and hbase != _LONG and hmask != sent else SbiReturn(SBI_SUCCESS)

    @kernel_function("kvm_sbi_ext_rfence_handler")
    def _rfence(self, vcpu: Vcpu, fid: int, args: tuple[int, ...]) -> SbiReturn:
        function = function_of("rfence", fid)
        nested = function.startswith("remote_hfence")
        if not function or (nested and "sbi-hfence-errors" in self.fixes):
            return _UNKNOWN
        return SbiReturn(SBI_SUCCESS)

    @kernel_function("kvm_sbi_ext_pmu_handler")
    def _pmu(self, vcpu: Vcpu, fid: int, args: tuple[int, ...]) -> SbiReturn:
        """How many counters there are; the others a guest is not let at."""
        known = self.probe("pmu") and function_of("pmu", fid)
        return SbiReturn(SBI_SUCCESS) if known else _UNKNOWN

    @kernel_function("kvm_sbi_ext_fwft_handler")
    def _fwft(self, vcpu: Vcpu, fid: int, args: tuple[int, ...]) -> SbiReturn:
        function = function_of("fwft", fid)
        if function == "set":
            return SbiReturn(self.kvm_sbi_fwft_set(vcpu, *args[:3]))
        return SbiReturn(*self.kvm_sbi_fwft_get(vcpu, args[0])) if function else _UNKNOWN

    @kernel_function("kvm_sbi_ext_hsm_handler")
    def _hsm(self, vcpu: Vcpu, fid: int, args: tuple[int, ...]) -> SbiReturn:
        function = function_of("hsm", fid)
        if function == "hart_stop":
            vcpu.stopped = True
            return SbiReturn(SBI_SUCCESS)
        if function == "hart_suspend":
            return self._hart_suspend(vcpu, args[0])
        if function == "hart_get_status":
            return self.kvm_sbi_hsm_vcpu_get_status(vcpu, args[0])
        if function != "hart_start":
            return _UNKNOWN
        target = self.vcpu_by_id(vcpu, args[0])
        if target is None:
            return _INVALID
        if not target.stopped:
            return SbiReturn(SBI_ERR_ALREADY_AVAILABLE)
        self.kvm_riscv_vcpu_sbi_request_reset(target, args[1], args[2])
        target.stopped = False
        return SbiReturn(SBI_SUCCESS)

    def _hart_suspend(self, vcpu: Vcpu, kind: int) -> SbiReturn:
        if "sbi-hsm-suspend-type" in self.fixes:
            kind &= _U32
        if kind == _RETENTIVE:
            self.kvm_riscv_vcpu_wfi(vcpu)
            return SbiReturn(SBI_SUCCESS)
        return _UNKNOWN if kind == _NON_RETENTIVE else _INVALID

    @kernel_function()
    def kvm_sbi_hsm_vcpu_get_status(self, vcpu: Vcpu, hart: int) -> SbiReturn:
        target = self.vcpu_by_id(vcpu, hart)
        if target is None:
            # bae0dfd74e01 took the error for a state, and reported none.
            lost = "sbi-errors" in self.fixes and "sbi-hsm-status-error" not in self.fixes
            return SbiReturn(SBI_SUCCESS) if lost else _INVALID
        if target.stopped:
            return SbiReturn(SBI_SUCCESS, SBI_HSM_STATE_STOPPED)
        if target.waiting == HALTED and "sbi-hsm-suspend-status" in self.fixes:
            return SbiReturn(SBI_SUCCESS, SBI_HSM_STATE_SUSPENDED)
        return SbiReturn(SBI_SUCCESS, SBI_HSM_STATE_STARTED)

    @kernel_function()
    def kvm_riscv_vcpu_sbi_request_reset(self, vcpu: Vcpu, pc: int, a1: int) -> None:
        vcpu.reset_state = (pc, a1)
        vcpu.reset = True

    @kernel_function("kvm_sbi_ext_susp_handler")
    def _susp(self, vcpu: Vcpu, fid: int, args: tuple[int, ...]) -> SbiReturn:
        """To RAM alone, by the last vcpu that is up; it is reset where it goes on."""
        if not function_of("susp", fid):
            return _UNKNOWN
        if args[0] & _U32 if "sbi-susp-type" in self.fixes else args[0]:
            return _INVALID
        if not self.in_memslot(args[1] & ~_PAGE, 1):
            return SbiReturn(SBI_ERR_INVALID_ADDRESS)
        if not all(v.stopped for v in self.vm_vcpus(vcpu) if v is not vcpu):
            return SbiReturn(SBI_ERR_DENIED)
        self.kvm_riscv_vcpu_sbi_request_reset(vcpu, args[1], args[2])
        return _TO_USER_SPACE

    @kernel_function("kvm_sbi_ext_srst_handler")
    def _srst(self, vcpu: Vcpu, fid: int, args: tuple[int, ...]) -> SbiReturn:
        """kvm_riscv_vcpu_sbi_system_reset(): no vcpu goes on until user space says so."""
        known = args[0] & _U32 in (_SHUTDOWN, _COLD_REBOOT, _WARM_REBOOT)
        if not function_of("srst", fid) or not known:
            return _UNKNOWN
        for each in self.vm_vcpus(vcpu):
            each.stopped = True
        return _TO_USER_SPACE

    @kernel_function("kvm_sbi_ext_sta_handler")
    def _sta(self, vcpu: Vcpu, fid: int, args: tuple[int, ...]) -> SbiReturn:
        if not function_of("sta", fid):
            return _UNKNOWN
        return SbiReturn(self.kvm_sbi_sta_steal_time_set_shmem(vcpu, *args[:3]))

    @kernel_function()
    def kvm_sbi_sta_steal_time_set_shmem(self, vcpu: Vcpu, lo: int, hi: int, flags: int) -> int:
        if flags & _U32:
            return SBI_ERR_INVALID_PARAM
        if lo == _LONG and hi == _LONG:
            vcpu.shmem = INVALID_GPA
            return SBI_SUCCESS
        if lo % 64:
            return SBI_ERR_INVALID_PARAM
        if hi or not self.in_memslot(lo, 64):
            return SBI_ERR_INVALID_ADDRESS
        vcpu.shmem = lo
        return SBI_SUCCESS

    @kernel_function()
    def kvm_riscv_vcpu_record_steal_time(self, vcpu: Vcpu) -> None:
        """At the first entry after a load: an area that is in no memory slot is forgotten."""
        if vcpu.shmem != INVALID_GPA and not self.in_memslot(vcpu.shmem & ~_PAGE, 1):
            vcpu.shmem = INVALID_GPA

    # Who else is in the VM, and what memory it has -------------------------------------------

    def vm_vcpus(self, vcpu: Vcpu) -> list[Vcpu]:
        """kvm_for_each_vcpu()"""
        return [v for v in self.vcpus.values() if v.vm == vcpu.vm and v.created]

    def vcpu_by_id(self, vcpu: Vcpu, number: int) -> Vcpu | None:
        """kvm_get_vcpu_by_id()"""
        return next((v for v in self.vm_vcpus(vcpu) if v.id == number), None)

    def in_memslot(self, address: int, size: int) -> bool:
        """Whether a VM has memory there. Each has one slot."""
        low, high = self.host.memory
        return low <= address and address + size <= high
