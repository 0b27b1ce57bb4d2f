"""The script that compares an entry of the catalogue with a changelog, and both entries by it."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.model import ARCHITECTURES, architecture
from harness.model.catalogue import Backport, Catalogue, Commit, Fix, Hybrid
from harness.upstream.changelog import Title, key, titles, version_of
from tests.model import compare_changelog
from tests.model.compare_changelog import (
    EXPLAINED,
    Log,
    differences,
    entry,
    extract,
    main,
    reasons,
)

DATA = Path(__file__).parent / "data"
ENTRIES = [(arch, name) for arch in ARCHITECTURES for name in architecture(arch).catalogue.hybrids]

SMALL = """\
linux (6.1.9-2) stable; urgency=medium

  * [arm64] KVM: arm64: The distribution's
    own
  * Bump ABI to 9

 -- A <a@example.org>  Thu, 26 Nov 2026 18:12:56 +0100

linux (6.1.9-1) stable; urgency=medium

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.1.8
    - [arm64] fpsimd: A fix (CVE-2026-1)
    - [arm64,armhf] KVM: arm64: In four parts: one
      and the same()
      + sve: A part of another
    - [arm64] Revert "arm64/sme: Gone"
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.1.9
    - [arm64] Revert "arm64: Back"
    - [arm64] Reapply "arm64: Back"

 -- A <a@example.org>  Thu, 26 Nov 2026 18:12:55 +0100

linux (6.1.7-1) stable; urgency=medium

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.1.7
    - [arm64] sme: Gone
    - [arm64] Back
    - [arm64] Revert "arm64: Of the base"

  [ B ]
  * [arm64] sve: Too early?

linux (6.0.9-1) stable; urgency=medium

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.0.9
    - [arm64] sve: In another series
"""


def row(id: str, *named: str, landed: str | None = "v6.16") -> Fix:
    commits = tuple(Commit(f"{n:012x}", title) for n, title in enumerate(named))
    return Fix(id, "rework", landed, "a -> b", commits)


ROWS = (
    row("fix", "arm64/fpsimd: A fix"),
    row("parts", "KVM: arm64: In four parts: one and the same()", "KVM: arm64: Another"),
    row("twice", "KVM: arm64: The distribution's own", "KVM: arm64: The distribution's own"),
    row("part", "arm64/sve: A part of another"),
    row("gone", "arm64/sme: Gone"),
    row("back", "arm64: Back"),
    row("base", "arm64: Of the base", landed="v6.1"),
    row("other", "arm64/sve: In another series"),
    row("no-commit", landed=None),
)


def small(*backports: tuple[str, str], explained: dict[str, str] | None = None) -> list[str]:
    """What differs between the small changelog and an entry, a line each."""
    hybrid = Hybrid("d-6.1.9", "v6.1", tuple(Backport(*b) for b in backports))
    log = Log(titles(SMALL), (6, 1), (6, 1, 9))
    found = differences(Catalogue(ROWS, (hybrid,)), hybrid, log, explained or {})
    return [f"{d.row}: {d.kind}: {d.detail}: {d.reason}" for d in found]


AGREED = (
    ("fix", "changelog 6.1.8"),
    ("twice", "changelog 6.1.9"),
    ("part", "changelog 6.1.8"),
    ("back", "changelog 6.1.9"),
)
PARTS = "parts: partly in the changelog, not in the entry: 6.1.8, 1 of 2 commits: None"
BASE = "base: reverted in the changelog, in the entry: arm64: Of the base: None"


# The entries -----------------------------------------------------------------------


def stored(arch: str, name: str) -> Path:
    """The changelog of an entry."""
    return (DATA if arch == "arm64" else DATA / arch) / f"{name}.changelog"


@pytest.mark.parametrize(("arch", "name"), ENTRIES)
def test_every_entry_agrees_with_its_changelog(
    arch: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every difference between an entry and its changelog has a reason."""
    assert main([str(stored(arch, name)), name, "--arch", arch]) == 0
    out = capsys.readouterr().out
    assert "NOT EXPLAINED" not in out
    assert out.endswith(", 0 unexplained differences\n")


