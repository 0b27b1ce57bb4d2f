"""Vcpus that are loaded, entered and left, and what comes to them from outside."""

from __future__ import annotations

import re

from harness.model.base import Refused
from harness.model.operands import words
from harness.model.places import in_guest, in_kernel, loaded
from harness.model.riscv import due
from harness.model.riscv.cpu.csr import (
    ENVCFG_LPE,
    ENVCFG_PMM,
    ENVCFG_SSE,
    IRQ_PMU_OVF,
    IRQ_VS_SOFT,
    IRQ_VS_TIMER,
)
from harness.model.riscv.kvm.sbi import SBI_ERR_NOT_SUPPORTED
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import all_ids, reg_name
from harness.model.riscv.kvm.vcpu_sbi import INVALID_GPA
from harness.model.riscv.kvm.vcpu_sbi_fwft import MIS_DELEG
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.places import waits
from harness.model.riscv.stimuli.table import VERBS
from harness.model.tasks import At, Mode
from harness.model.verbs import tried

MEANWHILE = ("raise", "lower")

# What a running guest changes of what ONE_REG has set, and what a reset clears.
GUEST_GROUPS = frozenset(["core", "csr", "aia", "timer", "fp_f", "fp_d", "vector", "zicfiss"])

RESET_GROUPS = GUEST_GROUPS | {"smstateen", "fwft", "sta"}  # a guest's sstateen0 is read-only

# What a reset leaves that is not zero: kvm_riscv_vcpu_timer_reset(), and so on. Of scounteren
# it depends on the kernel, and who asks for the reset says where the vcpu goes on.
AFTER_RESET: dict[str, tuple[int, ...]] = {
    "timer.compare": (due.NEVER,),
    "csr.scounteren": (0, 0b111),
}

NOT_RESET = re.compile(
    r"core\.(pc|x1[01]|mode)|timer\.(time|frequency)|vector\.vlenb|fwft\..*\.(enable|value)"
)


def reset_due(m: Program) -> None:
    """A reset that a guest has asked for is due once the vcpu runs."""
    for hart in m.harts:
        if hart.mode is Mode.GUEST:
            owed = m.vcpu_due[m.tasks[m.rqs[hart.id].current].vcpu]
            if owed.reset is not None:
                due.reset_vcpu(owed, *owed.reset)
                due.forget(owed, RESET_GROUPS)
                has_no_past(m, m.vcpus[owed.name])


def has_no_past(m: Program, vcpu: Vcpu) -> None:
    """A vcpu that has been reset has nothing of its former life, where it is kept for it."""
    left = {
        "henvcfg.PMM": vcpu.cfg.henvcfg & ENVCFG_PMM,
        "hedeleg, misaligned": vcpu.cfg.hedeleg & MIS_DELEG,
        "henvcfg.LPE": vcpu.cfg.henvcfg & ENVCFG_LPE,
        "henvcfg.SSE": vcpu.cfg.henvcfg & ENVCFG_SSE,
        "sta.shmem_lo": vcpu.shmem != INVALID_GPA,  # though STA may be off
    }
    for what, value in left.items():
        if value:
            text = f"{vcpu.name} is reset, and its {what} is not"
            m.violated("reset", vcpu.name, what, text)
    for reg in all_ids(m.hosts[vcpu.host].vlenb):
        name = reg_name(reg)
        group = name.partition(".")[0]
        if group not in RESET_GROUPS or group == "sta" or NOT_RESET.fullmatch(name):
            continue
        got = m.would_get(vcpu, reg)
        if got is not None and not {val.bits for val in got} <= {*AFTER_RESET.get(name, (0,))}:
            text = f"{vcpu.name} is reset, and its {name} is {got[0].bits:#x}"
            m.violated("reset", vcpu.name, name, text)


def can_load(m: Program, actor: str) -> None:
    vcpu = m.vcpus[actor]
    task = in_kernel(m, vcpu.thread, At.SYSCALL)
    if not vcpu.created:
        raise Refused(f"{actor} has not been created")
    if m.asleep(vcpu):
        raise Refused(m.asleep(vcpu))
    other = waits(m, task)
    if other is not None and other is not vcpu:
        raise Refused(f"{task.name} is in KVM_RUN, for {other.name}")
    if task.kernel_mode_v:
        raise Refused(f"{task.name} uses vectors in the kernel")


