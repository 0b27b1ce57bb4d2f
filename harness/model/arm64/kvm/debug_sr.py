"""arch/arm64/kvm/hyp/include/hyp/debug-sr.h and arch/arm64/kvm/hyp/nvhe/debug-sr.c"""

from __future__ import annotations

from harness.model.arm64.kvm.debug import Debug
from harness.model.arm64.kvm.state import Vcpu
from harness.model.base import kernel_function
from harness.model.values import Val


class DebugSr(Debug):
    """The world switch of breakpoint registers, profiling and trace."""

    __slots__ = ()

    @kernel_function("__debug_switch_to_guest")
    def debug_switch_to_guest(self, vcpu: Vcpu) -> None:
        if not vcpu.debug.in_use:
            return
        host, sys = self.hyp_host_data, self.cpu.sys
        host.host_debug_state = host.host_debug_state._replace(
            regs=sys.dbgbvr0_el1, regs1=sys.dbgbvr1_el1
        )
        self._set_bvrs(vcpu.debug.dbgbvr0_el1, vcpu.debug.dbgbvr1_el1)

    @kernel_function("__debug_switch_to_host")
    def debug_switch_to_host(self, vcpu: Vcpu) -> None:
        if not vcpu.debug.in_use:
            return
        sys = self.cpu.sys
        vcpu.debug = vcpu.debug._replace(dbgbvr0_el1=sys.dbgbvr0_el1, dbgbvr1_el1=sys.dbgbvr1_el1)
        host = self.hyp_host_data.host_debug_state
        self._set_bvrs(host.regs, host.regs1)
        if "debug-owner" not in self.fixes:
            vcpu.debug = vcpu.debug._replace(in_use=False)

    def _set_bvrs(self, bvr0: Val, bvr1: Val) -> None:
        """restore_debug(): as many as there are."""
        self.set_sys(dbgbvr0_el1=bvr0)
        if self.config.brps > 1:
            self.set_sys(dbgbvr1_el1=bvr1)

    @kernel_function("__debug_save_host_buffers_nvhe")
    def debug_save_host_buffers_nvhe(self) -> None:
        """Stop what the host collects; whether it does is for the buffer's enable bit to say."""
        sys, host = self.cpu.sys, self.hyp_host_data
        spe, trbe = sys.pmblimitr_el1, sys.trblimitr_el1
        host.host_debug_state = host.host_debug_state._replace(
            pmscr_el1=sys.pmscr_el1 if spe else 0,
            trfcr_el1=sys.trfcr_el1 if trbe else 0,
            pmblimitr_el1=spe,
            trblimitr_el1=trbe,
        )
        if spe:
            self.set_sys(pmscr_el1=0)
            if "spe-buffer-off" in self.fixes:
                self.set_sys(pmblimitr_el1=0)
        if trbe:
            self.set_sys(trfcr_el1=0)
            if "trbe-buffer-off" in self.fixes:
                self.set_sys(trblimitr_el1=0)

    @kernel_function("__debug_restore_host_buffers_nvhe")
    def debug_restore_host_buffers_nvhe(self) -> None:
        host = self.hyp_host_data.host_debug_state
        if host.pmblimitr_el1:
            self.set_sys(pmscr_el1=host.pmscr_el1, pmblimitr_el1=host.pmblimitr_el1)
        if host.trblimitr_el1:
            self.set_sys(trfcr_el1=host.trfcr_el1, trblimitr_el1=host.trblimitr_el1)