def test_what_is_new_in_the_next_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The changelog of a later version says what an entry for that version would have more."""
    log = str(DATA / "debian-6.12.107.changelog")
    assert main([log, "debian-6.12.107", "--version", "6.12.118"]) == 1
    new = [x for x in capsys.readouterr().out.splitlines() if x.startswith("NOT EXPLAINED")]
    assert [x.split(": ")[1:3] for x in new] == [
        ["sig-sm-fpsimd", "in the changelog, not in the entry"],
        ["sig-payload", "in the changelog, not in the entry"],
        ["sig-read-context", "in the changelog, not in the entry"],
        ["sig-sve-payload", "in the changelog, not in the entry"],
    ]


@pytest.mark.parametrize(("arch", "name"), ENTRIES)
def test_the_stored_changelogs_are_extracts(arch: str, name: str) -> None:
    """A stored changelog is what the script makes of a changelog, also of itself."""
    catalogue, hybrid = entry(name, arch)
    text = stored(arch, name).read_text(encoding="utf-8")
    assert extract(text, catalogue, version_of(hybrid.base[1:])) == text


def test_every_reason_names_an_entry() -> None:
    """The table of reasons is about kernels and rows that exist."""
    text = EXPLAINED.read_text(encoding="utf-8")
    lines = [x for x in text.splitlines() if not x.startswith("#")]
    found = [reasons(text, name, architecture(arch).catalogue) for arch, name in ENTRIES]
    assert sum(map(len, found)) == len(lines)


# Titles ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "upstream"),
    [
        ("[arm64] fpsimd: A (CVE-2026-1)", "arm64/fpsimd: A"),
        ("[arm64,armhf] KVM: arm64: A() (Closes: #1)", "KVM: arm64: A()"),
        ("[arm64] KVM: A (regression in 5.17)", "KVM: arm64: A"),
        ("KVM: arm64: A", "KVM: arm64: A"),
        ("[arm64] KVM: arm64/sve: A", "KVM: arm64/sve: A"),
        ('[arm64] Revert "arm64: A"', 'Revert "arm64: A"'),
        ('[arm64] Revert "Revert "arm64: A""', 'Reapply "arm64: A"'),
        ("[riscv64] KVM: A", "RISC-V: KVM: A"),
        ("[riscv64] A", "riscv: A"),
        ("KVM: riscv: A", "RISC-V: KVM: A"),
    ],
)
def test_titles_that_are_the_same(distribution: str, upstream: str) -> None:
    assert key(distribution) == key(upstream)


@pytest.mark.parametrize(
    ("one", "other"),
    [("A: B", "B"), ('Revert "arm64: A"', "arm64: A"), ("arm64: A()", "arm64: A")],
)
def test_titles_that_are_not(one: str, other: str) -> None:
    assert key(one) != key(other)


def test_items_of_a_changelog() -> None:
    """Wrapped titles are joined; what is under no stable version is of the package's own."""
    found = list(titles(SMALL))
    assert found[0] == Title((6, 1, 9), 1, "[arm64] KVM: arm64: The distribution's own")
    assert (
        Title((6, 1, 8), 2, "[arm64,armhf] KVM: arm64: In four parts: one and the same()") in found
    )
    assert Title((6, 1, 8), 2, "sve: A part of another") in found
    assert Title((6, 1, 7), 3, "[arm64] sve: Too early?") in found
    assert found[-1] == Title((6, 0, 9), 4, "[arm64] sve: In another series")


# Differences -----------------------------------------------------------------------------


def test_what_agrees_is_not_told() -> None:
    """Found and listed, reverted and not listed, in another series and not listed."""
    assert small(*AGREED) == [PARTS, BASE]


def test_what_the_entry_lacks() -> None:
    found = small(*AGREED[1:])
    assert found[0] == "fix: in the changelog, not in the entry: 6.1.8 arm64/fpsimd: A fix: None"


