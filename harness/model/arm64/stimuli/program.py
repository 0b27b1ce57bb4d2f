"""What a program does with its own registers, in a task or in a guest."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.arm64.cpu.sysreg import SVCR_SM_MASK, SVCR_ZA_MASK
from harness.model.arm64.kvm.reset import DBGBVR
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import exists
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import REGISTER, VALUE, Bits, Reg, Value, words
from harness.model.places import in_program
from harness.model.verbs import Try
from harness.model.world import World


def _known_of_hyp(m: Program, actor: str, kind: str) -> None:
    if actor in m.vcpus and m.vcpus[actor].protected:
        name = "TPIDR2_EL0" if kind == "tpidr2_el0" else kind
        raise Refused(f"{actor} is protected: what hyp makes of {name} is not modelled")


def _can_read(m: Program, actor: str, reg: Reg) -> None:
    in_program(m, actor)
    if reg[0] == "tpidr2_el0" or reg[0] in DBGBVR:
        _known_of_hyp(m, actor, reg[0])


@VERBS.verb("reads a register", REGISTER, when=_can_read, actors="task vcpu", reads=True)
def read(m: Program, actor: str, reg: Reg) -> None:
    m.read_register(m.contexts[actor], *reg)


def _can_write(m: Program, actor: str, reg: Reg, bits: Bits) -> None:
    in_program(m, actor)
    if reg[0] in DBGBVR:
        _known_of_hyp(m, actor, reg[0])


def _writes(w: World, who: str, current: str) -> Iterator[Try]:
    """One register of each kind, as kernels handle all of a kind alike."""
    features = w.features_of(who)
    if features is not None:
        yield Try(("run",), (("v", 0), None), "guest")
        if "sve" in features:
            yield Try(("run",), (("z", 0), None), "guest")
            for length in (0, 15):
                yield Try(("run",), (("zcr_el1", 0), (length,)), "guest")
        if "fpmr" in features:
            yield Try(("run",), (("fpmr", 0), None), "guest")
        return
    yield Try((), (("v", 0), None))
    for what in ("sve", "sme"):
        if what in w.settings:
            yield Try((what,), (("z", 0), None))
    if "sme" in w.settings:
        yield Try(("za",), (("za", 0), None))
    if "fpmr" in w.settings:
        yield Try((), (("fpmr", 0), None))


@VERBS.verb(
    "writes a register",
    *(REGISTER, VALUE),
    when=_can_write,
    actors="task vcpu",
    touches="cpu",
    tries=_writes,
    leads=[(("fpcr", 0), (0x100,))],
)
def write(m: Program, actor: str, reg: Reg, bits: Bits) -> None:
    m.write_register(m.contexts[actor], *reg, bits)


def _has_sme(m: Program, actor: str, *_: object) -> None:
    exists(m, "sme")
    in_program(m, actor)


@VERBS.verb("writes SVCR by MSR", Value(("svcr", 0)), when=_has_sme, actors="task vcpu")
def svcr_write(m: Program, actor: str, bits: Bits) -> None:
    if actor in m.vcpus:
        m.instruction(m.vcpus[actor], "sme")  # there are no SME guests
    else:
        m.write_register(m.tasks[actor], "svcr", 0, bits)


def _modes(w: World, who: str, current: str) -> Iterator[Try]:
    if "sme" in w.settings and w.features_of(who) is None:
        yield Try(("sme",), ("sm",))
        yield Try(("za",), ("za",))


@VERBS.verb(
    "SMSTART: PSTATE.SM, PSTATE.ZA, or both",
    words("both sm za", optional=True),
    when=_has_sme,
    actors="task vcpu",
    touches="cpu",
    tries=_modes,
)
def smstart(m: Program, actor: str, which: str) -> None:
    _smstartstop(m, actor, which, start=True)


@VERBS.verb(
    "SMSTOP",
    words("both sm za", optional=True),
    when=_has_sme,
    actors="task vcpu",
    touches="cpu",
    tries=_modes,
)
def smstop(m: Program, actor: str, which: str) -> None:
    _smstartstop(m, actor, which, start=False)


def _smstartstop(m: Program, actor: str, which: str, start: bool) -> None:
    mask = {"sm": SVCR_SM_MASK, "za": SVCR_ZA_MASK}.get(which, SVCR_SM_MASK | SVCR_ZA_MASK)
    if m.instruction(m.contexts[actor], "sme") and actor in m.tasks:  # there are no SME guests
        svcr = m.cpu.svcr
        m.write_svcr(m.task_due[actor], svcr | mask if start else svcr & ~mask)


def _has_sve(m: Program, actor: str) -> None:
    in_program(m, actor)
    exists(m, "sve")


@VERBS.verb("reads its vector length in bytes, by RDVL", when=_has_sve, actors="task vcpu")
def rdvl(m: Program, actor: str) -> None:
    """In streaming mode it is that of the streaming mode, as RDSVL would say."""
    if m.instruction(m.contexts[actor], "sve"):
        m.returned = 16 * m.current_vq()