@VERBS.verb(
    "is loaded by its thread, which is in a system call",
    when=can_load,
    actors="vcpu",
    leads=[()],
)
def vcpu_load(m: Program, actor: str) -> None:
    runs(m, m.vcpus[actor])
    m.kvm_arch_vcpu_ioctl_run(m.vcpus[actor])


def _can_enter(m: Program, actor: str) -> None:
    vcpu = loaded(m, actor)
    if vcpu.stopped:
        raise Refused(m.is_stopped(vcpu))


@VERBS.verb(
    "is entered",
    when=_can_enter,
    actors="vcpu",
    touches="cpu",
    tries=tried("run", where="kernel"),
    leads=[()],
)
def guest_enter(m: Program, actor: str) -> None:
    m.guest_enter(m.vcpus[actor])


def _counts(m: Program, actor: str) -> None:
    vcpu = m.vcpus[actor]
    if not vcpu.created or not probe_of(m, vcpu):
        raise Refused(f"no counter of {actor} can overflow")


@VERBS.verb("one of its counters overflows, wherever it is", when=_counts, actors="vcpu")
def pmu_overflow(m: Program, actor: str) -> None:
    """kvm_riscv_pmu_overflow(): an event of the host's perf that counts for the guest."""
    vcpu = m.vcpus[actor]
    if "isa-sscofpmf" in m.fixes:
        m.kvm_riscv_vcpu_set_interrupt(vcpu, IRQ_PMU_OVF)


def probe_of(m: Program, vcpu: Vcpu) -> bool:
    """Whether the vcpu's host has counters for it."""
    host = m.hosts[vcpu.host]
    return host.pmu and {"ssaia", "sscofpmf"} <= host.isa


def _has_timer(m: Program, actor: str) -> None:
    vcpu = m.vcpus[actor]
    if not vcpu.next_set or "sstc" in m.hosts[vcpu.host].isa:
        raise Refused(f"{actor} has no timer on")


@VERBS.verb("the timer expires that it has without Sstc", when=_has_timer, actors="vcpu")
def hrtimer_expired(m: Program, actor: str) -> None:
    """kvm_riscv_vcpu_hrtimer_expired(): the timer that stands in for Sstc."""
    vcpu = m.vcpus[actor]
    vcpu.next_set = m.vcpu_due[actor].armed = False
    m.kvm_riscv_vcpu_set_interrupt(vcpu, IRQ_VS_TIMER)


@VERBS.verb(
    "leaves the guest for the run loop, while another CPU raises or lowers its software interrupt",
    words(("irq", *MEANWHILE), optional=True),
    when=in_guest,
    actors="vcpu",
    touches="cpu",
    tries=tried("run", "irq", where="guest"),
    leads=[("irq",)],
)
def guest_exit(m: Program, actor: str, why: str) -> None:
    vcpu = m.vcpus[actor]
    if why in MEANWHILE:
        due.interrupt(m.vcpu_due[actor], IRQ_VS_SOFT, why == "raise")
    m.guest_exit(vcpu, why if why in MEANWHILE else "")


def runs(m: Program, vcpu: Vcpu) -> None:
    """The guest runs: its registers are its own from now on."""
    owed = m.vcpu_due[vcpu.name]
    due.forget(owed, GUEST_GROUPS)
    if not m.in_memslot(vcpu.shmem & ~0xFFF, 1):
        due.forget(owed, frozenset(["sta"]))  # there is nowhere to record steal time
    if owed.answer:  # a VMM that knows nothing of the call
        owed.answer = False
        for n, bits in ((10, SBI_ERR_NOT_SUPPORTED & (1 << 64) - 1), (11, 0)):
            owed.x = owed.x.set(n, (m.val(bits, vcpu.name),))


def goes_on(m: Program, actor: str, name: str) -> bool:
    """Whether KVM_RUN is where the task is already, asleep: then its vcpu goes on."""
    vcpu, task = m.vcpus[name], m.tasks[actor]
    return waits(m, task) is vcpu and task.on_cpu >= 0 and task.at is At.SYSCALL