@pytest.mark.parametrize(
    ("id", "source", "reason"),
    [
        ("gone", "changelog 6.1.7", "None"),
        ("gone", "the source, f()", "the source, f()"),
        ("no-commit", "the source, f()", "the source, f()"),
    ],
)
def test_what_the_changelog_lacks(id: str, source: str, reason: str) -> None:
    """A source that is not a changelog explains it."""
    found = small(*AGREED, (id, source))
    assert f"{id}: in the entry, not in the changelog: {source}: {reason}" in found


def test_what_is_there_in_part() -> None:
    kind = "parts: partly in the changelog, in the entry: 6.1.8, 1 of 2 commits"
    assert f"{kind}: None" in small(*AGREED, ("parts", "changelog 6.1.8"))
    assert f"{kind}: the source, f()" in small(*AGREED, ("parts", "the source, f()"))


def test_another_version() -> None:
    found = small(("fix", "changelog 6.1.7"), *AGREED[1:])
    detail = "6.1.8, the entry says: changelog 6.1.7"
    assert found[0] == f"fix: in another version of the changelog: {detail}: None"


def test_a_reason_explains_a_row() -> None:
    """And one that explains nothing is told."""
    found = small(*AGREED, explained={"parts": "one is a comment", "base": "x", "fix": "y"})
    assert found[0] == PARTS.replace("None", "one is a comment")
    assert found[2] == "fix: explained without need: y: None"


# The script --------------------------------------------------------------------------------


def test_ways_to_give_a_changelog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain, gzipped, and from standard input, it is the same."""
    name = "debian-6.12.107"
    data = (DATA / f"{name}.changelog").read_bytes()
    packed = tmp_path / "changelog.gz"
    packed.write_bytes(gzip.compress(data))
    assert main([str(packed), name]) == 0
    out = capsys.readouterr().out
    for given in (data, packed.read_bytes()):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert main(["-", name]) == 0
        assert capsys.readouterr().out == out
    assert main([str(packed), name, "--extract"]) == 0
    assert capsys.readouterr().out == data.decode()


@pytest.mark.parametrize(
    ("text", "args", "message"),
    [
        ("hello\n", ["debian-6.1.192"], "no package in it: this is not a Debian changelog"),
        ("  * a\n", ["debian-6.1.192"], "line 1: an item before the first package"),
        (SMALL, ["debian-6.1.192"], "the changelog ends at 6.1.9, and 6.1.192 is wanted"),
        (SMALL, ["debian-6.12.107"], "the changelog has nothing of that series, and 6.12.107 is"),
        (SMALL, ["debian-6.1"], "'debian-6.1' is not an entry: debian-5.10.223, debian-6.1.192"),
        (SMALL, ["v6.1"], "'v6.1' is not an entry"),
        (SMALL, ["debian-6.1.192", "--version", "6.12.9"], "is of 6.1, and 6.12.9 is not"),
        (SMALL, ["debian-6.1.192", "--version", "new"], "'new' is not a version"),
        ("linux (one) a; b\n", ["debian-6.1.192"], "'one' is not a version"),
        ("\x1f\x8b", ["debian-6.1.192"], "No such file"),
    ],
    ids=lambda v: str(v)[:24] if isinstance(v, str) else v[-1],
)
def test_bad_input(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    args: list[str],
    message: str,
) -> None:
    """The exit status is 2, and a line says what is wrong."""
    path = tmp_path / "changelog"
    if not text.startswith("\x1f"):
        path.write_text(text, encoding="utf-8")
    assert main([str(path), *args]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("compare_changelog: ")
    assert message in said.err


@pytest.mark.parametrize("data", [b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\0xx", b"linux \xff"])
def test_a_damaged_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "changelog.gz"
    path.write_bytes(data)
    assert main([str(path), "debian-6.1.192"]) == 2


def test_a_bad_table_of_reasons() -> None:
    with pytest.raises(HarnessError, match="line 2: 2 columns, expected 3"):
        reasons("# a\nb\tc\n", "b", architecture("arm64").catalogue)


def test_the_script_by_itself() -> None:
    """It runs as its docstring says."""
    log = DATA / "debian-6.1.192.changelog"
    command = (sys.executable, compare_changelog.__file__, str(log), "debian-6.1.192")
    root = Path(compare_changelog.__file__).parents[2]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
