"""A first look at a recording: which events it has, and what machine it ran on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field

from harness.capture.text import Line, Recording
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.language import MACHINES, lengths

MODES = tuple(MACHINES)
SETTINGS = ("cpus", "sve", "sme")
# arch/arm64/kvm/arm.c, init_subsystems(): "kvm [1]: VHE mode initialized successfully".
_MODES = (
    ("Protected", "protected"),
    ("hVHE mode", "hvhe"),
    ("nVHE mode", "nvhe"),
    ("VHE mode", "vhe"),
    ("Hyp mode", "nvhe"),
)
DEFAULT_LENGTHS = (16, 256)
# fpsimd_last_state.sve_vl is 0 as long as nothing is loaded, and always where there is no SVE.
_LENGTH = re.compile(r" v\d+=[1-9]")
# In a dump or in thread flags: SME is in use, or open.
_SME = (" sme=1", " smen=1", " smen=3")
_TELLING = {"do_sme_acc", "fprig_dump", "tracing_mark_write", "print"}
UNKNOWN = "unknown"
# Under nVHE they run at EL2, where no tracer sees them.
_WORLD_SWITCH = (
    "__kvm_vcpu_run",
    "__kvm_vcpu_run_vhe",
    "__activate_traps",
    "__deactivate_traps",
    "__guest_exit",
    "kvm_hyp_handle_fpsimd",
    "kvm_vcpu_run_vhe",
)
# What other architectures call their functions, and how KVM prints there why a guest has left.
_OTHERS = (
    ("RISC-V", re.compile(r"(?:kvm_)?riscv_|kvm_sbi_|__fstate_|__kvm_riscv_"), "EXIT_REASON:0x"),
    ("x86", re.compile(r"vmx_|svm_|kvm_x86_|switch_fpu_|fpu_swap_|fpregs_|__vmx_"), " rip 0x"),
    ("PowerPC", re.compile(r"kvmppc_|kvmhv_"), "trap=0x"),
    ("s390", re.compile(r"kvm_s390_"), "reason KVM_S390"),
    (
        "LoongArch",
        re.compile(r"kvm_(?:own|lose|restore|save)_(?:fpu|lsx|lasx)|kvm_loongarch_"),
        "LOONGARCH",
    ),
)
_EXITS = ("kvm_exit", "kvm_entry")
_OURS = re.compile(r"(?:task_)?fpsimd_|do_s[vm]e_acc|sve_|kvm_arch_vcpu_(?:ctx|load_fp|put_fp)")


@dataclass(slots=True)
class Survey:
    """What a recording shows of its machine. `names` counts its events."""

    names: Counter[str] = field(default_factory=Counter)
    cpus: int = 1
    sme: bool = False
    length: bool = False  # whether a vector length stands in the state
    states: bool = False  # whether the state stands beside the calls
    said: str | None = None  # the mode, where the script that recorded has left a mark of it
    other: str | None = None  # the architecture that the text of kvm_exit is of, if not arm64

    @property
    def mode(self) -> str:
        """The mode that the recording is of; "unknown" where nothing in it tells."""
        return self.said or _mode_of(self.names)

    @property
    def foreign(self) -> str | None:
        """The architecture that the recording is of, None for arm64 and where nothing tells."""
        if any(_OURS.match(name) for name in self.names):
            return None
        for name, functions, _ in _OTHERS:
            if self.other == name or any(functions.match(name) for name in self.names):
                return name
        return None

    def lines(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The lines, each taken into account on its way."""
        names, top = self.names, self.cpus
        for line in lines:
            name = line.name
            names[name] += 1
            if line.cpu >= top:
                top = self.cpus = line.cpu + 1
            if not self.length or name in _TELLING:
                self._look(line)
            if name in _EXITS and not self.other:
                self.other = next((a for a, _, text in _OTHERS if text in line.text), None)
            yield line

    def _look(self, line: Line) -> None:
        name = line.name
        if not self.states:
            self.states = " c0=" in line.text
        if not self.length and self.states:
            self.length = _LENGTH.search(line.text) is not None
        if not self.sme:
            self.sme = name == "do_sme_acc" or (
                name == "fprig_dump" and any(word in line.text for word in _SME)
            )
        if not self.said and name in ("tracing_mark_write", "print"):
            self.said = _mode_said(line.text)

    @property
    def sve(self) -> bool:
        """Whether the CPUs have SVE, which is not said where nothing depends on it."""
        if self.states:
            return self.length or "do_sve_acc" in self.names
        # Without SVE a frame has no record of it.
        plain = self.names["restore_fpsimd_context"] > self.names["restore_sve_fpsimd_context"]
        return "do_sve_acc" in self.names or not plain

    def settings(self) -> dict[str, tuple[int, int]]:
        """A machine line for it. Every arm64 CPU with SVE that KVM knows has 16 to 256 or less."""
        found = {"cpus": (self.cpus, self.cpus)}
        if self.sve:
            found["sve"] = DEFAULT_LENGTHS
        if self.sme or self.names["fpsimd_flush_thread_vl"] > self.names["fpsimd_flush_thread"] > 0:
            found["sme"] = DEFAULT_LENGTHS
        return found


def survey(recording: Recording) -> Survey:
    """Read a recording once."""
    found = Survey()
    for _ in found.lines(recording.lines()):
        pass
    return found


def _mode_of(names: Container[str]) -> str:
    """By the world switch: at nVHE it is hyp's, where no probe reaches."""
    if any(name in names for name in _WORLD_SWITCH):
        return "vhe"
    loads = any(name in names for name in ("kvm_arch_vcpu_load", "kvm_arch_vcpu_ctxflush_fp"))
    return "nvhe" if loads and "kvm_entry" in names else UNKNOWN


def _mode_said(mark: str) -> str | None:
    """The mode that a mark says, in the kernel's words at boot; None if it says none."""
    if "kvm-replay: kvm " not in mark:
        return None
    return next((mode for words, mode in _MODES if words in mark), None)


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
