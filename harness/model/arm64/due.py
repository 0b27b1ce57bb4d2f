"""What programs, guests and the host's kernel are entitled to find: the judge's own book.

The modelled kernel (host/, kvm/) neither reads nor writes any of it. A stimulus says what was
asked for and how that was answered (an errno, a signal), and these functions make the new
entitlement of the old one and of that alone: by the Arm ARM, Documentation/arch/arm64 (sve.rst,
sme.rst) and Documentation/virt/kvm/api.rst. No function here looks at a register or at memory.

One module, so that all that decides what is right can be read in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from harness.model.arm64.cpu.cpu import VectorLengths, held, supported_vq
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.cpu.state import UNSET, ZA, ZT0, SysRegs
from harness.model.arm64.cpu.sysreg import (
    CPACR_EL1_FPEN,
    CPACR_EL1_MASK,
    CPACR_EL1_ZEN,
    FPCR_MASK,
    FPMR_MASK,
    FPSR_AFTER_SM_CHANGE,
    FPSR_MASK,
    SVCR_SM_MASK,
    SVCR_ZA_MASK,
    ZCR_ELX_LEN_MASK,
)
from harness.model.arm64.host.ptrace import (
    FPSIMD_LAYOUT,
    SVE_PT_REGS_SVE,
    Header,
    Payload,
    covered,
)
from harness.model.arm64.host.vl import (
    PR_SVE_SET_VL_ONEXEC,
    PR_SVE_VL_INHERIT,
    VL_ARCH_MAX,
)
from harness.model.arm64.kvm.uapi import KVM_ARM_VCPU_SME, KVM_ARM_VCPU_SVE
from harness.model.arm64.registers import KINDS, place
from harness.model.marks import Cpu, Name
from harness.model.values import EMPTY, ZERO, Bank, Quads, Val, spread

# Registers ---------------------------------------------------------------------------


class Regs(NamedTuple):
    """The registers of a program: as in cpu/state.py, Z holds V in its lowest quadwords."""

    z: Bank = EMPTY
    p: Bank = EMPTY
    za: Bank = EMPTY
    fpsr: Val = ZERO
    fpcr: Val = ZERO
    fpmr: Val = ZERO
    svcr: int = 0
    tpidr2_el0: Val = ZERO

    def with_z(self, z: Bank) -> Regs:
        """These with other Z registers; _replace() takes three times as long."""
        return Regs(z, *self[1:])

    @property
    def streaming(self) -> bool:
        return bool(self.svcr & SVCR_SM_MASK)


UNTOUCHED = Regs()


class Abi(NamedTuple):
    """What was argued over for vcpus with SME, see kvm/guest_sme.py: `sme-larger-vl`.

    `cpacr_res0`: the fields of CPACR_EL1 that these CPUs lack.
    """

    larger_vl: bool = False
    cpacr_res0: int = 0


_FIELDS = {
    "fpsr": FPSR_MASK,
    "fpcr": FPCR_MASK,
    "fpmr": FPMR_MASK,
    "zcr_el1": ZCR_ELX_LEN_MASK,
    "cpacr_el1": CPACR_EL1_MASK,
}


def kept(kind: str, val: Val, abi: Abi | None = None) -> Val:
    """What a register has fields for of a value that is written to it, or waits in memory."""
    if kind == "cpacr_el1" and abi is not None:
        val = held(val, ~abi.cpacr_res0)
    return held(val, _FIELDS[kind]) if kind in _FIELDS else val


def vectors_discarded(regs: Regs) -> Regs:
    """V is kept, the rest of Z, P and FFR are zero."""
    return regs._replace(z=regs.z.limit(1), p=EMPTY)


def smstop_sm(regs: Regs) -> Regs:
    """After SMSTOP SM."""
    return msr_svcr(regs, regs.svcr & ~SVCR_SM_MASK)


def msr_svcr(regs: Regs, svcr: int) -> Regs:
    """After MSR SVCR, SMSTART or SMSTOP: a change of SM zeroes, and so does one of ZA."""
    changed = regs.svcr ^ svcr
    if changed & SVCR_SM_MASK:
        fpsr = Val(FPSR_AFTER_SM_CHANGE)
        regs = regs._replace(z=EMPTY, p=EMPTY, fpsr=fpsr, fpmr=ZERO)
    if changed & SVCR_ZA_MASK:
        regs = regs._replace(za=EMPTY)
    return regs._replace(svcr=svcr)


def svc(regs: Regs) -> Regs:
    """A system call keeps V, FPCR, FPSR and ZA (sve.rst); PSTATE.SM comes back as 0 (sme.rst)."""
    return vectors_discarded(smstop_sm(regs))


def handler(regs: Regs) -> Regs:
    """A signal's handler begins with PSTATE.SM and PSTATE.ZA clear, and no dormant ZA."""
    return smstop_sm(regs)._replace(za=EMPTY, svcr=0, tpidr2_el0=ZERO)


