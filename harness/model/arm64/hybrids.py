"""Kernels that people run and that no mainline release is: a base, and what was backported.

A fix is listed where a public source says that this kernel's branch has it; one
of which no source tells is left out. Neither kernel is built with SME (`sme-broken`), so
its SME fixes count only for `debian-6.1.192+sme-built`, the same tree built against BROKEN.
"""

from __future__ import annotations

from harness.model.catalogue import Backport, Hybrid

# Pushes to the public branches of linux-stable-rc.git, by their lists of commits.
_6_1_2025_04 = "linux-6.1.y of 2025-04-23, for 6.1.135"
_6_1_2025_10 = "CAMj1kXEo-4Rw=Nttbfnf2Bjv7zSomw1FAnNwbCe97i5UmQ7EVA@mail.gmail.com (6.1.y)"
_6_12_2025_03 = "queue/6.12 of 2025-03-25, for 6.12.21"
_6_12_34 = "20250617152419.512865572@linuxfoundation.org (6.12.34-rc1)"
# What `kvm-replay identify` finds in the images that Debian ships with debug information.
_6_1_IMAGE = "the image of linux-image-6.1.0-55-arm64-dbg, 6.1.192-1"
_6_12_IMAGE = "the image of linux-image-6.12.107+deb13-arm64-dbg, 6.12.107-1"

HYBRIDS = (
    Hybrid(
        "debian-6.1.192",
        "v6.1",
        (
            Backport("kvm-prepare", _6_1_2025_04),
            Backport("fp-type", _6_1_2025_04),
            Backport("to-save", _6_1_2025_04),
            Backport("save-and-flush", _6_1_2025_04),
            Backport("no-hyp-host-save", _6_1_2025_04),
            Backport("no-zen-restore", _6_1_2025_04),
            Backport("no-smen-restore", _6_1_2025_04),
            Backport("exit-handlers", _6_1_2025_04),
            Backport("hyp-inline", _6_1_2025_04),
            Backport("cptr-scratch", _6_1_2025_04),
            Backport("eager-zcr", _6_1_2025_04),
            # Recordings of it, rebuilt with SME, show SMEN = 0b01 after every guest exit.
            Backport("sme-reset-smen", "recordings of 6.1.192-2 (docs/recording.md)"),
            Backport("flush-bh", "20250826110940.538650326@linuxfoundation.org (6.1.149-rc1)"),
            Backport("flush-irqs", _6_1_2025_10),
            Backport("pmuserenr-restore", _6_1_IMAGE),
            Backport("vl-sve-storage", _6_1_IMAGE),
            Backport("ffr-pfalse", "CVE-2023-53713 (6.1.39)"),
            Backport("vl-before-alloc", "the source of 6.1.192-3, vec_set_vector_length()"),
            # Without sig-fptype, which it asks for: a bad backport.
            Backport("sig-merge", "the source of 6.1.192-3, fpsimd_update_current_state()"),
            Backport("sve-stale-cpu", _6_1_IMAGE),
            Backport("smccc-no-hint", _6_1_IMAGE),
            Backport("sme-broken", "the source of 6.1.192-3, arch/arm64/Kconfig"),
        ),
    ),
    Hybrid(
        "debian-6.12.107",
        "v6.12",
        (
            Backport("cptr-scratch", _6_12_2025_03),
            Backport("save-and-flush", _6_12_2025_03),
            Backport("no-hyp-host-save", _6_12_2025_03),
            Backport("no-zen-restore", _6_12_2025_03),
            Backport("no-smen-restore", _6_12_2025_03),
            Backport("exit-handlers", _6_12_2025_03),
            Backport("hyp-inline", _6_12_2025_03),
            Backport("eager-zcr", _6_12_2025_03),
            Backport("sme-stale-cpu", _6_12_34),
            Backport("kneon-smstop", _6_12_34),
            Backport("fpmr-sm", _6_12_34),
            Backport("fpmr-exec", _6_12_34),
            Backport("sig-merge", _6_12_34),
            # Recordings of it show fpsimd_last_state.to_save as this sets it.
            Backport("discard-modified", _6_12_34),
            Backport("ptrace-fpmr-partial", _6_12_IMAGE),
        ),
    ),
)
