"""Kernels that people run and that no mainline release is: a base, and what was backported.

Each backport was checked in the kernel's source. Its own source is the stable version under which
Debian's changelog has it, or the place in the code if no title shows it.
`tests/model/compare_changelog.py` compares the entries with Debian's changelogs. 6.1 and 6.12 are
not built with SME (`sme-broken`), so their SME fixes count only for `debian-6.1.192+sme-built`, the
same tree built against BROKEN.
"""

from __future__ import annotations

from harness.model.catalogue import Backport, Hybrid

_DEBIAN_6_12_107 = (
    Backport("ptrace-fpmr-partial", "changelog 6.12.5"),
    Backport("cptr-scratch", "changelog 6.12.21"),
    Backport("save-and-flush", "changelog 6.12.21"),
    Backport("no-hyp-host-save", "changelog 6.12.21"),
    Backport("no-zen-restore", "changelog 6.12.21"),
    Backport("no-smen-restore", "changelog 6.12.21"),
    Backport("exit-handlers", "changelog 6.12.21"),
    Backport("hyp-inline", "changelog 6.12.21"),
    Backport("nvhe-tsm-left", "the source of 6.12.118-1, __deactivate_cptr_traps()"),
    Backport("eager-zcr", "changelog 6.12.21"),
    Backport("sme-smtc", "changelog 6.12.34"),
    Backport("sme-stale-cpu", "changelog 6.12.34"),
    Backport("kneon-smstop", "changelog 6.12.34"),
    Backport("fpmr-sm", "changelog 6.12.34"),
    Backport("fpmr-exec", "changelog 6.12.34"),
    Backport("sig-merge", "changelog 6.12.34"),
    Backport("discard-modified", "changelog 6.12.34"),
    Backport("sig-za-alloc", "changelog 6.12.68"),
)

HYBRIDS = (
    Hybrid(
        "debian-5.10.223",
        "v5.10",
        (
            Backport("spe-drained-early", "changelog 5.10.24"),
            Backport("guest-trfcr-trapped", "changelog 5.10.31"),
            Backport("vcpu-reset-fp", "changelog 5.10.37"),
            Backport("mdcr-init", "changelog 5.10.37"),
            Backport("vm-width", "changelog 5.10.42"),
            Backport("debug-index", "changelog 5.10.43"),
            Backport("psci-reset-first", "changelog 5.10.68"),
            Backport("sve-alloc-size", "changelog 5.10.68"),
        ),
    ),
    Hybrid(
        "debian-6.1.192",
        "v6.1",
        (
            Backport("sig-sme-only", "changelog 6.1.7"),
            Backport("vcpu-flags-atomic", "changelog 6.1.26"),
            Backport("pmuserenr-restore", "changelog 6.1.36"),
            Backport("ffr-pfalse", "changelog 6.1.39"),
            Backport("vl-sve-storage", "changelog 6.1.42"),
            Backport("vl-before-alloc", "changelog 6.1.43"),
            Backport("ptrace-v-streaming", "changelog 6.1.45"),
            Backport("vl-sme-target", "changelog 6.1.45"),
            Backport("sme-only-sync", "changelog 6.1.45"),
            Backport("ptrace-ssve-no-sve", "changelog 6.1.45"),
            Backport("ptrace-ssve-setup", "changelog 6.1.47"),
            # Without d7b77a0d565b, which is about ZT0: 6.1 has no SME2.
            Backport("sme-resume", "changelog 6.1.80"),
            Backport("sve-stale-cpu", "changelog 6.1.120"),
            Backport("smccc-no-hint", "changelog 6.1.120"),
            Backport("kvm-prepare", "changelog 6.1.135"),
            Backport("fp-type", "changelog 6.1.135"),
            # Without 1192b93ba352, which changes no step.
            Backport("to-save", "changelog 6.1.135"),
            Backport("save-and-flush", "changelog 6.1.135"),
            Backport("no-hyp-host-save", "changelog 6.1.135"),
            Backport("no-zen-restore", "changelog 6.1.135"),
            # Without sme-reset-smen: with SME, VHE's kernel is left with SMEN = 0b00.
            Backport("no-smen-restore", "changelog 6.1.135"),
            Backport("exit-handlers", "changelog 6.1.135"),
            Backport("hyp-inline", "changelog 6.1.135"),
            Backport("cptr-scratch", "changelog 6.1.135"),
            Backport("nvhe-tsm-left", "the source of 6.1.192-3, __deactivate_cptr_traps()"),
            Backport("eager-zcr", "changelog 6.1.135"),
            Backport("sme-alloc-keep", "changelog 6.1.140"),
            Backport("sme-stale-cpu", "changelog 6.1.142"),
            # Without sig-fptype, which it asks for: a bad backport.
            Backport("sig-merge", "changelog 6.1.142"),
            Backport("flush-bh", "changelog 6.1.149"),
            # The changelog of 6.1.156 has it; mainline has no commit of that title.
            Backport("flush-irqs", "the source of 6.1.192-3, fpsimd_save_and_flush_cpu_state()"),
            Backport("sig-za-alloc", "changelog 6.1.162"),
            Backport("sig-sve-restore", "changelog 6.1.162"),
            Backport("sig-sve-payload", "changelog 6.1.191"),
            # It came in the same patch, e060d9069b49.
            Backport("sig-payload", "the source of 6.1.192-3, restore_sve_fpsimd_context()"),
            Backport("sme-broken", "the source of 6.1.192-3, arch/arm64/Kconfig"),
        ),
    ),
    Hybrid("debian-6.12.107", "v6.12", _DEBIAN_6_12_107),
    Hybrid(
        "debian-6.12.118",
        "v6.12",
        (
            *_DEBIAN_6_12_107,
            Backport("sig-read-context", "changelog 6.12.113"),
            Backport("sig-sm-fpsimd", "changelog 6.12.113"),
            Backport("sig-payload", "changelog 6.12.113"),
            Backport("sig-sve-payload", "changelog 6.12.113"),
            Backport("suspend-tpidr2", "the source of 6.12.118-1, cpu_do_suspend()"),
        ),
    ),
    Hybrid(
        "debian-7.2.13",
        "v7.2",
        (
            Backport("sig-sve-payload", "changelog 7.2.10"),
            Backport("ptrace-header-alone", "the source of 7.2.13-1, sve_init_header_from_task()"),
        ),
    ),
    # Nothing that is modelled came to 7.3.1 to 7.3.4.
    Hybrid("debian-7.3.4", "v7.3", ()),
)