def written(regs: Regs, kind: str, n: int, vals: Quads) -> Regs:
    """After a program's own write of V, ZA, ZT0 or a scalar; of Z and P see `vector`."""
    if kind == "v":
        return regs.with_z(regs.z.set(n, vals))
    if kind in ("za", "zt0"):
        return regs._replace(za=regs.za.set(KINDS[kind].first, vals))
    return with_scalar(regs, kind, vals[0])


def with_scalar(regs: Regs, kind: str, val: Val) -> Regs:
    """With another FPSR, FPCR or FPMR."""
    val = kept(kind, val)
    if kind == "fpsr":
        return regs._replace(fpsr=val)
    return regs._replace(fpcr=val) if kind == "fpcr" else regs._replace(fpmr=val)


def vector(regs: Regs, kind: str, n: int, vals: Quads) -> Regs:
    """After a write of a whole Z, P or FFR."""
    if kind == "z":
        return regs.with_z(regs.z.set(n, vals))
    return regs._replace(p=regs.p.set(KINDS[kind].first + n, vals))


# Tasks -------------------------------------------------------------------------------


class Length(NamedTuple):
    """A vector length in quadwords: now, what an exec() brings (0: the default), for how long."""

    vq: int
    onexec: int = 0
    inherit: bool = False


NO_LENGTH = Length(0)


@dataclass(slots=True, eq=False)
class TaskDue:
    """What a task's program is entitled to; `frames` of each signal handler that it is in.

    `neon` is what a section of kernel-mode NEON has in its registers.
    """

    name: Name
    regs: Regs = UNTOUCHED
    sve: Length = NO_LENGTH
    sme: Length = NO_LENGTH
    frames: tuple[Regs, ...] = ()
    neon: Bank = EMPTY

    @property
    def vq(self) -> int:
        """The vector length of Z and P."""
        return self.sme.vq if self.regs.svcr & SVCR_SM_MASK else self.sve.vq


def default_vq(lengths: tuple[int, ...], wanted: int) -> int:
    """/proc/sys/abi: 64 bytes for SVE, 32 for SME, or the next smaller length there is."""
    return supported_vq(wanted, lengths) if lengths else 0


def new_task(name: str, config: Config) -> TaskDue:
    sve, sme = default_vq(config.sve, 4), default_vq(config.sme, 2)
    return TaskDue(name, UNTOUCHED, Length(sve), Length(sme))


