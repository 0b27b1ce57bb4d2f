"""CPUs that sleep."""

from __future__ import annotations

from harness.model.base import Refused
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.table import VERBS
from harness.model.shared import go_on
from harness.model.tasks import Mode
from harness.model.verbs import tried


def _can_sleep(m: Program, actor: str) -> None:
    if m.current.vcpu:
        raise Refused(f"{m.current.vcpu} is loaded on {actor}, which cannot sleep now")
    if m.current.kernel_mode_v:
        raise Refused(f"{m.current.name} uses vectors in the kernel, it does not sleep now")


@VERBS.verb(
    "sleeps, loses power, and is back",
    when=_can_sleep,
    actors="cpu",
    touches="cpu",
    tries=tried("power"),
)
def cpu_pm(m: Program, actor: str) -> None:
    was = m.cpu.mode
    m.cpu.mode = Mode.KERNEL
    if m.has_fpu:
        m.fstate_save(m.current)
    if m.has_vector:
        m.riscv_v_vstate_save(m.current)
    m.kvm_riscv_cpu_pm_notifier(enter=True)
    m.lose_power()
    m.suspend_cpu()
    m.kvm_riscv_cpu_pm_notifier(enter=False)
    if m.has_fpu:
        m.fstate_restore(m.current)
    if m.has_vector:
        m.riscv_v_vstate_set_restore(m.current)
    if was is not Mode.KERNEL:
        go_on(m)
