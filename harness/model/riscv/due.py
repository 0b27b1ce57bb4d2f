"""What programs, guests and VMMs are entitled to find: the judge's own book.

The modelled kernel (host/, kvm/) neither reads nor writes any of it. A stimulus says what was
asked for and how that was answered (an errno, an SBI error), and these functions make the new
entitlement of the old one and of that alone: by the manuals, Documentation/arch/riscv (vector.rst,
uabi.rst), the SBI specification and Documentation/virt/kvm/api.rst. No function here looks at a
register or at memory. One module, so that all that decides what is right can be read in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from harness.model.marks import Name
from harness.model.riscv.cpu.csr import (
    ENVCFG_ADUE,
    ENVCFG_CBCFE,
    ENVCFG_CBIE,
    ENVCFG_CBZE,
    ENVCFG_PBMTE,
    ENVCFG_PMM,
    ENVCFG_STCE,
    EXC_INST_MISALIGNED,
    EXC_INST_PAGE_FAULT,
    EXC_LOAD_PAGE_FAULT,
    EXC_STORE_PAGE_FAULT,
    EXC_SYSCALL,
    IRQ_VS_EXT,
    IRQ_VS_SOFT,
    IRQ_VS_TIMER,
    SMSTATEEN0_AIA,
    SMSTATEEN0_AIA_IMSIC,
    SMSTATEEN0_AIA_ISEL,
    SMSTATEEN0_SSTATEEN0,
    SR_SIE,
    SR_SPIE,
    SR_SPP,
)
from harness.model.riscv.cpu.pointer_masking import pmm_of
from harness.model.riscv.cpu.state import FCSR, NO_CSRS, V_CSRS, VsCsrs
from harness.model.riscv.cpu.warl import legal_fp, legal_sepc, legal_vector, legal_vs, vlmax
from harness.model.riscv.host.process import (
    PR_PMLEN_MASK,
    PR_PMLEN_SHIFT,
    PR_TAGGED_ADDR_ENABLE,
)
from harness.model.riscv.host.state import Host
from harness.model.riscv.host.vector import discarded
from harness.model.riscv.kvm.uapi import reg_name
from harness.model.riscv.kvm.vcpu_fp import set_word
from harness.model.values import EMPTY, ZERO, Bank, Val, trim

# Tasks -------------------------------------------------------------------------------

V_ALLOWED = 2  # PR_RISCV_V_VSTATE_CTRL_ON
V_INHERIT = 1 << 4
_WORD = (1 << 32) - 1
_NAN_BOX = _WORD << 32


class FrameDue(NamedTuple):
    """What a program was entitled to when a signal came; None: it had no vectors in use."""

    f: Bank
    v: Bank | None


@dataclass(slots=True, eq=False)
class TaskDue:
    """What a task's program is entitled to.

    `v_used`: it has used vectors since exec(). `control` is PR_RISCV_V_GET_CONTROL's answer,
    `tags` the length that the tagged address ABI of its memory `mm` strips. `kernel_v` is what a
    section of the kernel's own has in the vector registers.
    """

    name: Name
    mm: Name = ""
    f: Bank = EMPTY
    v: Bank = EMPTY
    v_used: bool = False
    envcfg: int = 0
    control: int = V_ALLOWED
    tags: int = 0
    frames: tuple[FrameDue, ...] = ()
    kernel_v: Bank = EMPTY


def svc(due: TaskDue, vlenb: int, discards: bool) -> None:
    """A system call leaves vectors unspecified; since v6.5 (`discards`) to all ones."""
    if discards and due.v_used:
        due.v = discarded(vlenb)


def first_use(due: TaskDue) -> None:
    """The first vector instruction finds zeros."""
    due.v, due.v_used = EMPTY, True


def signal(due: TaskDue) -> None:
    due.frames = (*due.frames, FrameDue(due.f, due.v if due.v_used else None))


def sigreturn(due: TaskDue) -> None:
    *rest, frame = due.frames
    due.frames, due.f = tuple(rest), frame.f
    if frame.v is not None:
        due.v = frame.v


def fork(parent: TaskDue, child: TaskDue, clone_vm: bool) -> None:
    """A child has its parent's FP registers and settings, and no vectors yet."""
    child.f, child.v, child.v_used = parent.f, EMPTY, False
    child.envcfg, child.control = parent.envcfg, parent.control
    child.mm = parent.mm if clone_vm else child.name
    child.tags = parent.tags


