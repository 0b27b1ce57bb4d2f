"""What a model takes over from a recording: what was so before it, and at a divergence."""

from __future__ import annotations

from harness.capture.arm64.addresses import learn_offset, link, reusing, whose
from harness.capture.arm64.fields import State, TaskFp, state_of, switch_of
from harness.capture.arm64.items import Guest, NewTask
from harness.capture.arm64.probe import Point, point, task_state
from harness.capture.arm64.replica import FLAGS, OWNERS, TYPES, Replica
from harness.capture.text import Line
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
from harness.model.tasks import At

# First seen -----------------------------------------------------------------------------


def new_cpu(r: Replica, line: Line) -> None:
    """What was so on a CPU before the recording."""
    m = r.m
    state = state_of(line.text, line.cpu)
    if state is None:
        return
    last = m.fpsimd_last_state[line.cpu]
    if state.to_save in TYPES:
        last.to_save = FpState(state.to_save)
    last.sve_vl = max(state.sve_vl, 0) // 16
    learn_offset(r, line, state)
    if state.st:
        # Whoever that is may be long dead, and its memory another's by now.
        ghost = m.add_task(f"before_cpu{line.cpu}")
        with reusing(r, 0):
            m.born(ghost)
        r.ghosts[ghost.name] = state.st
        last.st = ghost.addr
        m.free(ghost)
    if "fp-owner" in m.fixes and state.fp_state in OWNERS:
        m.home[line.cpu].fp_owner = FpOwner(state.fp_state)
    idle = m.tasks[f"idle{line.cpu}"]
    for task in switch_of(line.text) or ():
        if task.pid == 0:
            idle.fp_type = _fp_type(task.fp.fp_type)
            return
    if state.pid != 0:
        r.unsure.add(idle.name)
    else:
        idle.fp_type = _fp_type(state.fp_type)


def _fp_type(value: int) -> FpState:
    return FpState(value) if value in TYPES else FpState.FP_STATE_FPSIMD


def new_task(r: Replica, item: NewTask) -> None:
    thread = item.thread
    r.threads[thread.name] = thread
    task = r.m.add_task(thread.name)
    with reusing(r, thread.address):
        r.m.start(task)
    if thread.kernel:
        task.at = At.SYSCALL  # as the idle tasks: never in user space
    if item.first is None:
        r.unsure.add(task.name)
        return
    r.first[task.name] = item.first
    take_over(r, task, item.first)
    link(r, thread)


def new_vcpu(r: Replica, guest: Guest) -> None:
    m = r.m
    r.guests[guest.name] = guest
    asked = (KVM_ARM_VCPU_SVE,) if guest.sve else ()
    vcpu = Vcpu(guest.name, vm=len(m.vms), thread=guest.thread.name, asked=asked)
    m.vms.append(Vm())
    m.add_vcpu(vcpu)
    if m.config.protected:
        m.hyp_vcpus[guest.name] = Vcpu(guest.name)
    with r.probe.silenced():
        with reusing(r, guest.address):
            m.born(vcpu)
        m.start_vcpu(vcpu)
    if guest.sve_max_vl:
        vcpu.sve_max_vl = m.vcpu_due[guest.name].sve_vq = guest.sve_max_vl // 16
    if guest.first_owner in OWNERS and "fp-owner" not in m.fixes:
        vcpu.fp_state = FpOwner(guest.first_owner)


def current(r: Replica, cpu: int) -> None:
    """Who runs when the recording begins has its registers, unless its flags say otherwise."""
    m = r.m
    task = m.tasks[m.rqs[cpu].current]
    if task.name not in r.threads:
        return
    if task.name in r.unsure:
        task.flags &= ~TIF_FOREIGN_FPSTATE
        task.fpsimd_cpu = cpu
    elif task.name in r.first:
        take_over(r, task, r.first[task.name])
    if not task.flags & TIF_FOREIGN_FPSTATE and task.fpsimd_cpu == cpu:
        m.fpsimd_last_state[cpu].st = task.addr
    m.run_on(cpu)
    owed = m.task_due[task.name].regs
    m.cpu.z, m.cpu.p = owed.z, owed.p
    _open(r, task)


def take_over(r: Replica, task: Task, fp: TaskFp) -> None:
    """Make a task what it was recorded to be."""
    m = r.m
    for mask in FLAGS.values():
        task.flags = task.flags & ~mask | fp.flags & mask
    if fp.fp_type in TYPES:
        task.fp_type = FpState(fp.fp_type)
    task.fpsimd_cpu = fp.fpsimd_cpu if fp.fpsimd_cpu < m.config.cpus else NR_CPUS
    # A task with TIF_SVE or TIF_SME has the memory for it.
    if task.flags & (TIF_SVE | TIF_SME) or task.fp_type is FpState.FP_STATE_SVE:
        m.sve_alloc(task, flush=False)
    if task.flags & TIF_SME:
        m.sme_alloc(task, flush=False)
    _open(r, task)


def _open(r: Replica, task: Task) -> None:
    """Set the EL0 traps and the vector length of the CPU that has a task's registers."""
    m = r.m
    if task.on_cpu < 0 or task.flags & TIF_FOREIGN_FPSTATE:
        return
    was = m.cpu.id
    with r.probe.silenced():
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


# At a divergence ------------------------------------------------------------------------


def resync(r: Replica, cpu: int, state: State, p: Point) -> None:
    """Take over what was recorded, but for what the model has changed since that point."""
    m = r.m
    m.run_on(cpu)
    now = point(m, r.probe)
    for name, thread in r.threads.items():
        if thread.pid != state.pid or name not in m.tasks:
            continue
        if p.runqueue.name != name or task_state(m.tasks[name]) == p.runqueue:
            take_over(r, m.tasks[name], state.fp)
    last = m.fpsimd_last_state[cpu]
    if now.to_save == p.to_save and state.to_save in TYPES:
        last.to_save = FpState(state.to_save)
    if now.sve_vl == p.sve_vl and state.sve_vl >= 0:
        last.sve_vl = state.sve_vl // 16
    if now.st == p.st:
        owner = whose(r, state.st)
        if owner in m.contexts:
            last.st = m.contexts[owner].addr
        elif not state.st:
            last.st = NULL
        elif not state.flags & TIF_FOREIGN_FPSTATE and p.runqueue.name in r.threads:
            last.st = m.tasks[p.runqueue.name].addr
    vcpu = r.probe.running.get(cpu)
    if vcpu is not None and state.fp_state in OWNERS and now.owner == p.owner:
        m.set_fp_owner(vcpu, FpOwner(state.fp_state))


def resync_register(r: Replica, cpu: int, name: str, value: int) -> None:
    """Take over a live register, by its name in a dump."""
    m = r.m
    m.run_on(cpu)
    if name == "svcr":
        m.cpu.svcr = value
    elif name == "zcr":
        m.write_sysreg(value, "zcr_el1")
    else:
        mask = CPACR_EL1_ZEN if name == "zen" else CPACR_EL1_SMEN
        m.sysreg_clear_set("cpacr_el1", mask, value * (mask & -mask))
