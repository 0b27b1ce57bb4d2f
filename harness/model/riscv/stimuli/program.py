"""What a program does with its own registers and memory, in a task or in a guest."""

from __future__ import annotations

from harness.model.base import Refused
from harness.model.operands import NUMBER, REGISTER, VALUE, Reg, words
from harness.model.places import in_guest, in_user, loaded
from harness.model.riscv import due
from harness.model.riscv.cpu.access import CBOS
from harness.model.riscv.cpu.csr import DIRTY, OFF, get_fs, get_vs, with_fs, with_vs
from harness.model.riscv.cpu.csrs import CSRS
from harness.model.riscv.cpu.pointer_masking import Access, canonical, pmlen_of, transform
from harness.model.riscv.cpu.state import V_CSRS
from harness.model.riscv.host.state import Task
from harness.model.riscv.host.vector import OPCODE_LOADFP, OPCODE_VECTOR, chunks
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.guest import (
    FAULTS,
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

INSTRUCTIONS = ("nop", "sfence_vma", "hfence_gvma", "wfi", "wfi_unmapped", "jalr")


@VERBS.verb(
    "reads a register or a CSR",
    REGISTER,
    actors="task vcpu",
    reads=True,
)
def read(m: Program, actor: str, reg: Reg) -> None:
    if actor in m.vcpus:
        guest_read(m, in_guest(m, actor), reg)
    elif _has_state(m, in_user(m, actor), reg):
        bank = m.cpu.v if _vector(m, reg) else m.cpu.f
        m.seen = whole(m, bank, reg[1]) if reg[0] == "v" else (bank.get(number_of(reg)),)


@VERBS.verb("writes one", REGISTER, VALUE, actors="task vcpu", touches="cpu")
def write(m: Program, actor: str, reg: Reg, bits: tuple[int, ...]) -> None:
    if actor in m.vcpus:
        guest_write(m, in_guest(m, actor), reg, bits)
        return
    task = in_user(m, actor)
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
    NUMBER,
    actors="task vcpu",
)
def vsetvli(m: Program, actor: str, vtype: int) -> None:
    if actor in m.vcpus:
        guest_vsetvli(m, in_guest(m, actor), vtype)
        return
    task = in_user(m, actor)
    if not _has_state(m, task, ("vtype", 0)):
        return
    owed = m.task_due[actor]
    for name, bits in due.vsetvli(vtype, m.host.vlenb):
        vals = (m.val(bits, actor),)
        owed.v, m.cpu.v = set_both(owed.v, m.cpu.v, V_CSRS[name], vals)
    task.status = with_vs(task.status, DIRTY)


@VERBS.verb(
    "loads v0 whole, by VL1R, from where this x register points",
    NUMBER,
)
def vl1r(m: Program, actor: str, base: int) -> None:
    """VL1RE8.V v0, (xN): the register is in bits 15 to 19, and no vtype is asked for."""
    task = in_user(m, actor)
    if not 0 < base < 32:
        raise Refused(f"x{base} is no base register: x1 to x31 are")
    if not _has_state(m, task, ("v", 0), OPCODE_LOADFP | base << 15):
        return
    vals = tuple(m.val(0xA8, actor) for _ in chunks(m.host.vlenb))
    owed = m.task_due[actor]
    owed.v, m.cpu.v = set_both(owed.v, m.cpu.v, 0, vals)
    task.status = with_vs(task.status, DIRTY)


@VERBS.verb(
    "executes an instruction",
    words(INSTRUCTIONS),
    actors="vcpu",
)
def insn(m: Program, actor: str, what: str) -> None:
    guest_insn(m, in_guest(m, actor), what)


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
    NUMBER,
    actors="task vcpu",
)
def load(m: Program, actor: str, address: int) -> None:
    if actor in m.vcpus:
        guest_access(m, in_guest(m, actor), address, Access.DATA)
        return
    task = in_user(m, actor)
    m.address = transform(address, pmlen_of(m.cpu.senvcfg.bits), Access.DATA, True)
    if not canonical(m.address, m.host.sv) or m.address >> m.host.sv - 1:
        kill(m, task, "SIGSEGV")


@VERBS.verb(
    "fetches an instruction from an address",
    NUMBER,
    actors="vcpu",
)
def fetch(m: Program, actor: str, address: int) -> None:
    guest_access(m, in_guest(m, actor), address, Access.FETCH)


@VERBS.verb(
    "is loaded, and KVM reads its memory by HLV",
    NUMBER,
    actors="vcpu",
)
def hlv(m: Program, actor: str, address: int) -> None:
    hypervisor_access(m, loaded(m, actor), address, Access.DATA)


@VERBS.verb(
    "is loaded, and KVM reads an instruction of it by HLVX",
    NUMBER,
    actors="vcpu",
)
def hlvx(m: Program, actor: str, address: int) -> None:
    hypervisor_access(m, loaded(m, actor), address, Access.HLVX)


@VERBS.verb(
    "raises an exception",
    words(FAULTS),
    actors="vcpu",
)
def fault(m: Program, actor: str, what: str) -> None:
    guest_fault(m, in_guest(m, actor), what)


@VERBS.verb(
    "loads by a PTE with PBMT bits, by one whose A or D bit is clear, or by one that is not valid",
    words("pbmt ad invalid"),
    actors="vcpu",
)
def page(m: Program, actor: str, page: str) -> None:
    guest_page(m, in_guest(m, actor), page)


@VERBS.verb(
    "does a cache-block operation",
    words(CBOS),
    actors="vcpu",
)
def cbo(m: Program, actor: str, cbo: str) -> None:
    guest_cbo(m, in_guest(m, actor), cbo)


@VERBS.verb(
    "goes on in VS-mode, or in VU-mode",
    words("s u"),
    actors="vcpu",
)
def priv(m: Program, actor: str, mode: str) -> None:
    """SRET to VU-mode, or a trap that takes the guest back to VS-mode."""
    vcpu = in_guest(m, actor)
    spp = 1 << 8
    vcpu.sstatus = vcpu.sstatus | spp if mode == "s" else vcpu.sstatus & ~spp
