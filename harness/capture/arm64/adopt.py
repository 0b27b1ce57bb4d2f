"""What a model takes over from a recording: what was so before it, and at a divergence."""

from __future__ import annotations

from typing import Any

from harness.capture.arm64.fields import State, TaskFp, state_of, switch_of
from harness.capture.arm64.items import (
    Guest,
    NewTask,
    Thread,
)
from harness.capture.arm64.probe import Point, Probe, point, probed, task_state
from harness.capture.text import Line
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.cpu.sysreg import CPACR_EL1_SMEN, CPACR_EL1_ZEN
from harness.model.arm64.host.state import (
    NR_CPUS,
    NULL,
    TIF_FOREIGN_FPSTATE,
    TIF_SME,
    TIF_SVE,
    FpState,
    Task,
)
from harness.model.arm64.kvm.state import FpOwner, Vcpu, Vm
from harness.model.arm64.kvm.uapi import KVM_ARM_VCPU_SVE
from harness.model.arm64.language import MACHINES
from harness.model.arm64.machine import Machine, Setup
from harness.model.catalogue import Kernel
from harness.model.tasks import At

FLAGS = {
    "TIF_FOREIGN_FPSTATE": TIF_FOREIGN_FPSTATE,
    "TIF_SVE": TIF_SVE,
    "TIF_SME": TIF_SME,
}
TYPES = {t.value: t.name for t in FpState}
OWNERS = {o.value: o.name for o in FpOwner}
# Where TIF_FOREIGN_FPSTATE and fpsimd_last_state agree.
_SETTLED = (
    "fpsimd_thread_switch_ret",
    "fpsimd_restore_current_state_ret",
    "do_sve_acc",
    "do_sve_acc_ret",
    "do_sme_acc",
    "do_sme_acc_ret",
)