def set_length(due: TaskDue, sme: bool, vl: int, flags: int, lengths: tuple[int, ...]) -> None:
    """PR_SVE_SET_VL, PR_SME_SET_VL or a header of ptrace's has set a length of `vl` bytes.

    A change zeroes what is not V, and with a change of SME's length ZA is off.
    """
    vq = supported_vq(min(vl, VL_ARCH_MAX) // 16, lengths)
    was = due.sme if sme else due.sve
    now = was.vq if flags & PR_SVE_SET_VL_ONEXEC else vq
    length = Length(now, vq if flags else 0, bool(flags & PR_SVE_VL_INHERIT))
    if now != was.vq:
        regs = vectors_discarded(due.regs)
        if sme:
            regs = regs._replace(za=EMPTY, svcr=regs.svcr & ~SVCR_ZA_MASK)
        due.regs = regs
    if sme:
        due.sme = length
    else:
        due.sve = length


def length_again(due: TaskDue, sme: bool) -> None:
    """A debugger writes back the header that it has read: what was asked of exec() alone goes."""
    length = due.sme if sme else due.sve
    length = Length(length.vq, length.vq if length.inherit else 0, length.inherit)
    if sme:
        due.sme = length
    else:
        due.sve = length


def fork(parent: TaskDue, child: TaskDue, clone_vm: bool) -> None:
    """A child has its parent's registers, as the system call leaves them, and its lengths.

    A thread that shares its parent's memory must not have its ZA: the lazy saving scheme of
    AAPCS64 would restore it from there twice.
    """
    regs = svc(parent.regs)
    if clone_vm:
        regs = regs._replace(za=EMPTY, svcr=0, tpidr2_el0=ZERO)
    child.regs, child.sve, child.sme = regs, parent.sve, parent.sme
    child.frames = () if clone_vm else parent.frames  # a thread has a stack of its own


def exec_(due: TaskDue, config: Config) -> None:
    """A new program starts with nothing but the lengths that were asked for."""
    due.regs, due.frames = UNTOUCHED, ()
    due.sve = _at_exec(due.sve, default_vq(config.sve, 4))
    due.sme = _at_exec(due.sme, default_vq(config.sme, 2))


def _at_exec(length: Length, default: int) -> Length:
    onexec = length.onexec if length.inherit else 0
    return Length(length.onexec or default, onexec, length.inherit)


# Signal frames -----------------------------------------------------------------------


def frame_written(regs: Regs, n: int, val: Val) -> Regs:
    """The FPSIMD record counts for the low quadword, whatever the SVE record says."""
    return regs._replace(z=regs.z.set(n, (val, *regs.z.regs.get(n, ())[1:])))


def frame_fpsimd(regs: Regs) -> Regs:
    """A frame with its FPSIMD record alone."""
    return vectors_discarded(regs)._replace(svcr=regs.svcr & ~SVCR_SM_MASK)


def frame_streaming(regs: Regs, vq: int) -> Regs:
    """A frame whose SVE record says that it is a streaming one."""
    svcr = regs.svcr | SVCR_SM_MASK
    return regs._replace(z=regs.z.limit(vq), p=regs.p.limit(vq), svcr=svcr)


def frame_sve(regs: Regs, vq: int) -> Regs:
    """A frame whose SVE record, with registers, says that it is not a streaming one."""
    svcr = regs.svcr & ~SVCR_SM_MASK
    return regs._replace(z=regs.z.limit(max(vq, 1)), p=regs.p.limit(vq), svcr=svcr)


# ptrace ------------------------------------------------------------------------------


def fpr_set(regs: Regs, data: Payload) -> Regs:
    """NT_PRFPREG up to where `data` ends: what it does not reach stays; Z is V alone."""
    reached = covered(FPSIMD_LAYOUT, data)
    z = regs.z.limit(1)
    for (kind, n), vals in reached.items():
        if kind == "v":
            z = z.set(n, vals)
    return _status(regs._replace(z=z, p=EMPTY), reached)


def v_set(regs: Regs, n: int, vals: Quads) -> Regs:
    """The same of one V register, by a debugger that writes back the others as it read them."""
    return regs._replace(z=regs.z.limit(1).set(n, vals), p=EMPTY)


def _status(regs: Regs, data: Payload) -> Regs:
    for kind in ("fpsr", "fpcr"):
        if (kind, 0) in data:
            regs = with_scalar(regs, kind, (data[kind, 0] or (ZERO,))[0])
    return regs


def sve_set(
    due: TaskDue,
    sme: bool,
    header: Header,
    data: Payload,
    errno: str | None,
    lengths: tuple[int, ...],
) -> None:
    """NT_ARM_SVE or NT_ARM_SSVE: the payload, and zero beyond it, in the mode of the set.

    With a length that there is not, and so another in force, the rest of the write fails
    (EIO): mode and length have changed by then. A debugger finds out by reading again.
    """
    if errno not in (None, "EIO"):
        return
    if header.vl:
        set_length(due, sme, header.vl, (header.flags & ~SVE_PT_REGS_SVE) << 16, lengths)
    z, p = EMPTY, EMPTY
    if errno:
        data = {}
    for (kind, n), vals in data.items():
        if kind in ("v", "z"):
            z = z.set(n, vals)
        elif kind in ("p", "ffr"):
            p = p.set(place(kind, n)[1], vals)
    svcr = due.regs.svcr | SVCR_SM_MASK if sme else due.regs.svcr & ~SVCR_SM_MASK
    regs = due.regs._replace(z=z, p=p, fpsr=ZERO, fpcr=ZERO, svcr=svcr)
    due.regs = _status(regs, data)


def za_set(
    due: TaskDue, header: Header, data: Quads | None, errno: str | None, lengths: tuple[int, ...]
) -> None:
    """NT_ARM_ZA, whole; without data PSTATE.ZA is cleared. EIO as in sve_set()."""
    if errno not in (None, "EIO"):
        return
    set_length(due, True, header.vl, header.flags << 16, lengths)
    regs = due.regs
    if data is None:
        due.regs = regs._replace(za=EMPTY, svcr=regs.svcr & ~SVCR_ZA_MASK)
    elif not errno:
        due.regs = regs._replace(za=regs.za.set(ZA, data), svcr=regs.svcr | SVCR_ZA_MASK)


def zt_set(regs: Regs, data: Quads) -> Regs:
    """NT_ARM_ZT: ZT0, which comes with ZA on."""
    return regs._replace(za=regs.za.set(ZT0, data), svcr=regs.svcr | SVCR_ZA_MASK)


# Guests ------------------------------------------------------------------------------


class GuestSys(NamedTuple):
    """System registers of a guest's EL1; `booted`: its kernel has set them up."""

    cpacr_el1: int = 0
    zcr_el1: int = 0
    smcr_el1: int = 0
    dbgbvr0_el1: Val = ZERO
    dbgbvr1_el1: Val = ZERO
    booted: bool = False


RESET = GuestSys()


class Kept(NamedTuple):
    """What a vcpu was entitled to when its VMM saved it, and its vector lengths then.

    `vq` is the present one, `sme_vq` the largest of SME (0 without).
    """

    regs: Regs
    sys: GuestSys
    vq: int
    sme_vq: int


@dataclass(slots=True, eq=False)
class VcpuDue:
    """What a guest is entitled to.

    `sve_vq` and `sme_vq` are its largest vector lengths, 0 without SVE and without SME.
    """

    name: Name
    regs: Regs = UNTOUCHED
    sys: GuestSys = RESET
    sve_vq: int = 0
    sme_vq: int = 0
    finalized: bool = False
    kept: Kept | None = None

    def vq(self, lengths: tuple[int, ...]) -> int:
        """The vector length of Z and P that the guest has chosen, on a host with `lengths`."""
        if self.sme_vq and self.regs.svcr & SVCR_SM_MASK:
            return self.sme_vq
        return supported_vq(min(self.sys.zcr_el1 + 1, self.sve_vq or 1), lengths)


def vcpu_init(
    due: VcpuDue, features: tuple[int, ...], lengths: VectorLengths, sme_guests: bool
) -> None:
    """KVM_ARM_VCPU_INIT: every register is reset; lengths stay once they are final."""
    due.regs, due.sys = UNTOUCHED, RESET
    if KVM_ARM_VCPU_SVE in features and not due.finalized:
        due.sve_vq = lengths.sve[-1]
    if sme_guests and KVM_ARM_VCPU_SME in features and not due.finalized:
        due.sme_vq = lengths.sme[-1]


def boot(due: VcpuDue) -> GuestSys:
    """What a Linux guest does first: FP (and SVE) open at its EL1, ZCR_EL1.LEN at its largest."""
    cpacr = CPACR_EL1_FPEN | (CPACR_EL1_ZEN if due.sve_vq else 0)
    zcr = due.sve_vq - 1 if due.sve_vq else due.sys.zcr_el1
    return due.sys._replace(cpacr_el1=cpacr, zcr_el1=zcr, booted=True)


def one_reg(due: VcpuDue, kind: str, n: int, vals: Quads, abi: Abi) -> None:
    """KVM_SET_ONE_REG has accepted a value: it is the guest's."""
    regs, sys = due.regs, due.sys
    if kind == "sve_vls":
        due.sve_vq = vals[0].bits.bit_length()
    elif kind == "sme_vls":
        due.sme_vq = vals[0].bits.bit_length()
    elif kind in ("z", "p", "ffr"):
        due.regs = vector(regs, kind, n, spread(vals, _visible_vq(due, abi)))
    elif kind in ("za", "zt0"):
        # While SVCR.ZA is 0 neither exists, and a write that is accepted does nothing.
        number = place(kind, n, rows=True)[1]
        width = due.sme_vq if kind == "za" else KINDS[kind].quads
        if regs.svcr & SVCR_ZA_MASK:
            due.regs = regs._replace(za=regs.za.set(number, spread(vals, width)))
    elif kind == "svcr":
        svcr = vals[0].bits
        due.regs = regs._replace(svcr=svcr) if abi.larger_vl else msr_svcr(regs, svcr)
    elif kind in ("v", "fpsr", "fpcr", "fpmr"):
        due.regs = written(regs, kind, n, vals)
    elif kind == "dbgbvr0_el1":
        due.sys = sys._replace(dbgbvr0_el1=vals[0])
    elif kind == "dbgbvr1_el1":
        due.sys = sys._replace(dbgbvr1_el1=vals[0])
    elif kind == "cpacr_el1":
        due.sys = sys._replace(cpacr_el1=kept(kind, vals[0], abi).bits, booted=True)
    elif kind == "zcr_el1":
        due.sys = sys._replace(zcr_el1=kept(kind, vals[0]).bits)
    else:
        due.sys = sys._replace(smcr_el1=vals[0].bits)


def read_back(due: VcpuDue, kind: str, n: int, abi: Abi, vq: int) -> Quads | None:
    """What KVM_GET_ONE_REG must give (RES0 aside), None where that is not for the guest to say.

    Of Z and P as much as the guest has, `vq` quadwords.
    """
    regs, sys = due.regs, due.sys
    bank, number = place(kind, n, rows=True)
    if bank == "za" and not regs.svcr & SVCR_ZA_MASK:
        return None
    if bank:
        width = KINDS[kind].quads or min(vq, _visible_vq(due, abi))
        width = due.sme_vq if kind == "za" else width
        held: Bank = getattr(regs, bank)
        return tuple(held.get(number, quad) for quad in range(width))
    if kind in ("fpsr", "fpcr", "fpmr"):
        return (getattr(regs, kind),)
    if kind == "svcr":
        return (Val(regs.svcr),)
    if kind in ("sve_vls", "sme_vls"):
        return None  # the lengths of the host up to the largest one
    value = getattr(sys, kind)
    return (value if isinstance(value, Val) else Val(value),)


def _visible_vq(due: VcpuDue, abi: Abi) -> int:
    """The length that Z and P have to user space."""
    if not due.sme_vq:
        return due.sve_vq
    if abi.larger_vl:
        return max(due.sve_vq, due.sme_vq)
    return due.sme_vq if due.regs.streaming else due.sve_vq


# The host's kernel -------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class HostDue:
    """What the host's kernel has set on one CPU, and so must find there."""

    id: Cpu
    sys: SysRegs = UNSET
