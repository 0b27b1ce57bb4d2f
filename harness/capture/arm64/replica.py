"""A machine of the model, and who of a recording is who in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.capture.arm64.fields import TaskFp
from harness.capture.arm64.items import Guest, Thread
from harness.capture.arm64.probe import Probe, probed
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.host.state import TIF_FOREIGN_FPSTATE, TIF_SME, TIF_SVE, FpState
from harness.model.arm64.kvm.state import FpOwner
from harness.model.arm64.language import MACHINES
from harness.model.arm64.machine import Machine, Setup
from harness.model.catalogue import Kernel

FLAGS = {
    "TIF_FOREIGN_FPSTATE": TIF_FOREIGN_FPSTATE,
    "TIF_SVE": TIF_SVE,
    "TIF_SME": TIF_SME,
}
TYPES = {t.value: t.name for t in FpState}
OWNERS = {o.value: o.name for o in FpOwner}


@dataclass(slots=True)
class Replica:
    """A probed machine that does what a recorded one did."""

    m: Machine
    probe: Probe
    threads: dict[str, Thread] = field(default_factory=dict)
    guests: dict[str, Guest] = field(default_factory=dict)
    # Who had a CPU's registers before the recording: fpsimd_last_state.st then.
    ghosts: dict[str, int] = field(default_factory=dict)
    first: dict[str, TaskFp] = field(default_factory=dict)  # what a task was when first seen
    unsure: set[str] = field(default_factory=set)  # tasks of which that is not known
    # Where the FP state lies in a task_struct and in a kvm_vcpu, once a line has told.
    task_offset: int | None = None
    vcpu_offset: int | None = None


def replica(kernel: Kernel, mode: str, config: Config) -> Replica:
    """A fresh machine with nobody in it."""
    probe = Probe([[] for _ in range(config.cpus)])
    with probe.silenced():
        machine = probed(MACHINES[mode], probe)(kernel, Setup(config))
    return Replica(machine, probe)
