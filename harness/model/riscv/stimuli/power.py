"""CPUs that sleep, go off line, and come back."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.base import Refused
from harness.model.operands import words
from harness.model.riscv.cpu.state import VsCsrs
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.table import VERBS
from harness.model.shared import go_on
from harness.model.tasks import Mode
from harness.model.values import EMPTY, ZERO, Val
from harness.model.verbs import Try, tried
from harness.model.world import World


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
    _lose_power(m)
    m.suspend_cpu()
    m.kvm_riscv_cpu_pm_notifier(enter=False)
    if m.has_fpu:
        m.fstate_restore(m.current)
    if m.has_vector:
        m.riscv_v_vstate_set_restore(m.current)
    if was is not Mode.KERNEL:
        go_on(m)


def _lose_power(m: Program) -> None:
    """What a hart forgets; envcfg is suspend_cpu()'s."""
    hart = m.cpu
    hart.f = hart.v = EMPTY
    hart.vs = VsCsrs()
    hart.henvcfg = hart.hstateen0 = hart.hedeleg = hart.hideleg = 0


def _can_change(m: Program, actor: str, state: str) -> None:
    if (state == "on") is m.cpu.online:
        raise Refused(f"{actor} is {'on' if m.cpu.online else 'off'} line already")
    if state == "off" and not m.current.name.startswith("idle"):
        raise Refused(f"{actor} runs {m.current.name}: only an idle CPU goes off line")


def _tries(w: World, actor: str, current: str) -> Iterator[Try]:
    for state in ("off", "on") if w.settings.get("cpus", (1, 1))[1] > 1 else ():
        yield Try(("power",), (state,))


@VERBS.verb(
    "goes off line, or comes back with its registers reset",
    words("off on"),
    when=_can_change,
    actors="cpu",
    tries=_tries,
    leads=[("on",)],
)
def hotplug(m: Program, actor: str, state: str) -> None:
    if state == "off":
        m.cpu.online = False
        m.kvm_arch_disable_virtualization_cpu()  # kvm_offline_cpu()
        _lose_power(m)
        m.cpu.senvcfg = ZERO
    else:
        m.cpu.online = True
        m.write_senvcfg(Val(m.default_envcfg()))  # riscv_user_isa_enable()
        m.kvm_arch_enable_virtualization_cpu()  # kvm_online_cpu()
