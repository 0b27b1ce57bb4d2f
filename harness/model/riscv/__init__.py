"""The RISC-V model: ISA extensions, registers and FP/vector state of host, KVM and CPU."""

from __future__ import annotations

from harness.model.riscv.language import RISCV as ARCHITECTURE

__all__ = ["ARCHITECTURE"]
