"""The arm64 model: FP/SIMD, SVE and SME state of host, KVM and CPU."""

from __future__ import annotations

from harness.model.arm64.language import ARM64 as ARCHITECTURE

__all__ = ["ARCHITECTURE"]
