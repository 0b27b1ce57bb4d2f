"""Which kernel is chosen of an index, and which packages it consists of."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.rig import debian
from harness.rig.apt import Apt, Offer, madison, version_key
from harness.rig.debian import SUITES, candidates, choose, fetch, packages, series_of
from harness.rig.sources import Mirrors

INDEX = """\
linux-image-6.1.0-9-arm64-unsigned |  6.1.27-1 | http://m.example b/main arm64 Packages
linux-image-6.1.0-56-arm64 |  6.1.192-2 | http://m.example b/main arm64 Packages
linux-image-6.1.0-56-arm64-unsigned |  6.1.192-2 | http://m.example b/main arm64 Packages
linux-image-6.1.0-57-cloud-arm64 |  6.1.192-3 | http://m.example b/main arm64 Packages
linux-image-6.1.0-57-rt-arm64 |  6.1.192-3 | http://m.example b/main arm64 Packages
linux-image-6.1.0-57-arm64-dbg |  6.1.192-3 | http://m.example b/main arm64 Packages
linux-image-arm64 |  6.1.192-3 | http://m.example b/main arm64 Packages
linux-image-6.12.9+deb12-arm64 |  6.12.9-1~bpo12+1 | http://m.example b/main arm64 Packages
linux-image-7.3.4+deb13-arm64 | 7.3.4-1~bpo13+1 | http://m.example s/main arm64 Packages
linux-binary-7.3.4+deb13-arm64 | 7.3.4-1~bpo13+1 | http://m.example s/main arm64 Packages
linux-modules-7.3.4+deb13-arm64 | 7.3.4-1~bpo13+1 | http://m.example s/main arm64 Packages
linux-base-7.3.4+deb13-arm64 | 7.3.4-1~bpo13+1 | http://m.example s/main arm64 Packages
linux-image-7.3-arm64 | 7.3~rc7-1~exp1 | http://m.example s/main arm64 Packages
linux | 7.3.4-1 | http://m.example s/main Sources
"""
OFFERS = list(madison(INDEX))


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("6.1", "linux-image-6.1.0-56-arm64-unsigned"),
        ("6.12", "linux-image-6.12.9+deb12-arm64"),
        ("7.3", "linux-image-7.3.4+deb13-arm64"),
        ("linux-image-6.1.0-9-arm64-unsigned", "linux-image-6.1.0-9-arm64-unsigned"),
        ("7.2", None),
        ("linux-image-6.1.0-1-arm64", None),
    ],
)
def test_the_newest_of_a_series(name: str, package: str | None) -> None:
    """Not 6.12 for 6.1, no flavour of a name of its own, no release candidate."""
    chosen = choose(name, OFFERS)
    assert (chosen.package if chosen else None) == package


def test_older_ones_come_next() -> None:
    """For an archive that has lost the newest."""
    assert [o.package for o in candidates("6.1", OFFERS)] == [
        "linux-image-6.1.0-56-arm64-unsigned",
        "linux-image-6.1.0-56-arm64",
        "linux-image-6.1.0-9-arm64-unsigned",
    ]


def test_the_packages_of_a_kernel() -> None:
    """Since v7 the image has packages of its own."""
    old, new = OFFERS[2], OFFERS[8]
    assert packages(old, OFFERS) == [old]
    assert [o.package.split("-")[1] for o in packages(new, OFFERS)] == ["base", "binary", "modules"]


VERSIONS = "1.0~rc1-1 1.0-1~bpo1 1.0-1 1.0-1+b1 1.0-2 1.0-10 1.0a-1 1.0+b-1 1.9-1 1.10-1 1:0.1-1"


@pytest.mark.parametrize(("low", "high"), list(pairwise(VERSIONS.split())))
def test_versions_sort_as_dpkgs(low: str, high: str) -> None:
    assert version_key(low) < version_key(high)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("6.11", "did you mean '6.1'?"),
        ("v7.3", "expected 5.10, 6.1, 6.12, 7.2 or 7.3, a package such as"),
        ("linux-image-6.11.2-arm64", "the suites of series 6.11 are not known"),
        ("linux-image-amd64", "a package such as linux-image-6.1.0-56-arm64-unsigned"),
    ],
)
def test_no_such_kernel(name: str, says: str) -> None:
    with pytest.raises(HarnessError, match="--kernel") as caught:
        series_of(name)
    assert says in str(caught.value)


def test_apts_own_configuration(tmp_path: Path) -> None:
    """Security updates have a mirror of their own; nothing of the system's settings is used."""
    apt = Apt("arm64", ("bookworm", "bookworm-security"))
    found = Mirrors("http://m.example/debian", "http://m.example/debian-security")
    assert list(apt.sources(found, Path("/k.gpg"))) == [
        "deb [arch=arm64 signed-by=/k.gpg] http://m.example/debian bookworm main",
        "deb [arch=arm64 signed-by=/k.gpg] http://m.example/debian-security bookworm-security main",
    ]
    with pytest.raises(HarnessError, match="name no archive of Debian"):
        list(apt.sources(Mirrors(), None))
    lines = list(apt.configuration(tmp_path))
    assert f'Dir::State "{tmp_path}/state";' in lines
    assert f'Dir::Etc::SourceList "{tmp_path}/sources.list";' in lines
    assert 'APT::Architectures { "arm64"; };' in lines


def test_what_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next older one is tried, and nothing is left of the first."""
    said: list[str] = []

    def download(self: Apt, offers: list[Offer], folder: Path) -> list[Path]:
        (folder / "half.deb").write_text("!<arch>")
        raise HarnessError(f"{offers[0].package}: 404")

    monkeypatch.setattr(debian, "_offered", lambda *_: dict.fromkeys(OFFERS, Apt("arm64", ("s",))))
    monkeypatch.setattr(Apt, "download", download)
    with pytest.raises(HarnessError, match="no kernel could be fetched"):
        fetch("6.1", False, said.append)
    assert said == [
        "fetching linux-image-6.1.0-56-arm64-unsigned 6.1.192-2",
        "linux-image-6.1.0-56-arm64-unsigned: 404",
        "fetching linux-image-6.1.0-56-arm64 6.1.192-2",
        "linux-image-6.1.0-56-arm64: 404",
    ]
    assert not any(debian._place(OFFERS[0]).parent.iterdir())


def test_what_is_cached_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    place = debian._place(OFFERS[1])
    (place / "modules").mkdir(parents=True)
    for name in ("01-b.ko", "00-a.ko"):
        (place / "modules" / name).write_text("")
    (place / "about").write_text("6.1.0-56-arm64\nlinux-image-6.1.0-56-arm64\n6.1.192-2\n")
    monkeypatch.setattr(debian, "_offered", None)
    kernel = fetch("6.1", False, print)
    assert kernel.release == "6.1.0-56-arm64"
    assert [path.name for path in kernel.modules] == ["00-a.ko", "01-b.ko"]


def test_every_series_has_suites() -> None:
    assert all(SUITES.values())
