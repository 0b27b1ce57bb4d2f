"""apt with a configuration of its own: packages of any suite and architecture, without root.

The index and all settings live in the cache folder. The system's apt is not changed; its
proxies and its mirrors of Debian are used.
"""

from __future__ import annotations

import fcntl
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness import cache, files
from harness.errors import HarnessError
from harness.rig.sources import Mirrors, mirrors
from harness.rig.tools import call

_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TRUSTED = Path("/etc/apt/trusted.gpg.d")
_FRESH = 6 * 3600  # seconds for which an index is used as it is
_MADISON = re.compile(r"\s*(?P<package>\S+) \|\s+(?P<version>\S+) \| \S+ \S+ \S+ Packages\s*")


class Offer(NamedTuple):
    """A package as an index offers it."""

    package: str
    version: str


class Apt(NamedTuple):
    """The packages of some suites for one architecture."""

    arch: str
    suites: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return cache.folder("rig", "apt", "-".join((self.arch, *self.suites)))

    def update(self, anew: bool = False) -> None:
        """Fetch the index, unless it is fresh. Raises HarnessError."""
        stamp = self.folder / "updated"
        with open(self.folder / "in-use", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # apt does not wait for another apt
            if not anew and stamp.exists() and 0 <= time.time() - stamp.stat().st_mtime < _FRESH:
                return
            self._configure()
            # Otherwise an index that cannot be fetched is only a warning, and is missing.
            self._call("apt-get", "-q=2", "-o", "APT::Update::Error-Mode=any", "update")
            files.write(stamp, "")

    def offers(self, *prefixes: str) -> list[Offer]:
        """All versions of the packages whose names begin with a prefix."""
        names = [
            name
            for prefix in prefixes
            for name in self._call("apt-cache", "pkgnames", prefix).decode().split()
        ]
        return list(madison(self._call("apt-cache", "madison", *names).decode())) if names else []

    def download(self, offers: Sequence[Offer], folder: Path) -> list[Path]:
        """Fetch packages into an empty folder; apt checks them against the index."""
        self._call("apt-get", "-q=2", "download", *map("=".join, offers), folder=folder)
        return sorted(folder.glob("*.deb"))

    def download_whole(self, package: str, suite: str, folder: Path) -> list[Path]:
        """Fetch a package, the newest of a suite, and all that it depends on."""
        (folder / "partial").mkdir()
        into = f"Dir::Cache::archives={folder}"
        options = ("-q=2", "-y", "-d", "--no-install-recommends", "-o", into, "-t", suite)
        self._call("apt-get", *options, "install", package)
        return sorted(folder.glob("*.deb"))

    def _call(self, *command: str, folder: Path | None = None) -> bytes:
        # apt keeps a package that is in work below the folder's own names.
        return call(command, {"APT_CONFIG": str(self.folder / "apt.conf")}, folder)

    def _configure(self) -> None:
        folder = self.folder
        for name in ("state/lists/partial", "cache/archives/partial", "empty"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        files.write(folder / "status", "")
        files.write(folder / "sources.list", "\n".join(self.sources(mirrors(), _keys())) + "\n")
        files.write(folder / "apt.conf", "\n".join(self.configuration(folder)) + "\n")

    def sources(self, found: Mirrors, keys: Path | None) -> Iterator[str]:
        """The lines of sources.list."""
        options = f"arch={self.arch}" + (f" signed-by={keys}" if keys else "")
        if not found.main:
            raise HarnessError(
                "the apt sources of this machine name no archive of Debian: add one, or give "
                "--kernel the packages as .deb files"
            )
        for suite in self.suites:
            uri = found.security if suite.endswith("-security") else found.main
            if uri:
                yield f"deb [{options}] {uri} {suite} main"

    def configuration(self, folder: Path) -> Iterator[str]:
        """The lines of apt.conf."""
        values = {
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::SourceList": folder / "sources.list",
            "Dir::Etc::SourceParts": folder / "empty",
            "Dir::Etc::Preferences": folder / "status",  # an empty file
            "Dir::Etc::PreferencesParts": folder / "empty",
            "APT::Architecture": self.arch,
            # The user that root would fetch as cannot write here.
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        for name, value in values.items():
            yield f'{name} "{value}";'
        yield f'APT::Architectures {{ "{self.arch}"; }};'


def madison(text: str) -> Iterator[Offer]:
    """What `apt-cache madison` has printed."""
    for line in text.splitlines():
        if found := _MADISON.fullmatch(line):
            yield Offer(found["package"], found["version"])


def _keys() -> Path | None:
    """Debian's keys; None if they are among those that apt trusts for everything."""
    if _KEYS.exists():
        return _KEYS
    if any(_TRUSTED.glob("debian-archive-*")):
        return None
    raise HarnessError(
        f"{_KEYS}: does not exist; on Debian and Ubuntu, run `apt install debian-archive-keyring`"
    )


def by_age(offers: Iterable[Offer]) -> list[Offer]:
    """The highest version first; of the same version, the last name (`-unsigned`)."""
    key = {offer: (version_key(offer.version), offer.package) for offer in offers}
    return sorted(key, key=key.__getitem__, reverse=True)


def newest(offers: Iterable[Offer]) -> Offer | None:
    """The offer with the highest version."""
    return next(iter(by_age(offers)), None)


def version_key(version: str) -> tuple[object, ...]:
    """What sorts as Debian's versions do (deb-version(7))."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    number = int(epoch) if epoch.isdecimal() else 0
    return number, _part_key(upstream), _part_key(revision)


def _part_key(part: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Pieces of other characters and of digits take turns. `~` is before the end of a piece,

    the end is before letters, and these are before all else.
    """
    pieces = re.findall(r"(\D*)(\d*)", part)
    key = []
    for text, digits in pieces:
        if text or digits:
            marks = [0 if c == "~" else ord(c) if c.isalpha() else 0x400 + ord(c) for c in text]
            key.append(((*marks, 1), int(digits or 0)))
    return (*key, ((1,), 0))


def scratch(where: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder inside `where`, so that what is ready in it can be renamed into place."""
    try:
        return tempfile.TemporaryDirectory(prefix=".part-", dir=where, ignore_cleanup_errors=True)
    except OSError as error:
        raise HarnessError(f"{where}: cannot be written: {error.strerror}") from None
