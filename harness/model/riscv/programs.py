"""What a program does with its own registers and memory, in a task or in a guest."""

from __future__ import annotations

from harness.model.base import Refused
from harness.model.riscv import due
from harness.model.riscv.cpu.csr import DIRTY, OFF, get_fs, get_vs, with_fs, with_vs
from harness.model.riscv.cpu.csrs import CSRS
from harness.model.riscv.cpu.pointer_masking import Access, canonical, pmlen_of, transform
from harness.model.riscv.cpu.state import V_CSRS, Mode
from harness.model.riscv.guest import Reg, number_of
from harness.model.riscv.host.state import Task
from harness.model.riscv.host.vector import OPCODE_LOADFP, OPCODE_VECTOR, chunks
from harness.model.riscv.vmm import Vmm
from harness.model.values import set_both


class Programs(Vmm):
    """The stimuli of programs, verb by verb."""

    __slots__ = ()

    def on_read(self, actor: str, reg: Reg) -> None:
        if actor in self.vcpus:
            self.guest_read(self.in_guest(actor), reg)
        elif self._has_state(self.in_user(actor), reg):
            bank = self.cpu.v if self._vector(reg) else self.cpu.f
            self.seen = self.whole(bank, reg[1]) if reg[0] == "v" else (bank.get(number_of(reg)),)

    def on_write(self, actor: str, reg: Reg, bits: tuple[int, ...]) -> None:
        if actor in self.vcpus:
            self.guest_write(self.in_guest(actor), reg, bits)
            return
        task = self.in_user(actor)
        if not self._has_state(task, reg):
            return
        if reg[0] in CSRS and CSRS[reg[0]].read_only:
            self.kill(task, "SIGILL")
            return
        vals = tuple(self.val(b, actor) for b in self.legal(reg[0], bits))
        owed = self.task_due[actor]
        if self._vector(reg):
            owed.v, self.cpu.v = set_both(owed.v, self.cpu.v, number_of(reg), vals)
            task.status = with_vs(task.status, DIRTY)
        else:
            owed.f, self.cpu.f = set_both(owed.f, self.cpu.f, number_of(reg), vals)
            task.status = with_fs(task.status, DIRTY)

    def on_vsetvli(self, actor: str, vtype: int) -> None:
        if actor in self.vcpus:
            self.guest_vsetvli(self.in_guest(actor), vtype)
            return
        task = self.in_user(actor)
        if not self._has_state(task, ("vtype", 0)):
            return
        owed = self.task_due[actor]
        for name, bits in due.vsetvli(vtype, self.host.vlenb):
            vals = (self.val(bits, actor),)
            owed.v, self.cpu.v = set_both(owed.v, self.cpu.v, V_CSRS[name], vals)
        task.status = with_vs(task.status, DIRTY)

    def on_vl1r(self, actor: str, base: int) -> None:
        """VL1RE8.V v0, (xN): the register is in bits 15 to 19, and no vtype is asked for."""
        task = self.in_user(actor)
        if not 0 < base < 32:
            raise Refused(f"x{base} is no base register: x1 to x31 are")
        if not self._has_state(task, ("v", 0), OPCODE_LOADFP | base << 15):
            return
        vals = tuple(self.val(0xA8, actor) for _ in chunks(self.host.vlenb))
        owed = self.task_due[actor]
        owed.v, self.cpu.v = set_both(owed.v, self.cpu.v, 0, vals)
        task.status = with_vs(task.status, DIRTY)

    def on_insn(self, actor: str, what: str) -> None:
        self.guest_insn(self.in_guest(actor), what)

    def _vector(self, reg: Reg) -> bool:
        return reg[0] == "v" or reg[0] in V_CSRS

    def _has_state(self, task: Task, reg: Reg, insn: int = OPCODE_VECTOR) -> bool:
        """Whether the program can go on; its first vector instruction traps, and is made to."""
        if not self._vector(reg):
            if get_fs(task.status) == OFF:
                self.kill(task, "SIGILL")
                return False
            return True
        if get_vs(task.status) != OFF:
            return True
        self.cost.traps += 1
        self.cpu.mode = Mode.KERNEL
        if not self.riscv_v_first_use_handler(task, insn):
            self.kill(task, "SIGILL")
            return False
        due.first_use(self.task_due[task.name])
        self.exit_to_user_mode()
        return True

    def kill(self, task: Task, signal: str) -> None:
        self.signal = task.killed = signal
        self.fatal = True

    def on_load(self, actor: str, address: int) -> None:
        if actor in self.vcpus:
            self.guest_access(self.in_guest(actor), address, Access.DATA)
            return
        task = self.in_user(actor)
        self.address = transform(address, pmlen_of(self.cpu.senvcfg.bits), Access.DATA, True)
        if not canonical(self.address, self.host.sv) or self.address >> self.host.sv - 1:
            self.kill(task, "SIGSEGV")

    def on_fetch(self, actor: str, address: int) -> None:
        self.guest_access(self.in_guest(actor), address, Access.FETCH)

    def on_hlv(self, actor: str, address: int) -> None:
        self.hypervisor_access(self.loaded(actor), address, Access.DATA)

    def on_hlvx(self, actor: str, address: int) -> None:
        self.hypervisor_access(self.loaded(actor), address, Access.HLVX)

    def on_fault(self, actor: str, what: str) -> None:
        self.guest_fault(self.in_guest(actor), what)

    def on_page(self, actor: str, page: str) -> None:
        self.guest_page(self.in_guest(actor), page)

    def on_cbo(self, actor: str, cbo: str) -> None:
        self.guest_cbo(self.in_guest(actor), cbo)

    def on_priv(self, actor: str, mode: str) -> None:
        """SRET to VU-mode, or a trap that takes the guest back to VS-mode."""
        vcpu = self.in_guest(actor)
        spp = 1 << 8
        vcpu.sstatus = vcpu.sstatus | spp if mode == "s" else vcpu.sstatus & ~spp

    def on_sbi(
        self, actor: str, extension: str, function: str, args: tuple[int, ...] | None = None
    ) -> None:
        self.guest_sbi(self.in_guest(actor), extension, function, args or ())
