"""QEMU: the user's, the system's, or a newer one of Debian in the cache."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from harness import cache
from harness.errors import HarnessError
from harness.rig.apt import Apt, Offer, newest, scratch, version_key
from harness.rig.machine import NEW_QEMU, Cpu
from harness.rig.tools import PACKAGES, call

_PROGRAM = "qemu-system-aarch64"
_SUITES = ("trixie", "trixie-backports")
_VERSION = re.compile(r"QEMU emulator version (\d+)\.(\d+)(?:\.(\d+))?")
_LAYOUT = "qemu-1"


class Emulator(NamedTuple):
    """How QEMU is called."""

    command: tuple[str, ...]
    version: tuple[int, ...]
    env: Mapping[str, str]

    def __str__(self) -> str:
        return f"QEMU {'.'.join(map(str, self.version))}"


def emulator(program: str | None, cpu: Cpu, say: Callable[[str], None]) -> Emulator:
    """The QEMU to use. What the CPU needs and the system's QEMU lacks is fetched."""
    why = cpu.needs_new
    if program is not None:
        given = _named(program)
        if why and given.version < NEW_QEMU:
            raise HarnessError(f"--qemu {program}: {given} has no {why}: expected {_least()}")
        return given
    path = shutil.which(_PROGRAM)
    ours = _asked((path,), {}) if path else None
    if ours is not None and (not why or ours.version >= NEW_QEMU):
        return ours
    kept = fetched()
    if kept is not None:
        return kept
    if ours is None:
        raise HarnessError(
            f"{_PROGRAM} is not installed: on Debian, run `apt install {PACKAGES[_PROGRAM]}`, or "
            "`kvm-replay rig arm64 --fetch-qemu`, which needs no root"
        )
    say(f"{ours} has no {why}; a newer one is fetched")
    return fetch()


def fetched() -> Emulator | None:
    """The newest QEMU of the cache."""
    folder = cache.folder("rig", _LAYOUT)
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if not found:
        return None
    return _of_prefix(max(found, key=lambda path: version_key(path.name)))


def fetch() -> Emulator:
    """Put Debian's newest QEMU, with all the libraries that it needs, into the cache."""
    arch = call(["dpkg", "--print-architecture"]).decode().strip()
    apt = Apt(arch, _SUITES)
    apt.update()
    package = PACKAGES[_PROGRAM]
    offer = newest(offer for offer in apt.offers(package) if offer.package == package)
    if offer is None:
        raise HarnessError(f"{_SUITES[-1]} has no {package} for {arch}")
    target = _place(offer)
    if not target.exists():
        with scratch(target.parent) as place:
            debs, prefix = Path(place) / "debs", Path(place) / "prefix"
            debs.mkdir()
            for deb in apt.download_whole(f"{package}={offer.version}", _SUITES[-1], debs):
                call(["dpkg-deb", "--extract", str(deb), str(prefix)])
            _of_prefix(prefix)  # it runs here
            try:
                prefix.rename(target)
            except OSError as error:
                if not target.exists():
                    raise HarnessError(f"{target}: cannot be written: {error.strerror}") from None
    return _of_prefix(target)


def _place(offer: Offer) -> Path:
    # The folder's name is in a list of folders that `:` separates.
    return cache.folder("rig", _LAYOUT) / offer.version.rpartition(":")[2]


def _of_prefix(prefix: Path) -> Emulator:
    """QEMU from a folder: by its own dynamic linker, with its own libraries and modules."""
    linkers = sorted(prefix.glob("usr/lib*/ld-linux-*.so.*")) + sorted(
        prefix.glob("lib*/ld-linux-*.so.*")
    )
    libraries = sorted(prefix.glob("usr/lib/*-linux-gnu*"))
    program = prefix / "usr/bin" / _PROGRAM
    if not linkers or not libraries or not program.exists():
        raise HarnessError(f"{prefix}: is damaged: remove it, then run `--fetch-qemu`")
    command = (
        *(str(linkers[0]), "--library-path", str(libraries[0]), str(program)),
        *("-L", str(prefix / "usr/share/qemu")),
    )
    return _asked(command, {"QEMU_MODULE_DIR": str(libraries[0] / "qemu")})


def _named(program: str) -> Emulator:
    path = shutil.which(program)
    if path is None:
        raise HarnessError(f"--qemu {program}: is not a program that can be run")
    return _asked((path,), {})


def _asked(command: tuple[str, ...], env: Mapping[str, str]) -> Emulator:
    text = call([*command, "--version"], env).decode("utf-8", "replace")
    found = _VERSION.search(text)
    if found is None:
        raise HarnessError(f"{os.path.basename(command[0])} --version: is not QEMU's answer")
    return Emulator(command, tuple(int(n) for n in found.groups("0")), env)


def _least() -> str:
    return f"QEMU {NEW_QEMU[0]} or later"
