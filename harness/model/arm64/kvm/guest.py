"""arch/arm64/kvm/guest.c: KVM_GET_ONE_REG and KVM_SET_ONE_REG.

Registers of a vcpu are its saved image: the ioctl holds the vcpu's mutex, so
the vcpu is not loaded anywhere.
"""

from __future__ import annotations

from harness.model.arm64.cpu.state import FFR
from harness.model.arm64.host.state import SveState
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.program import Program
from harness.model.base import kernel_function
from harness.model.values import ZERO, Quads, Val


class Guest(Program):
    """User space's view of a vcpu's registers. `errno` is the last ioctl's outcome."""

    errno = ""

    @kernel_function()
    def kvm_arm_set_reg(self, vcpu: Vcpu, kind: str, n: int, vals: Quads) -> None:
        self.errno = self.one_reg_errno(vcpu, kind)
        if self.errno:
            return
        due = vcpu.logical
        if kind in ("fpsr", "fpcr"):
            setattr(vcpu, kind, vals[0])
            due = due._replace(fpsr=vals[0]) if kind == "fpsr" else due._replace(fpcr=vals[0])
        elif kind == "v":
            vcpu.fpsimd_state = vcpu.fpsimd_state.set(n, vals)
            due = due._replace(z=vcpu.fpsimd_state)
        else:
            z, p = vcpu.sve_state or SveState()
            quads = self.spread(vals, vcpu.sve_max_vl)
            if kind == "z":
                z = z.set(n, quads)
            else:
                p = p.set(FFR if kind == "ffr" else n, quads)
            vcpu.sve_state = SveState(z, p)
            vq = self.entitled_vq(vcpu)
            due = due._replace(z=z.limit(vq), p=p.limit(vq))
        vcpu.logical = due

    @kernel_function()
    def kvm_arm_get_reg(self, vcpu: Vcpu, kind: str, n: int) -> None:
        self.errno = self.one_reg_errno(vcpu, kind)
        if self.errno:
            return
        seen: tuple[Val, ...]
        if kind in ("fpsr", "fpcr"):
            seen = (getattr(vcpu, kind),)
        elif kind == "v":
            seen = (vcpu.fpsimd_state.get(n),)
        else:
            z, p = vcpu.sve_state or SveState()
            bank = z if kind == "z" else p
            n = FFR if kind == "ffr" else n
            seen = tuple(bank.get(n, q) for q in range(vcpu.sve_max_vl)) or (ZERO,)
        self.seen = seen

    def one_reg_errno(self, vcpu: Vcpu, kind: str) -> str:
        """get_core_reg(), get_sve_reg(): EINVAL for V of an SVE vcpu, ENOENT for what is not."""
        if kind == "v" and vcpu.sve:
            return "EINVAL"
        if kind in ("z", "p", "ffr") and not vcpu.sve:
            return "ENOENT"
        if kind in ("za", "svcr"):
            return "ENOENT"  # no SME guests in mainline (v7.2)
        return ""
