"""What the booted kernel says of itself, compared with what was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from harness.errors import HarnessError
from harness.rig.initramfs import TROUBLE
from harness.rig.machine import Cpu

# Older kernels do not name hVHE in this message.
_MODE = re.compile(
    r"kvm \[\d+\]: (?P<words>VHE|Hyp|Hyp nVHE|Hyp hVHE|Protected nVHE|Protected hVHE)"
    r" mode initialized successfully"
)
_MODES = {
    "VHE": "vhe",
    "Hyp": "nvhe",
    "Hyp nVHE": "nvhe",
    "Hyp hVHE": "hvhe",
    "Protected nVHE": "protected",
    "Protected hVHE": "protected with hVHE",
}
_HVHE = "VHE for hypervisor only"  # a CPU feature that is detected
_LENGTH = re.compile(r"(?P<what>SVE|SME): maximum available vector length (?P<bytes>\d+) bytes")
_VERSION = re.compile(r"Debian (?P<version>\d\S*)")
_TROUBLE = re.compile(TROUBLE)


class Facts(NamedTuple):
    """What the kernel says: `uname -r`, KVM's mode, the CPU's features and longest vectors."""

    release: str
    version: str | None  # of Debian's package
    device: bool  # /dev/kvm
    mode: str | None
    features: frozenset[str]
    lengths: dict[str, int]


def facts(text: str) -> Facts:
    """From the lines that /init has written."""
    release, version, mode, device = "", None, None, False
    features: frozenset[str] = frozenset()
    lengths: dict[str, int] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "uname":
            release = rest.strip()
        elif kind == "build" and (found := _VERSION.search(rest)):
            version = found["version"]
        elif kind == "device":
            device = True
        elif kind == "cpuinfo":
            features = frozenset(rest.partition(":")[2].split())
        elif found := _MODE.search(rest):
            mode = _MODES[found["words"]]
        elif found := _LENGTH.search(rest):
            lengths[found["what"].lower()] = int(found["bytes"])
    if _HVHE in text:
        mode = {"nvhe": "hvhe", "protected": "protected with hVHE"}.get(mode or "", mode)
    return Facts(release, version, device, mode, features, lengths)


def check(found: Facts, release: str | None, mode: str, cpu: Cpu) -> None:
    """Raise HarnessError if it is another kernel, mode or CPU than was asked for."""
    wrong = list(_wrong(found, release, mode, cpu))
    if wrong:
        raise HarnessError(
            "the machine is not the one you asked for:" + "".join(f"\n    {w}" for w in wrong)
        )


def _wrong(found: Facts, release: str | None, mode: str, cpu: Cpu) -> Iterator[str]:
    if release is not None and found.release != release:
        yield f"uname -r is {found.release!r}, expected {release!r}"
    if not found.device:
        yield "there is no /dev/kvm: has the kernel CONFIG_KVM?"
    elif found.mode is None:
        yield "the kernel's messages do not tell KVM's mode"
    elif found.mode != mode:
        yield f"KVM's mode is {found.mode}, not {mode}: does this kernel have `--mode {mode}`?"
    for name, wanted in cpu.features.items():
        if wanted and name not in found.features:
            yield f"/proc/cpuinfo does not list {name}: this kernel or this QEMU lacks it"
        if not wanted and name in found.features:
            setting = "fa64" if name == "smefa64" else name
            yield f"/proc/cpuinfo lists {name}: add `{setting}` to --cpu"
    for name, bounds in (("sve", cpu.sve), ("sme", cpu.sme)):
        if bounds is not None and found.lengths.get(name, bounds[1]) != bounds[1]:
            longest = found.lengths[name]
            yield f"{name.upper()} vectors have up to {longest} bytes, not {bounds[1]}"


def trouble(lines: Iterable[str]) -> list[str]:
    """The lines that tell of an oops, a panic, a warning or a stall, each once."""
    stamp = re.compile(r"^(kvm-replay: )?\[ *\d+\.\d+\]\s*")
    return list(
        dict.fromkeys(stamp.sub("", line.strip()) for line in lines if _TROUBLE.search(line))
    )
