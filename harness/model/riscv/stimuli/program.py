"""What a program does with its own registers and memory, in a task or in a guest."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.base import Refused
from harness.model.operands import ADDRESS, NUMBER, REGISTER, VALUE, Number, Reg, words
from harness.model.places import in_guest, in_program, in_user, loaded
from harness.model.riscv import due
from harness.model.riscv.cpu.access import CBOS
from harness.model.riscv.cpu.csr import (
    DIRTY,
    ENVCFG_CBCFE,
    ENVCFG_CBZE,
    OFF,
    get_fs,
    get_vs,
    with_fs,
    with_vs,
)
from harness.model.riscv.cpu.csrs import CSRS
from harness.model.riscv.cpu.pointer_masking import Access, canonical, pmlen_of, transform
from harness.model.riscv.cpu.state import V_CSRS
from harness.model.riscv.host.state import Task
from harness.model.riscv.host.vector import OPCODE_LOADFP, OPCODE_VECTOR, chunks
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.guest import (
    FAULTS,
    can_read,
    guest_access,
    guest_cbo,
    guest_fault,
    guest_insn,
    guest_page,
    guest_read,
    guest_vsetvli,
    guest_write,
    hypervisor_access,
    legal,
    number_of,
    whole,
)
from harness.model.riscv.stimuli.table import VERBS
from harness.model.tasks import Mode
from harness.model.values import set_both
from harness.model.verbs import Try, Where
from harness.model.world import World

INSTRUCTIONS = ("nop", "sfence_vma", "hfence_gvma", "wfi", "wfi_unmapped", "jalr")


def _can_read(m: Program, actor: str, reg: Reg) -> None:
    in_program(m, actor)
    if actor in m.vcpus:
        can_read(m, m.vcpus[actor], reg)


@VERBS.verb("reads a register or a CSR", REGISTER, when=_can_read, actors="task vcpu", reads=True)
def read(m: Program, actor: str, reg: Reg) -> None:
    if actor in m.vcpus:
        guest_read(m, m.vcpus[actor], reg)
    elif _has_state(m, m.tasks[actor], reg):
        bank = m.cpu.v if _vector(m, reg) else m.cpu.f
        m.seen = whole(m, bank, reg[1]) if reg[0] == "v" else (bank.get(number_of(reg)),)


def _writes(w: World, who: str, current: str) -> Iterator[Try]:
    """One register of each kind, as kernels handle all of a kind alike."""
    guest = w.features_of(who) is not None
    where: Where = "guest" if guest else "user"
    groups = ("run",) if guest else ()
    if w.lists("isa", "f", "d"):
        yield Try((*groups, "fp"), (("f", 0), None), where)
    if w.lists("isa", "v"):
        yield Try((*groups, "vector"), (("v", 0), None), where)
    if guest and w.lists("isa", "zicbom", "zicboz"):
        value = ENVCFG_CBCFE if w.lists("isa", "zicbom") else ENVCFG_CBZE
        yield Try(("run", "csr"), (("senvcfg", 0), (value,)), where)
    if guest and w.lists("isa", "smstateen"):
        yield Try(("run", "csr"), (("sstateen0", 0), (1,)), where)


@VERBS.verb(
    "writes a register or a CSR",
    *(REGISTER, VALUE),
    when=in_program,
    actors="task vcpu",
    touches="cpu",
    tries=_writes,
)
def write(m: Program, actor: str, reg: Reg, bits: tuple[int, ...]) -> None:
    if actor in m.vcpus:
        guest_write(m, m.vcpus[actor], reg, bits)
        return
    task = m.tasks[actor]
    if not _has_state(m, task, reg):
        return
    if reg[0] in CSRS and CSRS[reg[0]].read_only:
        kill(m, task, "SIGILL")
        return
    vals = tuple(m.val(b, actor) for b in legal(m, reg[0], bits))
    owed = m.task_due[actor]
    if _vector(m, reg):
        owed.v, m.cpu.v = set_both(owed.v, m.cpu.v, number_of(reg), vals)
        task.status = with_vs(task.status, DIRTY)
    else:
        owed.f, m.cpu.f = set_both(owed.f, m.cpu.f, number_of(reg), vals)
        task.status = with_fs(task.status, DIRTY)


@VERBS.verb(
    "sets vtype, and vl to as many elements as a register group has",
    Number(place="VTYPE"),
    when=in_program,
    actors="task vcpu",
)
def vsetvli(m: Program, actor: str, vtype: int) -> None:
    if actor in m.vcpus:
        guest_vsetvli(m, m.vcpus[actor], vtype)
        return
    task = m.tasks[actor]
    if not _has_state(m, task, ("vtype", 0)):
        return
    owed = m.task_due[actor]
    for name, bits in due.vsetvli(vtype, m.host.vlenb):
        vals = (m.val(bits, actor),)
        owed.v, m.cpu.v = set_both(owed.v, m.cpu.v, V_CSRS[name], vals)
    task.status = with_vs(task.status, DIRTY)


def _has_base(m: Program, actor: str, base: int) -> None:
    in_user(m, actor)
    if not 0 < base < 32:
        raise Refused(f"x{base} is no base register: x1 to x31 are")


@VERBS.verb("loads v0 whole, by VL1R, from where this x register points", NUMBER, when=_has_base)
def vl1r(m: Program, actor: str, base: int) -> None:
    """VL1RE8.V v0, (xN): the register is in bits 15 to 19, and no vtype is asked for."""
    task = m.tasks[actor]
    if not _has_state(m, task, ("v", 0), OPCODE_LOADFP | base << 15):
        return
    vals = tuple(m.val(0xA8, actor) for _ in chunks(m.host.vlenb))
    owed = m.task_due[actor]
    owed.v, m.cpu.v = set_both(owed.v, m.cpu.v, 0, vals)
    task.status = with_vs(task.status, DIRTY)


@VERBS.verb("executes an instruction", words(INSTRUCTIONS), when=in_guest, actors="vcpu")
def insn(m: Program, actor: str, what: str) -> None:
    guest_insn(m, m.vcpus[actor], what)


def _vector(m: Program, reg: Reg) -> bool:
    return reg[0] == "v" or reg[0] in V_CSRS


def _has_state(m: Program, task: Task, reg: Reg, insn: int = OPCODE_VECTOR) -> bool:
    """Whether the program can go on; its first vector instruction traps, and is made to."""
    if not _vector(m, reg):
        if get_fs(task.status) == OFF:
            kill(m, task, "SIGILL")
            return False
        return True
    if get_vs(task.status) != OFF:
        return True
    m.cost.traps += 1
    m.cpu.mode = Mode.KERNEL
    if not m.riscv_v_first_use_handler(task, insn):
        kill(m, task, "SIGILL")
        return False
    due.first_use(m.task_due[task.name])
    m.exit_to_user_mode()
    return True


def kill(m: Program, task: Task, signal: str) -> None:
    m.signal = task.killed = signal
    m.fatal = True


@VERBS.verb(
    "loads from an address that is mapped where the mask leaves it canonical",
    ADDRESS,
    when=in_program,
    actors="task vcpu",
)
def load(m: Program, actor: str, address: int) -> None:
    if actor in m.vcpus:
        guest_access(m, m.vcpus[actor], address, Access.DATA)
        return
    task = m.tasks[actor]
    m.address = transform(address, pmlen_of(m.cpu.senvcfg.bits), Access.DATA, True)
    if not canonical(m.address, m.host.sv) or m.address >> m.host.sv - 1:
        kill(m, task, "SIGSEGV")


@VERBS.verb("fetches an instruction from an address", ADDRESS, when=in_guest, actors="vcpu")
def fetch(m: Program, actor: str, address: int) -> None:
    guest_access(m, m.vcpus[actor], address, Access.FETCH)


@VERBS.verb("is loaded, and KVM reads its memory by HLV", ADDRESS, when=loaded, actors="vcpu")
def hlv(m: Program, actor: str, address: int) -> None:
    hypervisor_access(m, m.vcpus[actor], address, Access.DATA)


@VERBS.verb(
    "is loaded, and KVM reads an instruction of it by HLVX", ADDRESS, when=loaded, actors="vcpu"
)
def hlvx(m: Program, actor: str, address: int) -> None:
    hypervisor_access(m, m.vcpus[actor], address, Access.HLVX)


@VERBS.verb("raises an exception", words(FAULTS), when=in_guest, actors="vcpu")
def fault(m: Program, actor: str, what: str) -> None:
    guest_fault(m, m.vcpus[actor], what)


@VERBS.verb(
    "loads by a PTE with PBMT bits, by one whose A or D bit is clear, or by one that is not valid",
    words("pbmt ad invalid"),
    when=in_guest,
    actors="vcpu",
)
def page(m: Program, actor: str, page: str) -> None:
    guest_page(m, m.vcpus[actor], page)


@VERBS.verb("does a cache-block operation", words(CBOS), when=in_guest, actors="vcpu")
def cbo(m: Program, actor: str, cbo: str) -> None:
    guest_cbo(m, m.vcpus[actor], cbo)


@VERBS.verb(
    "goes on in VS-mode, or in VU-mode", words("s u"), when=in_guest, actors="vcpu", leads=[("s",)]
)
def priv(m: Program, actor: str, mode: str) -> None:
    """SRET to VU-mode, or a trap that takes the guest back to VS-mode."""
    vcpu = m.vcpus[actor]
    spp = 1 << 8
    vcpu.sstatus = vcpu.sstatus | spp if mode == "s" else vcpu.sstatus & ~spp
