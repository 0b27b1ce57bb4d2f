"""Kernels that people run and that no mainline release is: a base, and what was backported.

Each backport was checked in the kernel's source. Its own source is the stable version under which
Debian's changelog has it. `tests/model/compare_changelog.py` compares the entries with the
changelogs; `tests/model/data/changelog-explained.tsv` says where the two differ, and why.
"""

from __future__ import annotations

from harness.model.catalogue import Backport, Hybrid

HYBRIDS = (
    # Without vector-ctx-leak: 6.12.114's kvm_riscv_vcpu_alloc_vector_context() frees
    # guest_context's buffer, and in 6.12 the one that leaks is guest_reset_context's.
    Hybrid(
        "debian-6.12.118",
        "v6.12",
        (
            Backport("sbi-hsm-suspend-status", "changelog 6.12.18"),
            Backport("sbi-hsm-suspend-type", "changelog 6.12.18"),
            Backport("sbi-ipi-errors", "changelog 6.12.18"),
            Backport("sbi-time-errors", "changelog 6.12.18"),
            Backport("sbi-hfence-errors", "changelog 6.12.35"),
            Backport("vlenb-size-check", "changelog 6.12.45"),
            Backport("hlv-guest-fault", "changelog 6.12.63"),
            Backport("ptrace-v-vlenb", "changelog 6.12.75"),
            Backport("irq-pending-serial", "changelog 6.12.101"),
            Backport("sbi-hsm-status-error", "changelog 6.12.112"),
            Backport("cbo-zero-all-harts", "changelog 6.12.114"),
            Backport("envcfg-per-thread", "changelog 6.12.114"),
            Backport("sum-per-thread", "changelog 6.12.114"),
        ),
    ),
    Hybrid(
        "debian-7.2.13",
        "v7.2",
        (
            # The changelog calls it the revert of pmm-with-abi.
            Backport("pmm-without-abi", "changelog 7.2.7"),
            Backport("sbi-hsm-status-error", "changelog 7.2.9"),
            Backport("vsip-hvip", "changelog 7.2.9"),
            Backport("futex-untag", "changelog 7.2.11"),
            Backport("ptrace-cfi-absent", "changelog 7.2.11"),
            Backport("ptrace-zeroed", "changelog 7.2.11"),
        ),
    ),
    # Nothing that a row is about: its two changes of user-space CFI and the one of SBI's IPI are in
    # looked-at.tsv.
    Hybrid("debian-7.3.4", "v7.3", ()),
)