def exec_(due: TaskDue) -> None:
    """A new program starts with nothing, but for what was asked for its vectors."""
    due.f = due.v = EMPTY
    due.v_used, due.frames, due.tags = False, (), 0
    due.envcfg &= ~ENVCFG_PMM
    following, inherit = due.control >> 2 & 0b11, due.control & V_INHERIT
    due.control = (following or V_ALLOWED) | (following << 2 if inherit else 0) | inherit


def v_control(due: TaskDue, arg: int) -> None:
    """PR_RISCV_V_SET_CONTROL has been accepted; 0 leaves the present setting."""
    due.control = arg & ~0b11 | (arg & 0b11 or due.control & 0b11)


def tagged(due: TaskDue, arg: int, lengths: frozenset[int], with_abi: bool) -> None:
    """PR_SET_TAGGED_ADDR_CTRL has been accepted: the smallest length that is enough.

    `with_abi`: without PR_TAGGED_ADDR_ENABLE nothing is masked (v7.0 to v7.2).
    """
    asked = (arg & PR_PMLEN_MASK) >> PR_PMLEN_SHIFT
    pmlen = min((n for n in lengths if n >= asked), default=0) if asked else 0
    due.tags = pmlen if arg & PR_TAGGED_ADDR_ENABLE else 0
    if with_abi:
        pmlen = due.tags
    due.envcfg = due.envcfg & ~ENVCFG_PMM | pmm_of(pmlen)


# Guests ------------------------------------------------------------------------------

NEVER = (1 << 64) - 1
INTERRUPTS = 1 << IRQ_VS_SOFT | 1 << IRQ_VS_EXT


class Kept(NamedTuple):
    """What a vcpu was entitled to when its VMM saved it."""

    f: Bank
    v: Bank
    x: Bank
    senvcfg: Val
    vs: VsCsrs
    timecmp: int
    scounteren: int | None
    siselect: int | None
    pmlen: int
    misaligned: bool
    armed: bool
    locked: frozenset[str]
    on: frozenset[str]
    ssp: Val
    accepted: tuple[tuple[int, tuple[int, ...]], ...]
    wrong: tuple[str, ...]  # what was not right then


@dataclass(slots=True, eq=False)
class VcpuDue:
    """What a guest and its VMM are entitled to.

    `vs` are the CSRs of VS-mode as they were last written, `pc` where it goes on. What nobody
    has set since the reset is None in `scounteren` and `siselect`. `pmlen` and `misaligned` are
    what FWFT has been set to, `on` its features that are 1. `accepted` are the registers that
    KVM_SET_ONE_REG has taken, each with what a KVM_GET_ONE_REG gave right after it. `reset` is
    where a reset that has been asked for goes on (pc, a0, a1), `fresh` tells that nothing has been
    set since the last one. `debug` says that a VMM wants the breakpoints.
    """

    name: Name
    f: Bank = EMPTY
    v: Bank = EMPTY
    x: Bank = EMPTY
    pc: int = 0
    senvcfg: Val = ZERO
    vs: VsCsrs = NO_CSRS
    timecmp: int = NEVER
    scounteren: int | None = None
    siselect: int | None = None
    pmlen: int = 0
    misaligned: bool = False
    locked: frozenset[str] = frozenset()  # features of FWFT
    on: frozenset[str] = frozenset()
    ssp: Val = ZERO
    armed: bool = False  # the timer, where the kernel has to keep time itself
    accepted: tuple[tuple[int, tuple[int, ...]], ...] = ()
    reset: tuple[int, int, int] | None = None
    fresh: bool = True
    answer: bool = False  # an SBI call waits for its VMM's
    debug: bool = False
    kept: Kept | None = None


def set_accepted(due: VcpuDue, reg: int, bits: tuple[int, ...]) -> None:
    due.accepted = tuple(sorted({**dict(due.accepted), reg: bits}.items()))


def forget(due: VcpuDue, gone: frozenset[str]) -> None:
    """Registers of these groups are no longer the VMM's: a guest, or a reset, has them now."""
    if due.accepted:
        # The time is the VM's, which no guest and no reset changes.
        due.accepted = tuple(
            (reg, bits)
            for reg, bits in due.accepted
            if reg_name(reg) == "timer.time" or reg_name(reg).partition(".")[0] not in gone
        )