class Adopter:
    """A probed machine, and who of the recording is who in it."""

    def __init__(self, kernel: Kernel, mode: str, config: Config) -> None:
        cls: Any = probed(MACHINES[mode])
        self.probe = Probe({n: [] for n in range(config.cpus)}, silent=True)
        machine = cls.__new__(cls)
        machine.probe = self.probe
        machine.__init__(kernel, Setup(config))
        self.m: Machine = machine
        self.probe.silent = False
        self.threads: dict[str, Thread] = {}
        self.guests: dict[str, Guest] = {}
        self.ghosts: dict[str, int] = {}  # who had a CPU's registers before the recording
        self.first: dict[str, TaskFp] = {}  # what a task was when first seen
        self.unsure: set[str] = set()  # tasks whose state before the recording is not known
        self.task_offset: int | None = None
        self.vcpu_offset: int | None = None

    # First seen ------------------------------------------------------------------------

    def _new_cpu(self, line: Line) -> None:
        """What was so on a CPU before the recording."""
        state = state_of(line.text, line.cpu)
        if state is None:
            return
        last = self.m.fpsimd_last_state[line.cpu]
        if state.to_save in TYPES:
            last.to_save = FpState(state.to_save)
        last.sve_vl = max(state.sve_vl, 0) // 16
        self._learn_offset(line, state)
        if state.st:
            # Whoever that is may be long dead, and its memory another's by now.
            ghost = self.m.add_task(f"before_cpu{line.cpu}")
            was = self._hand_out(0)
            self.m.born(ghost)
            self._handed_out(was)
            self.ghosts[ghost.name] = state.st
            last.st = ghost.addr
            self.m.free(ghost)
        if "fp-owner" in self.m.fixes and state.fp_state in OWNERS:
            self.m.home[line.cpu].fp_owner = FpOwner(state.fp_state)
        idle = self.m.tasks[f"idle{line.cpu}"]
        operands = switch_of(line.text)
        if operands and operands.prev.pid == 0:
            idle.fp_type = _fp_state(operands.prev.fp.fp_type)
        elif operands and operands.next.pid == 0:
            idle.fp_type = _fp_state(operands.next.fp.fp_type)
        elif state.pid != 0:
            self.unsure.add(idle.name)
        else:
            idle.fp_type = _fp_state(state.fp_type)

    def _new_task(self, item: NewTask) -> None:
        m = self.m
        self.threads[item.thread.name] = item.thread
        task = m.add_task(item.thread.name)
        was = self._hand_out(item.thread.address)
        m.start(task)
        self._handed_out(was)
        if item.thread.kernel:
            task.at = At.SYSCALL  # as the idle tasks: never in user space
        if item.first is None:
            self.unsure.add(task.name)
            return
        self.first[task.name] = item.first
        self._take_over(task, *item.first)
        self._link(item.thread)

    def _new_vcpu(self, guest: Guest) -> None:
        m = self.m
        self.guests[guest.name] = guest
        asked = (KVM_ARM_VCPU_SVE,) if guest.sve else ()
        vcpu = Vcpu(guest.name, vm=len(m.vms), thread=guest.thread.name, asked=asked)
        m.vms.append(Vm())
        m.add_vcpu(vcpu)
        if m.config.protected:
            m.hyp_vcpus[guest.name] = Vcpu(guest.name)
        self.probe.silent = True
        was = self._hand_out(guest.address)
        m.born(vcpu)
        self._handed_out(was)
        m.start_vcpu(vcpu)
        if guest.sve_max_vl:
            vcpu.sve_max_vl = m.vcpu_due[guest.name].sve_vq = guest.sve_max_vl // 16
        if guest.first_owner in OWNERS and "fp-owner" not in m.fixes:
            vcpu.fp_state = FpOwner(guest.first_owner)
        self.probe.silent = False

    def _adopt_current(self, cpu: int) -> None:
        """Who runs when the recording begins has its registers, unless its flags say otherwise."""
        m = self.m
        task, last = m.tasks[m.rqs[cpu].current], m.fpsimd_last_state[cpu]
        thread = self.threads.get(task.name)
        if thread is None:
            return
        if task.name in self.unsure:
            task.flags &= ~TIF_FOREIGN_FPSTATE
            task.fpsimd_cpu = cpu
        elif task.name in self.first:
            self._take_over(task, *self.first[task.name])
        if not task.flags & TIF_FOREIGN_FPSTATE and task.fpsimd_cpu == cpu:
            last.st = task.addr
        m.run_on(cpu)
        owed = m.task_due[task.name].regs
        m.cpu.z, m.cpu.p = owed.z, owed.p
        self._open(task)

    def _take_over(self, task: Task, flags: int, fp_type: int, cpu: int) -> None:
        """Make a task what it was recorded to be."""
        for mask in FLAGS.values():
            task.flags = task.flags & ~mask | flags & mask
        task.fp_type = FpState(fp_type) if fp_type in TYPES else task.fp_type
        task.fpsimd_cpu = cpu if cpu < self.m.config.cpus else NR_CPUS
        self._storage(task)
        self._open(task)

    def _open(self, task: Task) -> None:
        """Set the EL0 traps and the vector length of the CPU that has a task's registers."""
        m = self.m
        if task.on_cpu < 0 or task.flags & TIF_FOREIGN_FPSTATE:
            return
        was, self.probe.silent = m.cpu.id, True
        m.run_on(task.on_cpu)
        if m.sve_host:
            m.sve_user_enable() if task.flags & TIF_SVE else m.sve_user_disable()
            if task.flags & TIF_SVE:
                m.sve_set_vq(task.sve_vl)
        if m.sme_host:
            m.sme_user_enable() if task.flags & TIF_SME else m.sme_user_disable()
            if task.flags & TIF_SME:
                m.sme_set_vq(task.sme_vl)
        m.run_on(was)
        self.probe.silent = False

    def _storage(self, task: Task) -> None:
        """A task with TIF_SVE or TIF_SME has the memory for it."""
        m = self.m
        if task.flags & (TIF_SVE | TIF_SME) or task.fp_type is FpState.FP_STATE_SVE:
            m.sve_alloc(task, flush=False)
        if task.flags & TIF_SME:
            m.sme_alloc(task, flush=False)

    # Addresses --------------------------------------------------------------------------

    def _learn_offset(self, line: Line, state: State) -> bool:
        """Where in a task_struct its FP state lies, if this line tells.

        That is what TIF_FOREIGN_FPSTATE means: without it the registers are current's,
        or, in KVM_RUN, the vcpu's.
        """
        own = state.pid and state.fpsimd_cpu == line.cpu and not state.vcpu
        own = own and line.name in _SETTLED
        foreign = state.flags & TIF_FOREIGN_FPSTATE
        if self.task_offset is not None or not own or foreign or state.st <= state.current:
            return False
        self.task_offset = state.st - state.current
        for thread in self.threads.values():
            self._link(thread)
        return True

    def _link(self, thread: Thread) -> None:
        """Who had a CPU's registers before the recording turns out to be this task."""
        m = self.m
        for last in m.fpsimd_last_state:
            ghost = m.memory[last.st] if last.st > NULL else ""
            if ghost in self.ghosts and self._address(ghost) == thread.address != 0:
                last.st = m.tasks[thread.name].addr

    def _hand_out(self, address: int) -> tuple[int, ...]:
        """Let the next context be born where the kernel's is, if that memory was another's."""
        m, was = self.m, self.m.freed
        reused = [a for a in was if address and self._address(m.memory[a]) == address]
        m.freed = tuple(reused[:1])
        return was

    def _handed_out(self, was: tuple[int, ...]) -> None:
        m = self.m
        m.freed = tuple(a for a in was if m.contexts[m.memory[a]].addr != a)

    def _address(self, name: str) -> int:
        if name in self.threads:
            return self.threads[name].address
        if name in self.ghosts:
            return self.ghosts[name] - (self.task_offset or self.ghosts[name])
        return self.guests[name].address if name in self.guests else 0

    def _pointer(self, st: int, state: State) -> int | None:
        """The address that `st` of the model has in the recorded kernel, None if unknown."""
        if st == NULL:
            return 0
        name = self.m.memory[abs(st)]
        address = self._address(name)
        if not address or st < 0 or not state.st:
            return None if not address or st < 0 else -1
        if name in self.guests:
            if self.vcpu_offset is None:
                self.vcpu_offset = state.st - address
            return address + self.vcpu_offset
        if self.task_offset is None:
            self.task_offset = state.st - address
        return address + self.task_offset

    def _whose(self, st: int) -> str:
        if not st:
            return "NULL"
        task, vcpu = st - (self.task_offset or 0), st - (self.vcpu_offset or 0)
        for name, thread in self.threads.items():
            if self.task_offset is not None and thread.address == task:
                return name
        for name, guest in self.guests.items():
            if self.vcpu_offset is not None and guest.address == vcpu:
                return name
        return f"{st:#x}"

    # At a divergence ---------------------------------------------------------------------

    def _resync(self, cpu: int, state: State, p: Point) -> None:
        """Take over what was recorded, but for what the model has changed since that point."""
        m = self.m
        m.run_on(cpu)
        now = point(m, self.probe, "now", False)
        for name, thread in self.threads.items():
            if thread.pid != state.pid or name not in m.tasks:
                continue
            if p.runqueue.name != name or task_state(m.tasks[name]) == p.runqueue:
                self._take_over(m.tasks[name], state.flags, state.fp_type, state.fpsimd_cpu)
        last = m.fpsimd_last_state[cpu]
        if now.to_save == p.to_save and state.to_save in TYPES:
            last.to_save = FpState(state.to_save)
        if now.sve_vl == p.sve_vl and state.sve_vl >= 0:
            last.sve_vl = state.sve_vl // 16
        if now.st == p.st:
            whose = self._whose(state.st)
            if whose in m.contexts:
                last.st = m.contexts[whose].addr
            elif whose == "NULL":
                last.st = NULL
            elif not state.flags & TIF_FOREIGN_FPSTATE and p.runqueue.name in self.threads:
                last.st = m.tasks[p.runqueue.name].addr
        vcpu = self.probe.running.get(cpu)
        if vcpu is not None and state.fp_state in OWNERS and now.owner == p.owner:
            m.set_fp_owner(vcpu, FpOwner(state.fp_state))

    def _resync_registers(self, cpu: int, values: dict[str, int]) -> None:
        """Take over live registers, unless the model is in the middle of a function."""
        m = self.m
        m.run_on(cpu)
        for name, value in values.items():
            if name == "svcr":
                m.cpu.svcr = value
            elif name == "zcr":
                m.write_sysreg(value, "zcr_el1")
            else:
                mask = CPACR_EL1_ZEN if name == "zen" else CPACR_EL1_SMEN
                m.sysreg_clear_set("cpacr_el1", mask, value * (mask & -mask))


def _fp_state(value: int) -> FpState:
    return FpState(value) if value in TYPES else FpState.FP_STATE_FPSIMD
