"""What a program does with its own registers, in a task or in a guest."""

from __future__ import annotations

from harness.model.arm64.cpu.sysreg import SVCR_SM_MASK, SVCR_ZA_MASK
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import exists
from harness.model.arm64.stimuli.table import VERBS
from harness.model.operands import REGISTER, VALUE, Bits, Reg, Value, words
from harness.model.places import in_guest, in_user


@VERBS.verb(
    "reads a register",
    REGISTER,
    actors="task vcpu",
    reads=True,
)
def read(m: Program, actor: str, reg: Reg) -> None:
    if actor in m.vcpus:
        m.read_register(in_guest(m, actor), *reg)
    else:
        m.read_register(in_user(m, actor), *reg)


@VERBS.verb("writes a register", REGISTER, VALUE, actors="task vcpu", touches="cpu")
def write(m: Program, actor: str, reg: Reg, bits: Bits) -> None:
    if actor in m.vcpus:
        m.write_register(in_guest(m, actor), *reg, bits)
    else:
        m.write_register(in_user(m, actor), *reg, bits)


@VERBS.verb(
    "writes SVCR by MSR",
    Value(("svcr", 0)),
    actors="task vcpu",
)
def svcr_write(m: Program, actor: str, bits: Bits) -> None:
    exists(m, "sme")
    if actor in m.vcpus:
        m.instruction(in_guest(m, actor), "sme")  # there are no SME guests
    else:
        m.write_register(in_user(m, actor), "svcr", 0, bits)


@VERBS.verb(
    "SMSTART: PSTATE.SM, PSTATE.ZA, or both",
    words("both sm za", optional=True),
    actors="task vcpu",
    touches="cpu",
)
def smstart(m: Program, actor: str, which: str) -> None:
    _smstartstop(m, actor, which, start=True)


@VERBS.verb("SMSTOP", words("both sm za", optional=True), actors="task vcpu", touches="cpu")
def smstop(m: Program, actor: str, which: str) -> None:
    _smstartstop(m, actor, which, start=False)


def _smstartstop(m: Program, actor: str, which: str, start: bool) -> None:
    exists(m, "sme")
    mask = {"sm": SVCR_SM_MASK, "za": SVCR_ZA_MASK}.get(which, SVCR_SM_MASK | SVCR_ZA_MASK)
    if actor in m.vcpus:
        vcpu = in_guest(m, actor)
        m.instruction(vcpu, "sme")  # there are no SME guests
        return
    task = in_user(m, actor)
    if m.instruction(task, "sme"):
        svcr = m.cpu.svcr
        owed = m.task_due[actor]
        m.write_svcr(owed, svcr | mask if start else svcr & ~mask)


@VERBS.verb("reads its vector length in bytes, by RDVL", actors="task vcpu", touches="cpu")
def rdvl(m: Program, actor: str) -> None:
    """In streaming mode it is that of the streaming mode, as RDSVL would say."""
    who = in_guest(m, actor) if actor in m.vcpus else in_user(m, actor)
    exists(m, "sve")
    if m.instruction(who, "sve"):
        m.returned = 16 * m.current_vq()
