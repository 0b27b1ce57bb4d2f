"""System calls and traps of tasks, as a whole or a step at a time."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from harness.model.arm64 import due
from harness.model.arm64.cpu.cpu import Access, Trap, check_access
from harness.model.arm64.cpu.sysreg import ESR_ELX_EC_FP_EXC64, FPCR_TRAPS
from harness.model.arm64.host.vl import PR_SVE_SET_VL_ONEXEC, PR_SVE_VL_INHERIT, PR_VL_LEN_MASK
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.kvm_run import EXITS
from harness.model.arm64.stimuli.places import by_syscall, exists, in_user_or_syscall, not_in_neon
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import NUMBER, words
from harness.model.places import in_kernel, in_program
from harness.model.tasks import At
from harness.model.verbs import Try, tried
from harness.model.world import World

PR_FLAGS = {
    "PR_SVE_VL_INHERIT": PR_SVE_VL_INHERIT,
    "PR_SVE_SET_VL_ONEXEC": PR_SVE_SET_VL_ONEXEC,
    "PR_SME_VL_INHERIT": PR_SVE_VL_INHERIT,
    "PR_SME_SET_VL_ONEXEC": PR_SVE_SET_VL_ONEXEC,
}

ACCESS_OF_CLASS: dict[str, Access] = {"sve": "sve", "sme": "sme", "fp": "asimd"}


def _can_return(m: Program, actor: str) -> None:
    not_in_neon(m, in_kernel(m, actor, At.USER, At.SYSCALL, At.RUN))


@VERBS.verb(
    "leaves the kernel, whatever is left to do there",
    when=_can_return,
    touches="cpu",
    tries=tried(where="kernel"),
    leads=[()],
)
def ret_to_user(m: Program, actor: str) -> None:
    task = m.tasks[actor]
    if task.at is At.RUN:
        m.vcpu_put(m.vcpus[task.vcpu])
    m.exit_to_user_mode()


def _would_trap(m: Program, actor: str, what: str) -> None:
    """Raises Refused where an instruction of this class, or by this actor, does not trap."""
    exists(m, what)
    who = in_program(m, actor)
    if what == "fpe":
        if not m.cpu.fpcr.bits & FPCR_TRAPS:
            raise Refused(f"{actor}'s FPCR enables no FP exception")
        return
    if isinstance(who, Vcpu):
        if what in EXITS:
            return
    elif what not in ("sve", "sme"):
        raise Refused(f"a task can `trap sve`, `trap sme` or `trap fpe`, not `trap {what}`")
    if check_access(m.cpu, ACCESS_OF_CLASS[what]) is None:
        raise Refused(f"{actor}'s {what.upper()} instruction would not trap here")


def _traps(w: World, who: str, current: str) -> Iterator[Try]:
    if "sve" in w.settings and who in w.everybody:
        yield Try(("sve", "trap"), ("sve",))


@VERBS.verb(
    "a task's access traps, and its handler has yet to run; a guest's access "
    "traps to hyp (fp, sve, sme), or leaves the guest (wfx, hvc, sysreg, dabt); `fpe` is an FP "
    "exception that FPCR has enabled",
    words((*ACCESS_OF_CLASS, "fpe", *EXITS)),
    when=_would_trap,
    actors="task vcpu",
    touches="cpu",
    tries=_traps,
    leads=[("sve",), ("sme",)],
)
def trap(m: Program, actor: str, what: str) -> None:
    if what == "fpe":
        _fp_exception(m, guest=actor in m.vcpus)
    elif what in EXITS:
        m.guest_exit(m.vcpus[actor], "irq" if what == "irq" else "trap")
        m.current.at = At.RUN
    elif actor in m.vcpus:
        m.instruction(m.vcpus[actor], ACCESS_OF_CLASS[what])
    else:
        m.access(ACCESS_OF_CLASS[what])
        m.cost.host_traps += 1
        m.el0_interrupt()
        m.tasks[actor].pending = what


def _fp_exception(m: Program, guest: bool) -> None:
    """A trapped FP exception: no control of EL1 or EL2 is asked, and a guest keeps its own."""
    trap = Trap(ESR_ELX_EC_FP_EXC64, 2 if m.has_vhe and not guest else 1)
    m.traps.append(trap)
    if m.recording:
        m.note("trap", f"ec={trap.ec:#04x} el={trap.el}")
    if not guest:
        m.cost.host_traps += 1
        m.el0_interrupt()
        m.do_fpsimd_exc()
        m.exit_to_user_mode()


def _has_trapped(m: Program, actor: str) -> None:
    if not in_kernel(m, actor, At.USER).pending:
        raise Refused(f"{actor} has no trap to handle")


def _handles(w: World, who: str, current: str) -> Iterator[Try]:
    if "sve" in w.settings:
        yield Try(("sve", "trap"), where="kernel")


@VERBS.verb(
    "the handler of its trap runs: do_sve_acc() or do_sme_acc()",
    when=_has_trapped,
    touches="cpu",
    tries=_handles,
    leads=[()],
)
def handle_trap(m: Program, actor: str) -> None:
    m.el0_access_trap()


def _can_resume(m: Program, actor: str) -> None:
    not_in_neon(m, in_kernel(m, actor, At.USER, At.SYSCALL))


@VERBS.verb(
    "restores its registers on the way to user space, and is still in the kernel", when=_can_resume
)
def do_notify_resume(m: Program, actor: str) -> None:
    m.el0_access_trap()
    m.do_notify_resume()


def _can_call(m: Program, actor: str, option: str, vl: int, flags: tuple[str, ...] = ()) -> None:
    in_user_or_syscall(m, actor)
    if "GET" in option and (vl or flags):
        raise Refused(f"{option} takes no argument but 0")


def _lengths(w: World, who: str, current: str) -> Iterator[Try]:
    for what in ("sve", "sme"):
        for length in dict.fromkeys(w.settings.get(what, ())):
            yield Try(("vl",), (f"PR_{what.upper()}_SET_VL", length))


@VERBS.verb(
    "sets a vector length of its own, in bytes, or asks for it (with 0)",
    words("PR_SVE_SET_VL PR_SME_SET_VL PR_SVE_GET_VL PR_SME_GET_VL"),
    NUMBER,
    words(PR_FLAGS, several=True, called="FLAG | ..."),
    when=_can_call,
    touches="cpu",
    tries=_lengths,
)
def prctl(m: Program, actor: str, option: str, vl: int, flags: tuple[str, ...] = ()) -> None:
    arg = vl
    for name in flags:
        arg |= PR_FLAGS[name]
    sve = option.startswith("PR_SVE")
    if "GET" in option:
        by_syscall(m, functools.partial(_get_vl, m, sve))
        return

    def step() -> None:
        m.errno = m.sve_set_current_vl(arg) if sve else m.sme_set_current_vl(arg)
        if not m.errno:
            lengths = m.lengths.sve if sve else m.lengths.sme
            vl, flags = arg & PR_VL_LEN_MASK, arg & ~PR_VL_LEN_MASK
            due.set_length(m.task_due[actor], not sve, vl, flags, lengths)

    by_syscall(m, step)


def _get_vl(m: Program, sve: bool) -> None:
    m.returned = m.sve_get_current_vl() if sve else m.sme_get_current_vl()
    m.errno = "EINVAL" if m.returned is None else None
