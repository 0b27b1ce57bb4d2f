"""Which mirrors of Debian the machine's own sources name."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.rig.sources import Mirrors, mirrors

OURS = Mirrors("http://mirror.example/debian", "http://mirror.example/debian-security")

ONE_LINE = """\
# deb http://no.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main contrib # a mirror
deb-src http://no.example/debian bookworm main
deb http://mirror.example/debian-security bookworm-security main
"""
DEB822 = """\
Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 AAAA
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://mirror.example/debian-security
Suites: trixie-security
Components: main
"""


def put(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [("sources.list", ONE_LINE), ("sources.list.d/debian.sources", DEB822)],
)
def test_both_styles(tmp_path: Path, name: str, text: str) -> None:
    put(tmp_path, name, text)
    assert mirrors(tmp_path) == OURS


@pytest.mark.parametrize(
    "text",
    [
        "deb https://packages.example/debian bookworm stable\n",
        "deb https://packages.example/debian/12/prod bookworm main\n",
        "deb https://packages.example/debian bookworm-pgdg main\n",
        "deb http://ubuntu.example/ubuntu noble main\n",
        "deb\ndeb [ http\n\0\n",
    ],
)
def test_other_archives_are_not_debians(tmp_path: Path, text: str) -> None:
    """Others have suites named after Debian's."""
    put(tmp_path, "sources.list", text)
    assert mirrors(tmp_path) == Mirrors()


def test_a_source_that_is_disabled(tmp_path: Path) -> None:
    put(tmp_path, "sources.list.d/a.sources", "Enabled: no\n" + DEB822.partition("\n\n")[0])
    assert mirrors(tmp_path) == Mirrors()


def test_a_list_of_mirrors(tmp_path: Path) -> None:
    """As the images of Debian for clouds have it."""
    uri = "mirror+file:///etc/apt/mirrors/debian.list"
    put(tmp_path, "sources.list", f"deb {uri} trixie main\n")
    assert mirrors(tmp_path).main == uri


def test_no_sources(tmp_path: Path) -> None:
    assert mirrors(tmp_path / "nothing") == Mirrors()
