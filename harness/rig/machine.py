"""The machine that QEMU makes: the CPU, the mode of KVM and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.dsl.reader import read_machine
from harness.errors import HarnessError, nearest, one_of

# The kernel's arguments for each mode. CPU `max` has VHE.
MODES: dict[str, tuple[str, ...]] = {
    "vhe": (),
    "nvhe": ("kvm-arm.mode=nvhe",),
    "hvhe": ("kvm-arm.mode=nvhe", "arm64_sw.hvhe=1"),
    "protected": ("kvm-arm.mode=protected", "arm64_sw.hvhe=0", "id_aa64mmfr1.vh=0"),
}
# Two CPUs for the tasks of a script, which nothing else runs on, and one for the runner.
_ARGUMENTS = ("console=ttyAMA0", "panic=-1", "nokaslr", "loglevel=4", "isolcpus=1,2,3")
_LENGTHS = (16, 32, 64, 128, 256)  # bytes: all that QEMU can have, as powers of two
_KNOWN = ("sve", "sme", "sme2", "fa64", "fpmr")
# The first QEMU whose CPU `max` has SME2, FPMR, and SME without SVE.
NEW_QEMU = (11, 0)


class Cpu(NamedTuple):
    """What the CPUs have beside the rest of QEMU's `max`; lengths in bytes.

    Whether they have FPMR can be left open (None): a new QEMU always has it.
    """

    sve: tuple[int, int] | None = None
    sme: tuple[int, int] | None = None
    sme2: bool = False
    fa64: bool = False
    fpmr: bool | None = False

    def __str__(self) -> str:
        words = [f"{name} {r[0]}..{r[1]}" for name in ("sve", "sme") if (r := getattr(self, name))]
        words += [f"{name} 1" for name in ("sme2", "fa64", "fpmr") if getattr(self, name)]
        return "; ".join(words) or "none"

    @property
    def needs_new(self) -> str | None:
        """What of it takes a new QEMU."""
        if self.sme and not self.sve:
            return "SME without SVE"
        return "SME2" if self.sme2 else "FPMR" if self.fpmr else None

    @property
    def features(self) -> dict[str, bool]:
        """What /proc/cpuinfo must list, and what it must not list."""
        features = {
            "sve": self.sve is not None,
            "sme": self.sme is not None,
            "sme2": self.sme2,
            "smefa64": self.fa64,
        }
        return features if self.fpmr is None else {**features, "fpmr": self.fpmr}


DEFAULT_CPU = Cpu(sve=(16, 64), fpmr=None)


def read_cpu(text: str) -> Cpu:
    """`sve 16..64; sme 16..64; sme2`, as on a machine line, or `none`. Raises HarnessError."""
    if text.strip() in ("", "none"):
        return Cpu()
    parts = [part.split() for part in text.split(";")]
    for part in parts:
        if part and part[0] not in _KNOWN:
            raise HarnessError(
                f"--cpu: {part[0][:40]!r}: expected {one_of(_KNOWN)}, or none"
                f"{nearest(part[0], _KNOWN)}"
            )
    words = "; ".join(" ".join(p) + (" 1" if len(p) == 1 else "") for p in parts if p)
    try:
        settings = read_machine(f"arm64 vhe {{ {words} }}").world.settings
    except HarnessError as error:
        raise HarnessError(f"--cpu {text[:80]!r}: {error}") from None
    flags = {name: settings.get(name, (0, 0))[1] == 1 for name in ("sme2", "fa64", "fpmr")}
    return Cpu(settings.get("sve"), settings.get("sme"), **flags)


def cpu_option(cpu: Cpu) -> str:
    """The value of QEMU's -cpu."""
    words = ["max", "pauth-impdef=on"]
    for name in ("sve", "sme"):
        bounds = getattr(cpu, name)
        if bounds is None:
            words.append(f"{name}=off")
            continue
        low, high = bounds
        for length in _LENGTHS:
            words.append(f"{name}{8 * length}={'on' if low <= length <= high else 'off'}")
    if cpu.sme:
        words.append(f"sme_fa64={'on' if cpu.fa64 else 'off'}")
    return ",".join(words)


def arguments(mode: str, cpu: Cpu) -> str:
    """The kernel's command line."""
    words = [*_ARGUMENTS, *MODES[mode]]
    if cpu.sme and not cpu.sme2:
        # A new QEMU has SME2 whenever it has SME. (And FPMR always, which no argument hides.)
        words += ["id_aa64pfr1.sme=1", "id_aa64smfr0.smever=0"]
    return " ".join(words)


def command(
    qemu: Sequence[str],
    image: Path,
    initrd: Path,
    share: Path,
    mode: str,
    cpu: Cpu,
) -> list[str]:
    """QEMU's command line. One thread for all CPUs: they take turns, and every run is alike."""
    return [
        *qemu,
        *("-M", "virt,virtualization=on,gic-version=3", "-accel", "tcg,thread=single"),
        *("-cpu", cpu_option(cpu), "-smp", "4", "-m", "1500"),
        *("-nographic", "-nic", "none", "-no-reboot"),
        # A comma ends a value, two are one of the value's own.
        *("-fsdev", f"local,id=fs0,path={str(share).replace(',', ',,')},security_model=none"),
        *("-device", "virtio-9p-device,fsdev=fs0,mount_tag=share"),
        *("-kernel", str(image), "-initrd", str(initrd)),
        *("-append", arguments(mode, cpu)),
    ]