def keep(due: VcpuDue, wrong: tuple[str, ...]) -> None:
    due.kept = Kept(
        *(due.f, due.v, due.x, due.senvcfg, due.vs, due.timecmp, due.scounteren, due.siselect),
        *(due.pmlen, due.misaligned, due.armed, due.locked, due.on, due.ssp, due.accepted, wrong),
    )


def take_over(due: VcpuDue, kept: Kept, missed: frozenset[str]) -> None:
    """A vcpu into which another one has been restored is entitled to what that one had.

    What its own VMM has set stands. That registers are `missed` has been said.
    """
    due.f, due.v, due.x, due.senvcfg, due.vs, due.timecmp = kept[:6]
    due.scounteren, due.siselect, due.pmlen, due.misaligned, due.armed, due.locked = kept[6:12]
    due.on, due.ssp = kept.on, kept.ssp
    accepted = {reg: bits for reg, bits in kept.accepted if reg_name(reg) not in missed}
    accepted |= dict(due.accepted)
    due.accepted = tuple(sorted(accepted.items()))
    due.fresh = False


# What of henvcfg and hstateen0 is on for a guest with an extension (privileged specification,
# 1.13, 18.2.5; AIA 1.0, 1.4). ADUE is not where Svade is what the guest asks for.
HENVCFG = {
    "svpbmt": ENVCFG_PBMTE,
    "sstc": ENVCFG_STCE,
    "zicbom": ENVCFG_CBIE | ENVCFG_CBCFE,
    "zicboz": ENVCFG_CBZE,
    "svadu": ENVCFG_ADUE,
}
HSTATEEN0 = {
    "smstateen": SMSTATEEN0_SSTATEEN0,
    "ssaia": SMSTATEEN0_AIA_IMSIC | SMSTATEEN0_AIA | SMSTATEEN0_AIA_ISEL,
}
# Exceptions that a guest's kernel handles itself, and the interrupts of VS-mode.
HEDELEG = sum(
    1 << n
    for n in (
        *(EXC_INST_MISALIGNED, EXC_SYSCALL),
        *(EXC_INST_PAGE_FAULT, EXC_LOAD_PAGE_FAULT, EXC_STORE_PAGE_FAULT),
    )
)
HIDELEG = 1 << IRQ_VS_SOFT | 1 << IRQ_VS_TIMER | 1 << IRQ_VS_EXT


def granted(table: dict[str, int], isa: frozenset[str]) -> int:
    """The bits of these that a guest with this ISA has."""
    return sum(bits for name, bits in table.items() if name in isa)


def read_back(due: VcpuDue, name: str, host: Host, doubles: bool) -> tuple[tuple[int, ...], ...]:
    """What KVM_GET_ONE_REG may give for a register of the guest's; () where anything goes.

    As it was set, or as this machine holds it: a vcpu may have been loaded since. Zeros at the
    top are left out.
    """
    group, _, member = name.partition(".")
    field = f"v{member}"
    if group == "core" and member[0] == "x":
        return (_bits(due.x, int(member[1:])),)
    if name in ("core.pc", "timer.compare"):
        number = due.pc if member == "pc" else due.timecmp
        return (number,) if number else (), (legal_sepc(number),) if legal_sepc(number) else ()
    if group == "csr" and field in VsCsrs._fields and member != "sstatus":
        every = {getattr(due.vs, field), getattr(vs_on(due, host), field)}
        return tuple((number,) if number else () for number in every)
    if group == "fp_f" and not doubles and member != "fcsr":
        return (_bits(due.f, int(member[1:]), _WORD),)  # a NaN box is not read
    if group == "fp_d":
        n = FCSR if member == "fcsr" else int(member[1:])
        return _bits(due.f, n), _bits(f_on(due), n)
    if group == "vector" and member not in ("vlenb", "datap"):
        n = V_CSRS.get(member, -1)
        n = int(member[1:]) if n < 0 else n
        return _bits(due.v, n), _bits(v_on(due, host), n)
    return ()


def _bits(bank: Bank, n: int, mask: int = -1) -> tuple[int, ...]:
    quads = tuple(Val(val.bits & mask) for val in bank.regs.get(n, ()))
    return tuple(val.bits for val in trim(quads))


