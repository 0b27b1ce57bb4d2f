"""arch/arm64/kernel/smccc-call.S: calls to the firmware, which may discard SVE state."""

from __future__ import annotations

from harness.model.arm64.host.state import TIF_FOREIGN_FPSTATE, TIF_SVE
from harness.model.arm64.host.suspend import Suspend
from harness.model.base import kernel_function
from harness.model.values import EMPTY


class Smccc(Suspend):
    """SMCCC calls. Firmware keeps V always, and what lies above if not told otherwise."""

    __slots__ = ()

    @kernel_function("__arm_smccc_sve_check")
    def arm_smccc_sve_check(self) -> bool:
        """Whether the call says that there is no SVE state to keep (ARM_SMCCC_1_3_SVE_HINT)."""
        if not self.test_thread_flag(TIF_FOREIGN_FPSTATE) and self.test_thread_flag(TIF_SVE):
            return False
        return self.system_supports_sve

    @kernel_function("__arm_smccc_smc")
    def arm_smccc_smc(self) -> None:
        """A call to firmware that implements SMCCC v1.3 and makes use of the hint."""
        if "smccc-hint" not in self.fixes or "smccc-no-hint" in self.fixes:
            return
        if self.arm_smccc_sve_check():
            self.cpu.z, self.cpu.p = self.cpu.z.limit(1), EMPTY
