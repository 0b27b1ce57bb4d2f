"""RISC-V in the trace language: its machines, settings and registers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from harness.errors import nearest, one_of
from harness.model.base import Model, RegTest, Setting, Shape, recording
from harness.model.catalogue import Kernel
from harness.model.exploring import Explorable
from harness.model.operands import BadOperand
from harness.model.patch import patched
from harness.model.riscv.cpu.csrs import CSRS
from harness.model.riscv.cpu.state import V_CSRS
from harness.model.riscv.cpu.warl import SSTATEEN0_MASK
from harness.model.riscv.fixes import CATALOGUE
from harness.model.riscv.host.state import COUNTERS, GUEST_MEMORY, NR_CPUS, Host
from harness.model.riscv.invariants import INVARIANTS
from harness.model.riscv.kvm.sbi import ERRORS, WORDS
from harness.model.riscv.kvm.uapi import (
    ARGUMENT_BITS,
    ARGUMENTS,
    ISA_EXTENSIONS,
    groups,
    known_names,
    reg_id,
    reg_name,
    size_of,
)
from harness.model.riscv.machine import Machine, Setup
from harness.model.riscv.stimuli import VERBS
from harness.model.riscv.view import SHOWN
from harness.model.values import number as number_of
from harness.model.world import World

# What every host here has: RV64IMAC, the hypervisor, and the counters of the base.
BASE = frozenset(("a", "c", "h", "i", "m", "zicntr", "zicsr", "zifencei", "zihpm"))
RV32_ONLY = ("zcf", "zclsd", "zilsd")
_REGISTER = re.compile(r"([fvx])(0|[1-9][0-9]?)")
_U64 = (1 << 64) - 1
_PAGE = 1 << 12
_BITS = {"fcsr": 32, "f": 64}
FIRMWARE = ("misaligned", "pmu")


class Riscv:
    """The architecture as the engine and the trace language see it."""

    name = "riscv"
    example = "machine riscv rv64 { isa f d v ssnpm }"
    modes = ("rv64",)
    settings: ClassVar[dict[str, Setting]] = {
        "cpus": Setting(1, NR_CPUS, default=1),
        "pmlen": Setting(7, 16),
        "pmlen_other": Setting(7, 16),
        "vlen": Setting(128, 2048, power=True),
        "vlen_other": Setting(128, 2048, power=True),
        "sv": Setting(39, 57),
        "block": Setting(16, 4096, power=True),
        "block_other": Setting(16, 4096, power=True),
        "sstateen0": Setting(0, SSTATEEN0_MASK),
        "mvendorid": Setting(0, _U64),
        "marchid": Setting(0, _U64),
        "mimpid": Setting(0, _U64),
        "memory": Setting(0, 1 << 56),
    }
    words: ClassVar[dict[str, tuple[str, ...]]] = {
        "isa": tuple(e for e in ISA_EXTENSIONS if e not in BASE),
        "isa_other": tuple(e for e in ISA_EXTENSIONS if e not in BASE),
        "firmware": FIRMWARE,
    }
    features = ("later", "secondary")
    catalogue = CATALOGUE
    invariants = INVARIANTS
    verbs = VERBS
    expectations = (
        *("trap", "no_trap", "errno", "signal", "sbi", "value", "address"),
        *("refused", "read", "no_read", "state"),
    )
    shown: ClassVar[dict[str, dict[str, Shape]]] = SHOWN
    answers: ClassVar[dict[str, tuple[str, ...]]] = {"sbi": tuple(ERRORS)}
    trap_marks = ("cause", "v", "stval")
    counters = COUNTERS
    regsets = ()
    long_names: ClassVar[dict[str, str]] = {}
    probing = None
    evidence = None

    @property
    def explorable(self) -> Explorable:
        # Nobody but `kvm-replay explore` needs it.
        from harness.model.riscv.exploring import EXPLORABLE

        return EXPLORABLE

    def impossible(
        self, settings: dict[str, tuple[int, int]], words: dict[str, tuple[str, ...]]
    ) -> str | None:
        for listed in ("isa", "isa_other"):
            isa = words.get(listed, ())
            if "d" in isa and "f" not in isa:
                return f"D needs F: expected `{listed} f d`"
            if "f" in isa and "d" not in isa:  # riscv_ext_f_validate()
                return f"Linux takes no F without D: expected `{listed} f d`"
            if "v" in isa and "d" not in isa:
                return f"V needs D: expected `{listed} f d v`"
            rv32 = [name for name in isa if name in RV32_ONLY]
            if "svade" in isa and "svadu" in isa:
                return f"Linux takes Svade alone where a hart has both: expected `{listed} svadu`"
            if rv32:
                return f"{rv32[0]} is of RV32 alone"
        for setting, lists in (("pmlen", "isa"), ("pmlen_other", "isa_other")):
            if setting in settings and "ssnpm" not in words.get(lists, ()):
                return f"{setting} is what Ssnpm masks: expected `{lists} ssnpm` beside it"
            if setting in settings and not set(settings[setting]) <= {7, 16}:
                return f"Ssnpm masks 7 bits, or 16, or either: expected `{setting} 7..16`"
        low, high = settings.get("memory", GUEST_MEMORY)
        if low % _PAGE or high % _PAGE or low == high:
            return "a memory slot is made of pages: expected `memory 0x80000000..0x90000000`"
        if settings.get("sv", (48, 48))[0] not in (39, 48, 57):
            return "an address has 39, 48 or 57 bits: expected `sv 48`"
        other = {"isa_other", "pmlen_other", "vlen_other", "block_other"} & {*settings, *words}
        if other and settings.get("cpus", (1, 1))[1] < 2:
            return "the last CPU is the other host: expected `cpus 2`"
        return None

    def lacks(self, feature: str, world: World) -> str | None:
        return None

    def register(self, name: str, actor: str, world: World) -> tuple[str, int]:
        if actor == "one_reg":
            return self._one_reg(name, world)
        match = _REGISTER.fullmatch(name)
        guest = actor == "vcpu"
        if match and int(match[2]) < 32 and (match[1] != "x" or (guest and int(match[2]))):
            return match[1], int(match[2])
        others = tuple(CSRS) if guest else ("fcsr", *V_CSRS)
        if name in others:
            return name, 0
        hint = nearest(name, (*others, "f0", "v0"))
        known = (
            "x1-x31, and the CSRs by their names, such as sstatus" if guest else ", ".join(others)
        )
        raise BadOperand(f"unknown register {name!r}{hint}: f0-f31, v0-v31, {known}")

    def _one_reg(self, name: str, world: World) -> tuple[str, int]:
        if name[0].isdigit():
            number = number_of(name)
            if number >> 64:
                raise BadOperand(f"{name} cannot be the id of a register: it has more than 64 bits")
            return "id", number
        group, _, member = name.partition(".")
        if group not in groups():
            example = "isa_ext.smnpm"
            hint = nearest(group, groups())
            raise BadOperand(f"unknown register {name!r}{hint}: such as {example}, or its id")
        names = known_names(group)
        if not member:
            raise BadOperand(f"{group} is a group of registers: such as {group}.{names[0]}")
        if member not in names:
            hint = nearest(member, names) or f": {one_of(names[:12])}"
            raise BadOperand(f"{group} has no {member!r}{hint}")
        vlen = world.settings.get("vlen", (128, 128))[1]
        number = reg_id(name, vlen // 8) or 0
        return "id", number

    def id_name(self, number: int) -> str:
        return reg_name(number)

    def argument(self, request: str, words: tuple[str, ...]) -> tuple[int, ...] | None:
        known = ARGUMENTS.get(request, {} if request in ARGUMENT_BITS else WORDS)
        bits = ARGUMENT_BITS.get(request, 64)
        if request in ARGUMENT_BITS and len(words) > 1:
            raise BadOperand(f"{request} takes one number", words[1])
        if request not in ARGUMENTS and len(words) > 6:
            raise BadOperand("an SBI call has six arguments at most, a0 to a5", words[6])
        return tuple(self._number(word, known, bits) for word in words) or None

    def _number(self, word: str, known: dict[str, int], bits: int) -> int:
        if word[0].isdigit():
            number = number_of(word)
            if number >> bits:
                raise BadOperand(f"{word} does not fit into {bits} bits", word)
            return number
        if word not in known:
            words = f", or {one_of(known)}" if known else ""
            raise BadOperand(f"{word!r}{nearest(word, known)}: expected a number{words}", word)
        return known[word]

    def field(self, regset: str, name: str, world: World) -> tuple[str, int]:
        raise BadOperand(f"{name}: no register sets of ptrace here")

    def flags(self, regset: str, field: tuple[str, int], words: tuple[str, ...]) -> int:
        raise BadOperand(f"{words[0]}: no register sets of ptrace here")

    def fills(self, register: tuple[str, int]) -> bool:
        return False

    def value(self, register: tuple[str, int], quads: tuple[int, ...], world: World) -> None:
        kind, n = register
        vlen = world.settings.get("vlen", (128, 128))[1]
        width, most = _BITS.get(kind, 64), 1
        if kind == "v":
            width, most = min(vlen, 128), max(vlen // 128, 1)
        elif kind == "id":
            width = 8 * min(size_of(n), 16)
            most = max(size_of(n) // 16, 1)
            kind = reg_name(n) or f"{n:#x}"
        for quad in quads:
            if quad >> width:
                raise BadOperand(f"{quad:#x} does not fit into {width} bits of {kind}")
        if len(quads) > most:
            many = "one quadword" if most == 1 else f"{most} quadwords"
            raise BadOperand(f"{kind} takes {many} at most, not {len(quads)}")

    def reg_tests(
        self, kernel: Kernel, expected: Kernel, mode: str, world: World
    ) -> Iterator[RegTest]:
        from harness.model.riscv.reglist import reg_tests

        return reg_tests(lambda: self.fresh(kernel, world, record=False), expected)

    def unsupported(self, kernel: Kernel, mode: str, world: World) -> str | None:
        if "isa-zicbom" not in kernel.fixes:
            return "KVM on RISC-V is modelled from v6.1 on"
        vectors = any("v" in world.words.get(lists, ()) for lists in ("isa", "isa_other"))
        if vectors and "v-prctl" not in kernel.fixes:
            return "the kernel has no vectors (until v-prctl)"
        return None

    def machine(self, kernel: Kernel, mode: str, world: World, record: bool) -> Model:
        return self.fresh(kernel, world, record)

    def fresh(self, kernel: Kernel, world: World, record: bool, cls: Any = None) -> Machine:
        """A fresh machine, of another class if one is given. There is one mode."""
        cls = cls or patched(self.name, Machine, kernel.fixes)
        cpus = world.settings.get("cpus", (1, 1))[1]
        hosts = [self._host(world, "")]
        where = [0] * cpus
        if any(name.endswith("_other") for name in (*world.settings, *world.words)):
            hosts.append(self._host(world, "_other"))
            where[-1] = 1
        setup = Setup(tuple(hosts), tuple(where), world.tasks, world.unborn, world.vcpus, world.vms)
        machine: Machine = (recording(cls) if record else cls)(kernel, setup)
        return machine

    def _host(self, world: World, which: str) -> Host:
        """One machine; what is not said of the other one is as in the first."""

        def setting(name: str, default: int) -> int:
            return world.settings.get(name + which, world.settings.get(name, (default,) * 2))[1]

        isa = world.words.get("isa" + which, ())
        pmlen: tuple[int, ...] = world.settings.get("pmlen" + which, (7, 16))
        return Host(
            BASE | set(isa),
            frozenset(pmlen) if "ssnpm" in isa else frozenset(),
            setting("vlen", 128) // 8,
            setting("sv", 48),
            setting("block", 64),
            "misaligned" in world.words.get("firmware", ()),
            "pmu" in world.words.get("firmware", ()),
            setting("sstateen0", 0),
            (setting("mvendorid", 0), setting("marchid", 0), setting("mimpid", 0)),
            world.settings.get("memory", GUEST_MEMORY),
        )


RISCV = Riscv()