def reset_vcpu(due: VcpuDue, pc: int = 0, a0: int = 0, a1: int = 0) -> None:
    """Every register of the guest is zero; an SBI call says where it goes on."""
    due.f = due.v = due.x = EMPTY
    due.senvcfg, due.vs, due.pc = ZERO, NO_CSRS, pc
    due.timecmp, due.armed, due.locked = NEVER, False, frozenset()
    due.scounteren = due.siselect = None
    due.on, due.ssp = frozenset(), ZERO
    due.pmlen, due.misaligned, due.fresh, due.answer = 0, False, True, False
    due.reset = None
    for n, bits in ((10, a0), (11, a1)):
        due.x = due.x.set(n, (Val(bits),))


def trap_entry(due: VcpuDue, cause: int, stval: int, from_supervisor: bool) -> None:
    """An exception is taken in VS-mode."""
    vs = due.vs
    status = vs.vsstatus & ~(SR_SPP | SR_SPIE | SR_SIE)
    status |= SR_SPP if from_supervisor else 0
    status |= SR_SPIE if vs.vsstatus & SR_SIE else 0
    due.vs = vs._replace(vsstatus=status, vscause=cause, vstval=stval, vsepc=due.pc)
    due.pc = vs.vstvec & ~0b11  # BASE


def set_fwft(due: VcpuDue, feature: str, value: int) -> None:
    """FWFT_SET or ONE_REG has set a feature; a length that is too short for none is the next."""
    due.fresh = False
    if feature == "misaligned_deleg":
        due.misaligned = bool(value)
    elif feature != "pointer_masking":
        due.on = due.on | {feature} if value else due.on - {feature}
    elif value:
        due.pmlen = 7 if value <= 7 else 16
    else:
        due.pmlen = 0


def fwft_value(due: VcpuDue, feature: str) -> int:
    """What FWFT_GET says."""
    if feature == "pointer_masking":
        return due.pmlen
    return int(due.misaligned if feature == "misaligned_deleg" else feature in due.on)


def fwft_off(due: VcpuDue) -> None:
    """A VMM has switched FWFT off, which resets it (v7.3)."""
    due.pmlen, due.misaligned, due.locked, due.on = 0, False, frozenset(), frozenset()


def interrupt(due: VcpuDue, irq: int, on: bool) -> None:
    """An interrupt is raised, or taken back."""
    hvip = due.vs.hvip | 1 << irq if on else due.vs.hvip & ~(1 << irq)
    due.vs = due.vs._replace(hvip=hvip)


def fp_set(f: Bank, doubles: bool, words: bool, n: int, val: Val) -> Bank:
    """ONE_REG has set an FP register: both kinds are views of one piece of memory with D."""
    if not words:
        return f.set(n, (val,))
    if doubles:
        return set_word(f, n, val)
    return f.set(n, (val if n == FCSR else Val(val.bits | _NAN_BOX, val.origin),))


def f_on(due: VcpuDue) -> Bank:
    """The FP registers as a hart holds them."""
    return legal_fp(due.f)


def v_on(due: VcpuDue, host: Host) -> Bank:
    """The vector registers and CSRs as this machine holds them."""
    return legal_vector(due.v, host.vlenb)


def vsetvli(vtype: int, vlenb: int) -> tuple[tuple[str, int], ...]:
    """What vsetvli with as many elements as there can be leaves in the vector CSRs."""
    most = vlmax(vtype, 8 * vlenb)
    return (("vl", most), ("vtype", vtype if most else 1 << 63), ("vstart", 0))


def csr_set(due: VcpuDue, name: str, val: Val, sip: int) -> None:
    """ONE_REG has set a CSR: what a hart makes of it is for `vs_on()` to say."""
    if name == "senvcfg":
        due.senvcfg = val
    elif name == "scounteren":
        due.scounteren = val.bits
    elif name == "siselect":
        due.siselect = val.bits
    elif name == "sip":
        due.vs = due.vs._replace(hvip=sip)
    else:
        due.vs = due.vs._replace(**{f"v{name}": val.bits})


def vs_on(due: VcpuDue, host: Host) -> VsCsrs:
    """The CSRs of VS-mode as this machine holds them."""
    return legal_vs(host.isa, host.sv, due.vs, NO_CSRS)
