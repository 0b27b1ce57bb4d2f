"""The machine that stimuli act on: the kernel, and what everybody is due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.model import places
from harness.model.base import Errno, State, Violation
from harness.model.riscv import due
from harness.model.riscv.cpu.csr import SR_SPP
from harness.model.riscv.cpu.state import Hart, VsCsrs
from harness.model.riscv.due import TaskDue, VcpuDue
from harness.model.riscv.host.state import Task
from harness.model.riscv.kvm.state import HALTED, Vcpu
from harness.model.riscv.kvm.vcpu_exit import VcpuExit
from harness.model.riscv.kvm.vcpu_sbi_ext import SbiReturn
from harness.model.riscv.observability import Observe
from harness.model.tasks import GUEST, KERNEL, At, titled
from harness.model.values import EMPTY, ZERO, Quads, Val


class Program(VcpuExit):
    """The kernel, and what programs and guests are entitled to, which nothing below knows of.

    `address`, `sbi`, `returned` and `refused_reg` are what the last event came to: an address as it
    was translated, the SBI's answer, what a prctl said, the register that ONE_REG did not have.
    `read_back` has, by vcpu, a state in which ONE_REG has last been found to give what was set.
    """

    __slots__ = (
        *("address", "kernel_vector", "preemptible", "read_back", "refused_reg", "returned", "sbi"),
        *("task_due", "vcpu_due"),
    )

    task_due: dict[str, TaskDue]
    vcpu_due: dict[str, VcpuDue]
    observe_guest: Observe
    has_reg: Callable[[Vcpu, int], bool]
    check: Callable[[], list[Violation]]
    capture: Callable[[], State]
    restore: Callable[[State], None]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.address: int | None = None
        self.sbi: SbiReturn | None = None
        self.returned: int | None = None
        self.refused_reg = ""
        self.read_back: dict[str, tuple[Any, ...]] = {}
        # Whether this kernel uses vectors itself, and can be preempted while it does.
        self.kernel_vector = "kernel-vector" in self.fixes
        self.preemptible = "v-preemptible" in self.fixes

    @property
    def cpus(self) -> tuple[Hart, ...]:
        return self.harts

    place, dead, fate = places.place, places.dead, places.fate

    @property
    def online(self) -> list[bool]:
        return [hart.online for hart in self.harts]

    def cpu_up(self) -> None:
        self.cpu.online = True
        self.write_senvcfg(Val(self.default_envcfg()))  # riscv_user_isa_enable()
        self.kvm_arch_enable_virtualization_cpu()  # kvm_online_cpu()

    def cpu_down(self) -> None:
        self.cpu.online = False
        self.kvm_arch_disable_virtualization_cpu()  # kvm_offline_cpu()
        self.lose_power()
        self.cpu.senvcfg = ZERO

    def lose_power(self) -> None:
        """What a hart forgets; envcfg is suspend_cpu()'s."""
        hart = self.cpu
        hart.f = hart.v = EMPTY
        hart.vs = VsCsrs()
        hart.henvcfg = hart.hstateen0 = hart.hedeleg = hart.hideleg = 0

    def interrupt(self) -> None:
        """An interrupt takes the CPU into the host kernel, wherever it is."""
        if self.cpu.mode is GUEST:
            self.guest_exit(self.vcpus[self.current.vcpu])
            self.current.at = At.GUEST
        self.cpu.mode = KERNEL

    def stays(self, following: Task) -> str | None:
        """Why this CPU cannot be switched to another task now."""
        if following.host != self.cpu.host:
            return f"{following.name} is a task of the other host"
        if self.current.kernel_mode_v and not self.preemptible:
            name = titled(self.current.name)
            return f"{name} uses vectors in the kernel, with softirqs and preemption off"
        return None

    def context_switch(self, task: Task) -> None:
        """From current to another task."""
        prev = self.current
        if prev.at is not At.DEAD:
            self.fire_sched_out_preempt_notifiers()
        self.switch_to(prev, task)
        prev.on_cpu = -1
        self.rqs[self.cpu.id].current = task.name
        task.on_cpu = self.cpu.id
        self.fire_sched_in_preempt_notifiers()

    def svc(self) -> None:
        """current makes a system call."""
        task = self.current
        owed = self.task_due.get(task.name)
        if owed is not None:
            due.svc(owed, self.host.vlenb, self.has("v") and "v-syscall-discard" in self.fixes)
        self.do_trap_ecall_u(task)

    def asleep(self, vcpu: Vcpu) -> str | None:
        """Why the thread of a vcpu sleeps in KVM_RUN, None if it does not."""
        if not vcpu.waiting:
            return None
        if vcpu.stopped:
            return self.is_stopped(vcpu)
        if vcpu.waiting == HALTED:
            return f"{vcpu.name} waits for an interrupt, such as another vcpu's `sbi ipi send_ipi`"
        return None

    def supervisor(self, vcpu: Vcpu) -> bool:
        """Whether the guest is in VS-mode, not in VU-mode."""
        return bool(vcpu.sstatus & SR_SPP)

    def take(self, vcpu: Vcpu, cause: int, stval: int = 0, csr: str = "") -> None:
        """The guest traps; where VS-mode takes it, its CSRs say so."""
        seen, supervisor = len(self.traps), self.supervisor(vcpu)
        super().take(vcpu, cause, stval, csr)
        for trap in self.traps[seen:]:
            if trap.v:
                due.trap_entry(self.vcpu_due[vcpu.name], trap.cause, trap.stval, supervisor)

    def would_get(self, vcpu: Vcpu, reg: int) -> Quads | None:
        """What KVM_GET_ONE_REG would give now, None for an errno; nobody has called it."""
        n, cpu = len(self.log), self.cpu.id
        if self.host is not self.hosts[vcpu.host]:
            self.run_on(next(hart.id for hart in self.harts if hart.host == vcpu.host))
        try:
            return self.kvm_riscv_vcpu_get_reg(vcpu, reg)
        except Errno:
            return None
        finally:
            del self.log[n:]
            self.run_on(cpu)
