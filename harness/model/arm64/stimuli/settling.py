"""The shortest way to where somebody reads registers again."""

from __future__ import annotations

from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.neon import end_neon
from harness.model.arm64.stimuli.places import in_neon
from harness.model.base import Refused
from harness.model.shared import go_on
from harness.model.tasks import GONE, GUEST, KERNEL, At


def settle(m: Program, context: str) -> None:
    """The shortest way to where `context` next reads its registers."""
    thread = m.vcpus[context].thread if context in m.vcpus else context
    task = m.tasks[thread]
    if task.at in GONE or task.killed or m.oops:
        raise Refused(f"{thread} cannot run")
    if task.on_cpu < 0:
        home = task.fpsimd_cpu if task.fpsimd_cpu < len(m.cpus) else 0
        there = [n for n, rq in enumerate(m.rqs) if rq.online]
        m.run_on(home if home in there else there[0])
        if m.rq.neon:
            raise Refused("kernel-mode NEON is not preemptible")
        m.interrupt()
        m.context_switch(task)
    m.run_on(task.on_cpu)
    if in_neon(m, task):
        end_neon(m, task)
    if context in m.vcpus:
        if task.at is At.RUN and m.cpu.mode is KERNEL:
            m.guest_enter(m.vcpus[context])
        elif task.at is At.GUEST and m.cpu.mode is KERNEL:
            go_on(m)
        elif m.cpu.mode is not GUEST:
            raise Refused(f"{context} is not being run")
        return
    if m.cpu.mode is GUEST:
        m.interrupt()
    if task.vcpu:
        m.vcpu_put(m.vcpus[task.vcpu])
    if m.cpu.mode is KERNEL:
        m.exit_to_user_mode()
