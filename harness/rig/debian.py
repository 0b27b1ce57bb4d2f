"""Debian's kernels for arm64: which suites have them, which is chosen, and where they are kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from harness import cache
from harness.errors import HarnessError, nearest, one_of
from harness.rig.apt import Apt, Offer, by_age, newest, scratch, version_key
from harness.rig.kernels import Kernel, opened, unpack
from harness.rig.tools import call

ARCH = "arm64"
# The suites that have a series of kernels, oldest series first.
SUITES = {
    "5.10": ("bullseye", "bullseye-security"),
    "6.1": ("bookworm", "bookworm-security"),
    "6.12": ("trixie", "trixie-security"),
    "7.2": ("trixie-backports", "sid"),
    "7.3": ("trixie-backports", "sid", "experimental"),
}
NEWEST = list(SUITES)[-1]
_TRIES = 2  # packages of one suite that cannot be fetched
_BUSYBOX = "trixie"
_LAYOUT = "kernels-1"  # of what is kept of a kernel; another number when that changes
# The flavour has no name of its own: neither cloud, rt nor 16k.
_IMAGE = re.compile(r"linux-(image|binary)-(?P<release>[0-9][0-9.]*\S*?-arm64)(?P<end>-unsigned)?")
_FLAVOURS = re.compile(r"-(cloud|rt|16k)-")
_SERIES = re.compile(r"\d+\.\d+")


class Known(NamedTuple):
    """A kernel of a series: what is offered, and what is in the cache."""

    series: str
    offered: Offer | None
    cached: Offer | None


def series_of(name: str) -> str:
    """The series that `6.1` or a package's name means. Raises HarnessError."""
    if name in SUITES:
        return name
    found = _IMAGE.fullmatch(name)
    series = _SERIES.match(found["release"]) if found else None
    if series is None:
        hint = nearest(name, SUITES)
        raise HarnessError(
            f"--kernel {name[:80]!r}: expected {one_of(SUITES)}, a package such as "
            f"linux-image-6.1.0-56-arm64-unsigned, .deb files or a kernel image{hint}"
        )
    if series[0] not in SUITES:
        raise HarnessError(
            f"--kernel {name[:80]}: the suites of series {series[0]} are not known; "
            f"expected one of {one_of(SUITES)}, or the packages as .deb files"
        )
    return series[0]


def choose(name: str, offers: Iterable[Offer]) -> Offer | None:
    """The newest image of a series, or of a package by its name."""
    return next(iter(candidates(name, offers)), None)


def candidates(name: str, offers: Iterable[Offer]) -> list[Offer]:
    """The images of a series, or those of a package's name: the newest first."""
    if name in SUITES:
        return by_age(offer for offer in offers if _is_of(name, offer))
    return by_age(offer for offer in offers if offer.package == name)


def packages(image: Offer, offers: Iterable[Offer]) -> list[Offer]:
    """All packages of a kernel: since v7 the image and the modules are packages of their own."""
    found = _IMAGE.fullmatch(image.package)
    assert found is not None
    whole = [image]
    parts = {f"linux-{part}-{found['release']}" for part in ("binary", "modules", "base")}
    split = [o for o in offers if o.package in parts and o.version == image.version]
    if any(o.package.startswith("linux-modules-") for o in split):
        whole = sorted(set(split))
    return whole


def fetch(name: str, update: bool, say: Callable[[str], None]) -> Kernel:
    """The kernel of a series or a package: of the cache if it is there, else of Debian.

    An archive may have lost what its index offers: then the next older one is taken.
    """
    series = series_of(name)
    cached = choose(name, _cached())
    if cached is not None and not update:
        return opened(_place(cached))
    offers = _offered(series, update, say)
    first: HarnessError | None = None
    failures: Counter[Apt] = Counter()
    for chosen in candidates(name, offers):
        if chosen == cached:
            return opened(_place(cached))
        apt = offers[chosen]
        if failures[apt] == _TRIES:
            continue
        try:
            say(f"fetching {chosen.package} {chosen.version}")
            return unpack_offers(packages(chosen, offers), apt, _place(chosen))
        except HarnessError as error:
            failures[apt] += 1
            first = first or error
            say(f"{error}")
    if first is not None:
        raise HarnessError(f"--kernel {name[:80]}: no kernel could be fetched")
    raise HarnessError(f"--kernel {name[:80]}: {one_of(SUITES[series])} have no such kernel")


