"""A first look at a recording: which events it has, and what machine it ran on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from harness.capture.text import Recording
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.language import MACHINES, lengths

MODES = tuple(MACHINES)
DEFAULT_LENGTHS = (16, 256)
# In a dump or in thread flags: SME is in use, or open.
_SME = (" sme=1", " smen=1", " smen=3")


@dataclass(slots=True)
class Survey:
    """What a recording shows of its machine. `names` counts its events."""

    names: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    cpus: int = 1
    sme: bool = False
    vhe: bool = False

    @property
    def mode(self) -> str:
        """The mode that the recording is of, as far as it shows."""
        return "vhe" if self.vhe else "nvhe"

    def settings(self) -> dict[str, tuple[int, int]]:
        """A machine line for it. Every arm64 CPU with SVE that KVM knows has 16 to 256 or less."""
        found = {"cpus": (self.cpus, self.cpus), "sve": DEFAULT_LENGTHS}
        if self.sme:
            found["sme"] = DEFAULT_LENGTHS
        return found


def survey(recording: Recording) -> Survey:
    """Read a recording once."""
    found = Survey()
    names = found.names
    cpu = 0
    for line in recording.lines():
        names[line.name] += 1
        if line.cpu > cpu:
            cpu = line.cpu
        if line.name == "fprig_dump" and not found.sme:
            found.sme = any(word in line.text for word in _SME)
    found.cpus = cpu + 1
    found.lines = recording.number
    found.sme = found.sme or "do_sme_acc" in names
    # At nVHE it is hyp's, where no probe reaches.
    found.vhe = "__kvm_vcpu_run" in names or not any(n.startswith("kvm_") for n in names)
    return found


def config(settings: dict[str, tuple[int, int]], mode: str) -> Config:
    """The machine of a `machine` line, for one mode."""
    return Config(
        cpus=settings["cpus"][1],
        vhe=mode == "vhe",
        sve=lengths(settings.get("sve")),
        sme=lengths(settings.get("sme")),
        hvhe=mode == "hvhe",
        protected=mode == "protected",
    )
