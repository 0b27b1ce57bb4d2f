"""arm64 in the trace language: its modes, settings and registers.

One class, which answers for all that the language asks an architecture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from harness.errors import nearest, one_of
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.fixes import CATALOGUE
from harness.model.arm64.host.ptrace import (
    SVE_PT_REGS_FPSIMD,
    SVE_PT_REGS_SVE,
    SVE_PT_VL_INHERIT,
    SVE_PT_VL_ONEXEC,
)
from harness.model.arm64.host.state import COUNTERS, NR_CPUS
from harness.model.arm64.invariants import INVARIANTS
from harness.model.arm64.kvm.uapi import FEATURE_BITS, FEATURES, LONG_NAMES, named, size
from harness.model.arm64.machine import (
    HvheMachine,
    Machine,
    NvheMachine,
    ProtectedMachine,
    Setup,
    VheMachine,
)
from harness.model.arm64.registers import KINDS, find, lacking
from harness.model.arm64.stimuli import VERBS
from harness.model.arm64.view import SHOWN
from harness.model.base import Model, RegTest, Setting, Shape, recording
from harness.model.catalogue import Kernel
from harness.model.evidence import Evidence
from harness.model.exploring import Explorable
from harness.model.operands import BadOperand
from harness.model.patch import patched
from harness.model.probing import Probing
from harness.model.values import number as number_of
from harness.model.world import World

# What the register sets of ptrace hold beside registers with a number.
REGSETS: dict[str, tuple[str, ...]] = {
    "NT_PRFPREG": ("v", "fpsr", "fpcr"),
    "NT_ARM_SVE": ("vl", "flags", "size", "v", "z", "p", "ffr", "fpsr", "fpcr"),
    "NT_ARM_SSVE": ("vl", "flags", "size", "v", "z", "p", "ffr", "fpsr", "fpcr"),
    "NT_ARM_ZA": ("vl", "flags", "size", "za"),
    "NT_ARM_ZT": ("zt0",),
    "NT_ARM_FPMR": ("fpmr",),
}
_PT_FLAGS = {
    "SVE_PT_REGS_FPSIMD": SVE_PT_REGS_FPSIMD,
    "SVE_PT_REGS_SVE": SVE_PT_REGS_SVE,
    "SVE_PT_VL_INHERIT": SVE_PT_VL_INHERIT,
    "SVE_PT_VL_ONEXEC": SVE_PT_VL_ONEXEC,
}
_ZA_PT_FLAGS = {
    "ZA_PT_VL_INHERIT": SVE_PT_VL_INHERIT,
    "ZA_PT_VL_ONEXEC": SVE_PT_VL_ONEXEC,
}
# Fields of Config, and settings: what a CPU has of debug, PMU, profiling and traps.
_DEBUG_SIDE = {"pmu", "brps", "spe", "trbe", "fgt"}


def lengths(setting: tuple[int, int] | None) -> tuple[int, ...]:
    """The vector lengths of a range in bytes: its powers of two, in quadwords."""
    if setting is None:
        return ()
    low, high = setting
    return tuple(1 << n for n in range(5) if low <= 16 << n <= high)


MACHINES: dict[str, type[Machine]] = {
    "vhe": VheMachine,
    "nvhe": NvheMachine,
    "hvhe": HvheMachine,
    "protected": ProtectedMachine,
}


class Arm64:
    """The architecture as the engine and the trace language see it."""

    name = "arm64"
    example = "machine arm64 vhe { sve 16..64 }"
    modes = tuple(MACHINES)
    settings: ClassVar[dict[str, Setting]] = {
        "cpus": Setting(1, NR_CPUS, default=1),
        "sve": Setting(16, 256, power=True),
        "sme": Setting(16, 256, power=True),
        "sme2": Setting(0, 1),
        "fpmr": Setting(1, 1),
        "fa64": Setting(0, 1),
        "pmu": Setting(1, 1),
        "brps": Setting(1, 2),
        "spe": Setting(1, 1),
        "trbe": Setting(1, 1),
        "pmscr_reset": Setting(0, 3),
        "aarch32": Setting(1, 1),
        "fgt": Setting(1, 1),
        "sve_hw": Setting(32, 256, power=True),
        "sve_other": Setting(16, 256, power=True),
    }
    words: ClassVar[dict[str, tuple[str, ...]]] = {}
    features = ("sve", "fpmr", "sme", "created", "protected", "elsewhere")
    catalogue = CATALOGUE
    invariants = INVARIANTS
    verbs = VERBS
    expectations = (
        *("trap", "no_trap", "errno", "signal", "undef", "read", "no_read", "state"),
        "value",
    )
    shown: ClassVar[dict[str, dict[str, Shape]]] = SHOWN
    answers: ClassVar[dict[str, tuple[str, ...]]] = {}
    trap_marks = ("ec", "el", "smtc")
    counters = COUNTERS
    regsets = tuple(REGSETS)
    long_names: ClassVar[dict[str, str]] = LONG_NAMES

    @property
    def probing(self) -> Probing:
        # Nobody but `kvm-replay probes` needs it.
        from harness.model.arm64.probes import PROBES

        return PROBES

    @property
    def evidence(self) -> Evidence:
        # Nobody but `kvm-replay identify` needs it.
        from harness.model.arm64.evidence import EVIDENCE

        return EVIDENCE

    @property
    def explorable(self) -> Explorable:
        # Nobody but `kvm-replay explore` needs it.
        from harness.model.arm64.exploring import EXPLORABLE

        return EXPLORABLE

    def impossible(
        self, settings: dict[str, tuple[int, int]], words: dict[str, tuple[str, ...]]
    ) -> str | None:
        if "sve" in settings and settings["sve"][0] != 16:
            return "SVE always has the vector length 16: expected `sve 16..N`"
        if "sve_other" in settings and ("sve" not in settings or settings["sve_other"][0] != 16):
            return "sve_other is of a host with SVE too: expected `sve 16..64; sve_other 16..32`"
        if "sve_hw" in settings and settings["sve_hw"][1] <= settings.get("sve", (0, 256))[1]:
            return (
                "sve_hw is a length beyond what all CPUs share: expected `sve 16..64; sve_hw 128`"
            )
        if "pmscr_reset" in settings and "spe" not in settings:
            return "PMSCR_EL1 is of FEAT_SPE: expected `spe 1` beside `pmscr_reset`"
        if "fa64" in settings and "sme" not in settings:
            return "FEAT_SME_FA64 is part of SME: expected `sme 16..N` beside `fa64`"
        if "sme2" in settings and "sme" not in settings:
            return "FEAT_SME2 is part of SME: expected `sme 16..N` beside `sme2`"
        return None

    def lacks(self, feature: str, world: World) -> str | None:
        needed = feature in ("sve", "sme", "fpmr") and feature not in world.settings
        return "the machine has none" if needed else None

    def register(self, name: str, actor: str, world: World) -> tuple[str, int]:
        if name[0].isdigit():
            number = number_of(name)
            if number >> 64:
                raise BadOperand(f"{name} cannot be the id of a register: it has more than 64 bits")
            return "id", number
        kind, n = find(name, actor)
        if why := lacking(kind, actor, world.settings):
            raise BadOperand(f"{name}: {why}")
        return kind, n

    def field(self, regset: str, name: str, world: World) -> tuple[str, int]:
        if regset not in REGSETS:
            raise BadOperand(f"{name}: of which register set?")
        holds = REGSETS[regset]
        if name.rstrip("0123456789") not in holds and name not in holds:
            raise BadOperand(f"{name!r}{nearest(name, holds)}: {regset} has {one_of(holds)}")
        if (
            regset not in ("NT_PRFPREG", "NT_ARM_SVE", "NT_ARM_FPMR")
            and "sme" not in world.settings
        ):
            raise BadOperand(f"{regset}: this machine has no SME (`sme 16..64` would give it some)")
        if name in ("vl", "flags", "size"):
            return name, 0
        return self.register(name, "task", world)

    def flags(self, regset: str, field: tuple[str, int], words: tuple[str, ...]) -> int:
        known = _ZA_PT_FLAGS if regset == "NT_ARM_ZA" else _PT_FLAGS
        total = 0
        for word in words:
            if field[0] != "flags":
                raise BadOperand(f"{word}: {field[0]} takes a number")
            if word not in known:
                raise BadOperand(f"{word!r}{nearest(word, known)}: expected {one_of(known)}")
            total |= known[word]
        return total

    def id_name(self, number: int) -> str:
        return ""  # those that have a name are told by it

    def argument(self, request: str, words: tuple[str, ...]) -> tuple[int, ...] | None:
        if request == "KVM_ARM_VCPU_INIT" and words == ("none",):
            return ()
        if request == "KVM_ARM_VCPU_FINALIZE" and len(words) != 1:
            raise BadOperand(f"{request} takes one feature, such as KVM_ARM_VCPU_SVE")
        if request == "KVM_GET_REG_LIST" and len(words) > 1:
            raise BadOperand(f"{request} takes one number, `kvm_reg_list.n`")
        if request == "KVM_RUN" and words:
            raise BadOperand(f"{request} takes no more than the vcpu")
        return tuple(self._number(request, word) for word in words) or None

    def _number(self, request: str, word: str) -> int:
        if word[0].isdigit():
            number = number_of(word)
            wide = 64 if request == "KVM_GET_REG_LIST" else 32
            if number >> wide:
                raise BadOperand(f"{word} does not fit into {wide} bits", word)
            if request == "KVM_ARM_VCPU_INIT" and number >= FEATURE_BITS:
                raise BadOperand(f"no feature {word}: struct kvm_vcpu_init has 0 to 223", word)
            return number
        if request == "KVM_GET_REG_LIST" or word not in FEATURES:
            what = "a number" if request == "KVM_GET_REG_LIST" else one_of(FEATURES)
            if word == "none" and request == "KVM_ARM_VCPU_INIT":
                raise BadOperand("`none` stands alone, with no feature beside it", word)
            raise BadOperand(f"{word!r}{nearest(word, FEATURES)}: expected {what}", word)
        return FEATURES[word]

    def fills(self, register: tuple[str, int]) -> bool:
        return register[0] == "z"

    def value(self, register: tuple[str, int], quads: tuple[int, ...], world: World) -> None:
        kind, n = register
        slice_ = 1
        if kind == "id":
            known = named(n)
            if known is None:
                if len(quads) > 1 or quads[0] >> 8 * size(n):
                    raise BadOperand(f"no register {n:#x}: expected one value of {size(n)} bytes")
                return
            kind, slice_ = known[0], 16  # all of it, whatever the machine has
        width, many = KINDS[kind].bits, KINDS[kind].quads != 1
        for quad in quads:
            if quad >> width:
                raise BadOperand(f"{quad:#x} does not fit into {width} bits of {kind}")
        if len(quads) > 1 and not many:
            raise BadOperand(f"{kind} takes one value, not {len(quads)}")
        most = max(
            (lengths(world.settings.get(s))[-1] for s in ("sve", "sme") if s in world.settings),
            default=1,
        )
        most = KINDS[kind].quads or max(most, slice_)
        if len(quads) > most:
            raise BadOperand(f"{len(quads)} quadwords, but the longest vector here has {most}")

    def unsupported(self, kernel: Kernel, mode: str, world: World) -> str | None:
        fixes = kernel.fixes
        sve = "sve" in world.settings
        refused = "kvm-fp-2018" in fixes and "nvhe-sve" not in fixes
        for build in CATALOGUE.unbuilt(fixes):
            if build.setting in world.settings:
                same = CATALOGUE.built(kernel, build)
                why = f"not built with {build.option}, which cannot be selected there"
                return f"{why}; {same} is the same tree built with it"
        if mode == "hvhe" and "cptr-reset" not in fixes:
            return "there is no hVHE (until cptr-reset)"
        if mode == "protected" and "nvhe-sve" not in fixes:
            return "protected KVM is not modelled (until nvhe-sve)"
        if mode != "protected" and any("protected" in features for *_, features in world.vcpus):
            return "protected guests are for protected KVM"
        if world.vcpus and mode == "nvhe" and sve and refused:
            return "KVM refuses SVE hardware without VHE (until nvhe-sve)"
        wanted = any("sve" in features for *_, features in world.vcpus)
        if wanted and "kvm-sve-guest" not in fixes:
            return "KVM has no SVE guests (until kvm-sve-guest)"
        wanted = any("sme" in features for *_, features in world.vcpus)
        if wanted and "sme-guest" not in fixes:
            return "KVM has no SME guests (but for sme-guest)"
        if any("protected" in f and {"sve", "sme"} & set(f) for *_, f in world.vcpus):
            return "protected guests have no SVE and no SME"
        wanted = any("fpmr" in features for *_, features in world.vcpus)
        if wanted and "kvm-fpmr" not in fixes:
            return "KVM has no guests with FPMR (until kvm-fpmr)"
        if "vm-features" in fixes and (pair := _unlike(world)):
            one, other = pair
            return (
                f"{one} and {other} are of one VM and have other features (until vm-features); "
                "give each a VM of its own"
            )
        if not _DEBUG_SIDE.isdisjoint(world.settings) and "kvm-fp-2018" not in fixes:
            return "KVM's debug side is not modelled as it was before v4.18"
        return None

    def reg_tests(
        self, kernel: Kernel, expected: Kernel, mode: str, world: World
    ) -> Iterator[RegTest]:
        """What it expects of the registers modelled here has been the same from v5.2 on."""
        from harness.model.arm64.reglist import reg_tests

        name, thread, _ = world.vcpus[0]

        def fresh(features: tuple[str, ...]) -> Machine:
            own = world._replace(vcpus=((name, thread, features),), vms=())
            return self.fresh(kernel, mode, own, record=False)

        wants = world._replace(vcpus=((name, thread, ("sve",)),))
        can = "sve" in world.settings and not self.unsupported(kernel, mode, wants)
        return reg_tests(fresh, can)

    def machine(self, kernel: Kernel, mode: str, world: World, record: bool) -> Model:
        return self.fresh(kernel, mode, world, record)

    def fresh(
        self, kernel: Kernel, mode: str, world: World, record: bool, cls: Any = None
    ) -> Machine:
        """A new machine, of another class than the mode's if one is given."""
        cls = cls or patched(self.name, MACHINES[mode], kernel.fixes)
        settings = world.settings
        config = Config(
            settings.get("cpus", (1, 1))[1],
            mode == "vhe",
            lengths(settings.get("sve")),
            lengths(settings.get("sme")),
            "fpmr" in settings,
            settings.get("sme2", (0, 0))[1] == 1,
            settings.get("fa64", (0, 0))[1] == 1,
            **{name: name in settings for name in _DEBUG_SIDE - {"brps"}},
            brps=settings.get("brps", (0, 0))[1],
            aarch32="aarch32" in settings,
            hvhe=mode == "hvhe",
            protected=mode == "protected",
            pmscr_reset=settings.get("pmscr_reset", (0, 0))[1],
            sve_hw=settings.get("sve_hw", (0, 0))[1] // 16,
            sve_other=lengths(settings.get("sve_other")),
        )
        setup = Setup(config, world.tasks, world.unborn, world.vcpus, world.vms)
        machine: Machine = (recording(cls) if record else cls)(kernel, setup)
        return machine


def _unlike(world: World) -> tuple[str, str] | None:
    """Two vcpus of one VM which are initialised when a trace begins, with other features."""
    first: dict[int, tuple[str, set[str]]] = {}
    for (name, _, features), vm in zip(
        world.vcpus, world.vms or (0,) * len(world.vcpus), strict=True
    ):
        if "created" not in features:
            has = {"sve", "sme"} & set(features)
            other, wants = first.setdefault(vm, (name, has))
            if wants != has:
                return other, name
    return None


ARM64 = Arm64()
