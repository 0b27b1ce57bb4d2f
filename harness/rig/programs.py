"""The programs that run in the machine: the runner and its tasks, static and for arm64."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

from harness import cache
from harness.errors import HarnessError
from harness.resources import folder
from harness.rig.apt import scratch
from harness.rig.tools import call, tool

PROGRAMS = ("kvm-replay-runner", "kvm-replay-task")
_ARM64 = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_EM_AARCH64 = b"\xb7\x00"


def programs(built: Path | None) -> Path:
    """The folder of the programs: the user's, or the one that the sources are built into."""
    if built is not None:
        _check(built)
        return built
    source = folder("runner")
    if not (source / "Makefile").is_file():
        raise HarnessError(
            f"{source}: has no Makefile; name a folder with {' and '.join(PROGRAMS)} (--runner)"
        )
    target = cache.folder("rig") / f"runner-{_digest(source)}"
    if not target.exists():
        _build(source, target)
    _check(target)
    return target


def _build(source: Path, target: Path) -> None:
    prefix = "" if platform.machine() == "aarch64" else "aarch64-linux-gnu-"
    tool("make")
    tool(f"{prefix}gcc")
    with scratch(target.parent) as place:
        out = Path(place) / "out"
        out.mkdir()
        call(["make", "-C", str(source), f"CROSS_COMPILE={prefix}", f"O={out}"])
        _check(out)
        try:
            out.rename(target)
        except OSError as error:
            if not target.exists():
                raise HarnessError(f"{target}: cannot be written: {error.strerror}") from None


def _digest(source: Path) -> str:
    """What names the sources: their content."""
    digest = hashlib.sha256()
    try:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(source)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
    except OSError as error:
        raise HarnessError(f"{source}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()[:16]


def _check(folder: Path) -> None:
    for name in PROGRAMS:
        path = folder / name
        try:
            with open(path, "rb") as file:
                head = file.read(20)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise HarnessError(f"{path}: cannot be read: {reason}") from None
        if not head.startswith(_ARM64) or head[18:20] != _EM_AARCH64:
            raise HarnessError(f"{path}: is not an arm64 program")
