"""Titles as changelogs have them: which concern the model, and how they compare with upstream's."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from harness.cli.upstream import _concerns
from harness.upstream import from_text
from harness.upstream.changelog import key, subsystems
from tests.cli.conftest import Cli

DEBIAN = """\
linux (6.12.9-1) trixie; urgency=medium

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.12.8
    - [arm64] fpsimd: signal: Forbid non-streaming SVE payload on SME-only
      systems (CVE-2026-98745)
    - [arm64] KVM: arm64: Something that
      is new
    - [arm64] dts: a board
    - [riscv64] KVM: Fix a thing nobody knows
    - net: something else
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.12.9
    - [arm64,armhf] KVM: arm64: Something that is new
    - [arm64] Save the SVE state twice

 -- A <a@example.org>  Thu, 26 Nov 2026 18:12:55 +0100
"""
NEW = [
    "arm64  -            [arm64] KVM: arm64: Something that is new",
    "arm64  -            [arm64] Save the SVE state twice",
    "riscv  -            [riscv64] KVM: Fix a thing nobody knows",
]


@pytest.mark.parametrize("packed", [False, True])
def test_a_debian_changelog(cli: Cli, tmp_path: Path, packed: bool) -> None:
    """Wrapped titles are one, one that went to two series is one, a known one is known."""
    path = tmp_path / "changelog"
    path.write_bytes(gzip.compress(DEBIAN.encode()) if packed else DEBIAN.encode())
    ran = cli("upstream", path)
    assert (ran.status, ran.err) == (1, "")
    assert ran.out.splitlines()[:-1] == NEW
    assert ran.out.splitlines()[-1].startswith("4 commits: 1 in the catalogue")


@pytest.mark.parametrize("data", [b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\0xx"])
def test_a_damaged_file(cli: Cli, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "changelog.gz"
    path.write_bytes(data)
    ran = cli("upstream", path)
    assert ran.status in (2, 4)
    assert ran.status == 4 or "a damaged gzip file" in ran.err


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("arm64/fpsimd: Fix it", "[arm64] fpsimd: Fix it (CVE-2026-1)"),
        ("KVM: arm64: Fix it", "[arm64,armhf] KVM: Fix it"),
        ("KVM: arm64: Fix it", "UPSTREAM: KVM: arm64: Fix it"),
        ("KVM: arm64: Fix it", "BACKPORT: FROMGIT: KVM: arm64: Fix  it"),
        ("RISC-V: KVM: Fix it", "[riscv64] KVM: Fix it (regression in 5.17)"),
        ("riscv: vector: Fix it", "[riscv64] vector: Fix it"),
        ('Revert "arm64/sme: Gone"', '[arm64] Revert "arm64/sme: Gone"'),
    ],
)
def test_the_same_title(ours: str, theirs: str) -> None:
    assert key(ours) == key(theirs)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("KVM: arm64: Fix it", 'Revert "KVM: arm64: Fix it"'),
        ("arm64/sme: Fix it", "arm64/sve: Fix it"),
        ("KVM: arm64: Fix it", "KVM: arm64: vgic: Fix it"),
    ],
)
def test_another_title(ours: str, theirs: str) -> None:
    assert key(ours) != key(theirs)


@pytest.mark.parametrize(
    ("arch", "title", "concerns"),
    [
        ("arm64", "KVM: arm64: Fix it", True),
        ("arm64", "arm64/sme: Fix it", True),
        ("arm64", "arm64: ptrace: Fix it", True),
        ("arm64", "[arm64] Restore the SVE state", True),
        ("arm64", 'Revert "arm64/sme: Fix it"', True),
        ("arm64", "[PATCH v2 6.6 3/9] arm64: Restore the SVE state", True),
        ("arm64", "[arm64] Fix a typo", False),
        ("arm64", "arm64: dts: KVM boards", False),
        ("arm64", "RISC-V: KVM: Fix it", False),
        ("arm64", "KVM: x86: Fix it", False),
        ("riscv", "RISC-V: KVM: Fix it", True),
        ("riscv", "[riscv64] Save envcfg of each thread", True),
        ("riscv", "riscv: vector: Fix it", True),
        ("riscv", "[riscv64] fix misalgned trap vector base address", False),
    ],
)
def test_what_concerns_the_model(arch: str, title: str, concerns: bool) -> None:
    assert _concerns(arch, title) is concerns


def test_words_of_a_title() -> None:
    assert subsystems("[arm64,armhf] KVM: arm/arm64: vgic: Fix: it") >= {"arm64", "kvm", "vgic"}
    assert subsystems("A title of none") == frozenset()


def test_lines_of_a_log() -> None:
    """An id and a title, with a bullet or without; an id that is cut short finds its row."""
    log = (
        "fbc7e61195e2 KVM: arm64: One\n- 0123456 arm64/sme: Two\n\nSubject: [PATCH] arm64: Three\n"
    )
    found = [(commit.id, commit.title) for commit in from_text(log)]
    assert found == [
        ("fbc7e61195e2", "KVM: arm64: One"),
        ("0123456", "arm64/sme: Two"),
        (None, "[PATCH] arm64: Three"),
    ]


def test_an_id_that_is_cut_short(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("fbc7e61 KVM: arm64: With another title\n")
    ran = cli("upstream", log)
    assert (ran.status, ran.out.count("\n")) == (0, 1)
