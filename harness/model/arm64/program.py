"""What programs do: instructions of tasks at EL0 and of guests at EL1.

An instruction is checked against the traps set up on its CPU, as the CPU
would. A host trap runs its handler and then the instruction again; a guest's
trap to EL2 runs hyp's lazy switch, or leaves the guest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.model import places
from harness.model.arm64 import due
from harness.model.arm64.cpu.cpu import Access, Trap, check_access, set_svcr
from harness.model.arm64.cpu.sysreg import (
    ESR_ELX_EC_SME,
    ESR_ELX_EC_SVE,
    ESR_ELX_EC_SYS64,
    HFGRTR_EL2_NTPIDR2_EL0,
    MDCR_EL2_TDA,
    SMTC_SME_DISABLED,
    SVCR_MASK,
    SVCR_SM_MASK,
)
from harness.model.arm64.due import HostDue, TaskDue, VcpuDue
from harness.model.arm64.host.state import Context, Task
from harness.model.arm64.kvm.guest_sme import SmeGuest
from harness.model.arm64.kvm.reset import DBGBVR
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.registers import KINDS
from harness.model.base import State
from harness.model.tasks import GUEST, USER, titled
from harness.model.values import ZERO, Bank, Origin, Quads, Val, spread

# Every register a program can name, by kind: what access it takes.
ACCESS: dict[str, Access] = {kind: told.access for kind, told in KINDS.items() if told.access}

_GATED = ("fpmr", "tpidr2_el0", *DBGBVR)


class Program(SmeGuest):
    """Register reads and writes by whoever runs on `self.cpu`.

    `undef` tells whether the guest's last instruction was UNDEFINED. `task_due` and
    `vcpu_due` are what each is entitled to, `host_due` what the host's kernel is on each CPU:
    nothing below this layer knows of them.
    """

    __slots__ = ("host_due", "returned", "task_due", "undef", "vcpu_due")

    capture: Callable[[], State]
    restore: Callable[[State], None]

    def __init__(self, *args: Any) -> None:
        self.task_due: dict[str, TaskDue] = {}
        self.vcpu_due: dict[str, VcpuDue] = {}
        super().__init__(*args)
        self.undef = False
        self.returned: int | None = None  # what the last event gave, but for registers
        boot = self.host_boot_sysregs()
        self.host_due = [HostDue(cpu.id, boot) for cpu in self.cpus]
        for vcpu in self.vcpus.values():
            self.add_vcpu(vcpu)

    def add_task(self, name: str) -> Task:
        """The idle tasks have no program, which could be entitled to anything."""
        if name not in [f"idle{n}" for n in range(self.config.cpus)]:
            self.task_due[name] = due.new_task(name, self.config)
        return super().add_task(name)

    def add_vcpu(self, vcpu: Vcpu) -> None:
        self.vcpus[vcpu.name] = self.contexts[vcpu.name] = vcpu
        self.vcpu_due[vcpu.name] = VcpuDue(vcpu.name)

    def due_of(self, who: Context) -> TaskDue | VcpuDue:
        return self.vcpu_due[who.name] if isinstance(who, Vcpu) else self.task_due[who.name]

    def instruction(self, who: Context, access: Access) -> bool:
        """Take whatever traps `access` takes. False if it never executes."""
        if access == "asimd" and isinstance(who, Task):
            # A task reaches V by LDR and STR, which streaming mode allows.
            access = "fp"
        trap = check_access(self.cpu, access)
        if trap is None:
            return True
        for _ in range(4):
            trap = self.access(access)
            if trap is None:
                return True
            handled = (
                self.guest_trap(who, trap, access)
                if isinstance(who, Vcpu)
                else self.host_trap(trap)
            )
            if not handled:
                return False
        self.violate("spurious-trap", who.name, access, f"{who.name} traps again and again: {trap}")
        return False

    def host_trap(self, trap: Trap) -> bool:
        """A trap from EL0; True if the instruction is worth another try."""
        self.cost.host_traps += 1
        if trap.el == 2 and not self.has_vhe:
            self.host_sve_access()
            return True
        self.el0_interrupt()
        if trap.ec == ESR_ELX_EC_SVE:
            self.current.pending = "sve"
        elif trap.ec == ESR_ELX_EC_SME and trap.iss == SMTC_SME_DISABLED:
            self.current.pending = "sme"
        else:
            self.force_signal_inject("SIGILL")
        self.exit_to_user_mode()
        return not self.signal

    def guest_trap(self, vcpu: Vcpu, trap: Trap, access: Access) -> bool:
        """A trap from a guest; True if hyp dealt with it and the guest goes on."""
        if trap.el == 1:
            # The guest's own kernel takes it, and KVM never learns of it.
            if trap.ec == ESR_ELX_EC_SME and access != "sme":
                self.violate(
                    "spurious-trap",
                    vcpu.name,
                    "PSTATE.SM",
                    f"{vcpu.name} takes an SME trap (EC 0x1d, SMTC {trap.iss}) from EL1 to EL1 "
                    f"on an {'SVE' if access == 'sve' else 'FP'} instruction",
                )
            else:
                self.undef = True
            return False
        self.cost.guest_traps += 1
        if self.kvm_hyp_handle_fpsimd(vcpu, trap):
            return True
        if vcpu.protected:
            self.undef = True  # inject_undef64(): hyp does not let the host know
            return False
        self.guest_exit(vcpu, "trap")  # handle_exit() injects an UNDEFINED exception
        self.undef = True
        self.guest_enter(vcpu)
        return False

    def boot(self, vcpu: Vcpu) -> None:
        """What the guest's Linux does with its first instructions, if it has yet to boot.

        FP (and SVE, if it has it) open at its EL1, ZCR_EL1.LEN at its largest. A vcpu that is
        given CPACR_EL1 by KVM_SET_ONE_REG has booted elsewhere.
        """
        owed = self.vcpu_due[vcpu.name]
        if not owed.sys.booted:
            owed.sys = due.boot(owed)
            vcpu.cpacr_el1, vcpu.zcr_el1 = owed.sys.cpacr_el1, owed.sys.zcr_el1

    # Where everybody is ------------------------------------------------------

    place, dead, fate = places.place, places.dead, places.fate

    def asleep(self, vcpu: Vcpu) -> str | None:
        """No vcpu of this model sleeps in KVM_RUN."""
        return None

    @property
    def online(self) -> list[bool]:
        return [rq.online for rq in self.rqs]

    def interrupt(self) -> None:
        """An interrupt takes the CPU into the host kernel, wherever it is."""
        if self.cpu.mode is GUEST:
            self.guest_exit(self.vcpus[self.current.vcpu], "irq")
        elif self.cpu.mode is USER:
            self.el0_interrupt()

    def guest_enter_again(self, vcpu: Vcpu) -> None:
        self.guest_enter(vcpu)

    def stays(self, following: Task) -> str | None:
        """Why this CPU cannot be switched to another task now."""
        if self.rq.neon:
            name = titled(self.current.name)
            return f"{name} is in kernel-mode NEON, which is not preemptible here"
        return None

    def svc(self) -> None:
        """current makes a system call."""
        owed = self.task_due[self.current.name]
        owed.regs = due.svc(owed.regs)
        self.el0_svc()

    @property
    def abi(self) -> due.Abi:
        return due.Abi("sme-larger-vl" in self.fixes, self.cpacr_res0)

    # Lengths -----------------------------------------------------------------

    def entitled_vq(self, who: Context) -> int:
        """The vector length that `who` may count on now, in quadwords."""
        if isinstance(who, Vcpu):
            return self.vcpu_due[who.name].vq(self.host_lengths(who))
        return self.task_due[who.name].vq

    def has_register(self, who: Context, kind: str) -> bool:
        """FPMR and TPIDR2_EL0 are UNDEFINED where SCTLR_EL1 keeps them closed, Z without SVE."""
        sve = kind in ("z", "p", "ffr") and not self.system_supports_sve
        if kind not in ("fpmr", "tpidr2_el0") and not sve:
            return True
        if isinstance(who, Vcpu):
            self.undef = sve or not who.fpmr_vm
            return not self.undef
        if sve:  # which SME alone has in streaming mode
            there = bool(self.cpu.svcr & SVCR_SM_MASK)
        else:
            there = self.fpmr_host if kind == "fpmr" else self.sme_host
        if not there:
            self.el0_interrupt()
            self.force_signal_inject("SIGILL")
            self.exit_to_user_mode()
        return there

    # Reads and writes ----------------------------------------------------------

    def write_register(self, who: Context, kind: str, n: int, bits: tuple[int, ...]) -> None:
        owed = self.due_of(who)
        if kind == "cpacr_el1":
            assert isinstance(owed, VcpuDue)
            self.cpu.cpacr_el1 = bits[0] & self.el1_masks[kind]
            owed.sys = owed.sys._replace(cpacr_el1=self.cpu.cpacr_el1)
            return
        if kind in _GATED or not self.system_supports_sve:
            if kind in DBGBVR:
                assert isinstance(who, Vcpu)
                self.debug_access(who, kind, self.value(who.name, bits[0]))
                return
            if not self.has_register(who, kind):
                return
        cpu = self.cpu
        if kind == "tpidr2_el0":  # which no FP trap gates
            cpu.tpidr2_el0 = self.value(who.name, bits[0])
            owed.regs = owed.regs._replace(tpidr2_el0=cpu.tpidr2_el0)
            return
        if not self.instruction(who, ACCESS[kind]):
            return
        want = owed.regs
        origin = Origin(who.name, self.step)
        vals = tuple([Val(b, origin) for b in bits])
        if kind == "v":
            live, z = self.set_both(cpu.z, vals, want.z, vals, n)
            cpu.z, owed.regs = live, want.with_z(z)
        elif kind in ("z", "p", "ffr"):
            n += KINDS[kind].first
            has = spread(vals, self.current_vq())
            gets = spread(vals, self.entitled_vq(who))
            if kind == "z":
                live, z = self.set_both(cpu.z, has, want.z, gets, n)
                cpu.z, owed.regs = live, want.with_z(z)
            else:
                live, p = self.set_both(cpu.p, has, want.p, gets, n)
                cpu.p, owed.regs = live, want._replace(p=p)
        elif kind == "zcr_el1":
            assert isinstance(owed, VcpuDue)
            cpu.zcr_el1 = bits[0] & self.el1_masks[kind]
            owed.sys = owed.sys._replace(zcr_el1=cpu.zcr_el1)
        elif kind == "svcr":
            self.write_svcr(owed, bits[0] & SVCR_MASK)
        elif kind in ("za", "zt0"):
            vals = spread(vals, 4) if kind == "zt0" else vals
            cpu.za, za = self.set_both(cpu.za, vals, want.za, vals, KINDS[kind].first)
            owed.regs = want._replace(za=za)
        else:  # fpsr, fpcr, fpmr
            owed.regs = due.written(want, kind, n, vals)
            setattr(cpu, kind, due.kept(kind, vals[0]))

    @staticmethod
    def set_both(live: Bank, has: Quads, owed: Bank, gets: Quads, n: int) -> tuple[Bank, Bank]:
        """Set register `n` in the registers and in what is due, in one object if they are one."""
        after = live.set(n, has)
        return after, after if owed is live and has == gets else owed.set(n, gets)

    def write_svcr(self, owed: TaskDue | VcpuDue, svcr: int) -> None:
        """MSR SVCR, SMSTART or SMSTOP, once it is allowed to execute."""
        owed.regs = due.msr_svcr(owed.regs, svcr)
        set_svcr(self.cpu, svcr)

    def sys64_trap(self) -> None:
        """A guest's access to a system register traps to EL2."""
        self.cost.guest_traps += 1
        self.traps.append(Trap(ESR_ELX_EC_SYS64, 2))
        if self.recording:
            self.note("trap", f"ec={ESR_ELX_EC_SYS64:#04x} el=2")

    def debug_access(self, vcpu: Vcpu, name: str, val: Val | None) -> None:
        """A guest reads (None) or writes DBGBVR<n>_EL1."""
        if val is not None:
            owed = self.vcpu_due[vcpu.name]
            if name == "dbgbvr0_el1":
                owed.sys = owed.sys._replace(dbgbvr0_el1=val)
            else:
                owed.sys = owed.sys._replace(dbgbvr1_el1=val)
        if self.cpu.sys.mdcr_el2 & MDCR_EL2_TDA:
            self.sys64_trap()
            self.guest_exit(vcpu, "trap")
            self.trap_debug_regs(vcpu, name, val)
            self.seen = (self.dbg_bvr(vcpu, name),)
            self.guest_enter(vcpu)
        elif val is not None:
            self.set_sys(**{name: val})
        else:
            self.seen = (getattr(self.cpu.sys, name),)

    def read_tpidr2(self, vcpu: Vcpu) -> None:
        """A guest reads TPIDR2_EL0. What it would find there is not modelled."""
        if self.cpu.sys.hfgrtr_el2 & HFGRTR_EL2_NTPIDR2_EL0:
            return
        self.sys64_trap()
        self.guest_exit(vcpu, "trap")  # handle_exit() injects an UNDEFINED exception
        self.undef = True
        self.guest_enter(vcpu)

    def read_register(self, who: Context, kind: str, n: int) -> None:
        if kind in _GATED or not self.system_supports_sve:
            if isinstance(who, Vcpu) and kind == "tpidr2_el0":
                self.read_tpidr2(who)
                return
            if isinstance(who, Vcpu) and kind in DBGBVR:
                self.debug_access(who, kind, None)
                return
            if not self.has_register(who, kind):
                return
        cpu = self.cpu
        if kind == "tpidr2_el0":
            self.seen = (cpu.tpidr2_el0,)
            return
        if kind == "cpacr_el1":  # which no FP trap gates
            self.seen = (Val(cpu.cpacr_el1),)
            return
        if not self.instruction(who, ACCESS[kind]):
            return
        if kind in ("fpsr", "fpcr", "fpmr"):
            self.seen = (getattr(cpu, kind),)
        elif kind == "svcr":
            self.seen = (Val(cpu.svcr),)
        elif kind == "zcr_el1":
            self.seen = (Val(cpu.zcr_el1),)
        else:
            told = KINDS[kind]
            width = told.quads or self.current_vq()
            bank: Bank = getattr(cpu, told.bank)
            quads = bank.regs.get(told.first + n, ())[:width]
            self.seen = quads + (ZERO,) * (width - len(quads))