def unpack_offers(wanted: list[Offer], apt: Apt, target: Path) -> Kernel:
    """Fetch packages and keep the kernel that is in them."""
    with scratch(target.parent) as place:
        return unpack(apt.download(wanted, Path(place)), target)


def of_files(debs: list[Path], folder: Path) -> Kernel:
    """The kernel in packages that the user has."""
    return unpack(debs, folder / "kernel")


def known(series: str, say: Callable[[str], None]) -> Known:
    """What there is of a series."""
    try:
        offers = _offered(series, False, say)
    except HarnessError as error:
        say(f"{series}: {error}\nonly the cache is listed")
        offers = {}
    return Known(series, choose(series, offers), choose(series, _cached()))


def busybox() -> Path:
    """A static busybox for arm64, of the cache or of Debian."""
    target = cache.folder("rig") / f"busybox-{ARCH}"
    if not target.exists():
        apt = Apt(ARCH, (_BUSYBOX,))
        apt.update()
        chosen = newest(o for o in apt.offers("busybox-static") if o.package == "busybox-static")
        if chosen is None:
            raise HarnessError(f"{_BUSYBOX} has no busybox-static for {ARCH}")
        with scratch(target.parent) as place:
            for deb in apt.download([chosen], Path(place)):
                call(["dpkg-deb", "--extract", str(deb), place])
            found = [p for p in Path(place).rglob("bin/busybox") if p.is_file()]
            if not found:
                raise HarnessError(f"busybox-static {chosen.version} has no bin/busybox")
            found[0].replace(target)
    return target


def _offered(series: str, update: bool, say: Callable[[str], None]) -> dict[Offer, Apt]:
    """All packages of kernels in the suites of a series, as far as the suites can be had."""
    offers: dict[Offer, Apt] = {}
    errors: list[HarnessError] = []
    for suite in SUITES[series]:
        apt = Apt(ARCH, (suite,))
        try:
            apt.update(update)
            found = apt.offers("linux-image-", "linux-binary-", "linux-modules-", "linux-base-")
            offers |= dict.fromkeys(found, apt)
        except HarnessError as error:
            errors.append(error)
    if errors and not offers:
        raise errors[0]
    for each in errors:
        say(f"{each}")
    return offers


def _is_of(series: str, offer: Offer) -> bool:
    found = _IMAGE.fullmatch(offer.package)
    if found is None or _FLAVOURS.search(f"-{found['release']}"):
        return False
    # The release of a package need not be its version: 6.1.0-56 is 6.1.192.
    upstream = offer.version.rpartition(":")[2]
    return bool(re.match(rf"{re.escape(series)}(?!\d)", upstream)) and not _candidate(offer)


def _candidate(offer: Offer) -> bool:
    return "~rc" in offer.version


def _cached() -> list[Offer]:
    return [
        Offer(*map(unquote, path.name.split("_", 1)))
        for path in cache.folder("rig", _LAYOUT).iterdir()
        if "_" in path.name and not path.name.startswith(".")
    ]


def _place(offer: Offer) -> Path:
    name = f"{quote(offer.package, safe='+~')}_{quote(offer.version, safe='+~')}"
    return cache.folder("rig", _LAYOUT) / name


def newer(known_one: Known) -> bool:
    """Whether Debian offers a newer kernel than the cache has."""
    offered, cached = known_one.offered, known_one.cached
    if offered is None or cached is None:
        return offered is not None
    return version_key(offered.version) > version_key(cached.version)
