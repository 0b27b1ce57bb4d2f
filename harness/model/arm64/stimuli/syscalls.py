"""System calls and traps of tasks, as a whole or a step at a time."""

from __future__ import annotations

import functools

from harness.model.arm64 import due
from harness.model.arm64.cpu.cpu import Access, Trap
from harness.model.arm64.cpu.sysreg import ESR_ELX_EC_FP_EXC64, FPCR_TRAPS
from harness.model.arm64.host.state import Task
from harness.model.arm64.host.vl import PR_SVE_SET_VL_ONEXEC, PR_SVE_VL_INHERIT, PR_VL_LEN_MASK
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.program import Program
from harness.model.arm64.stimuli.places import by_syscall, exists, in_user_or_syscall, not_in_neon
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused
from harness.model.operands import NUMBER, words
from harness.model.places import in_guest, in_kernel, in_user
from harness.model.tasks import At

PR_FLAGS = {
    "PR_SVE_VL_INHERIT": PR_SVE_VL_INHERIT,
    "PR_SVE_SET_VL_ONEXEC": PR_SVE_SET_VL_ONEXEC,
    "PR_SME_VL_INHERIT": PR_SVE_VL_INHERIT,
    "PR_SME_SET_VL_ONEXEC": PR_SVE_SET_VL_ONEXEC,
}

EXITS = ("irq", "wfx", "hvc", "sysreg", "dabt")

ACCESS_OF_CLASS: dict[str, Access] = {"fp": "asimd", "sve": "sve", "sme": "sme"}


@VERBS.verb(
    "makes a system call that does nothing, and returns",
)
def syscall(m: Program, actor: str) -> None:
    in_user(m, actor)
    m.svc()
    m.exit_to_user_mode()


@VERBS.verb("makes a system call, and is in the kernel", touches="cpu")
def syscall_enter(m: Program, actor: str) -> None:
    in_user(m, actor)
    m.svc()


@VERBS.verb("leaves the kernel, whatever is left to do there", touches="cpu")
def ret_to_user(m: Program, actor: str) -> None:
    task = in_kernel(m, actor, At.USER, At.SYSCALL, At.RUN)
    not_in_neon(m, task)
    if task.at is At.RUN:
        m.vcpu_put(m.vcpus[task.vcpu])
    m.exit_to_user_mode()


@VERBS.verb(
    "a task's access traps, and its handler has yet to run; a guest's access "
    "traps to hyp (fp, sve, sme), or leaves the guest (wfx, hvc, sysreg, dabt); `fpe` is an FP "
    "exception that FPCR has enabled",
    words("sve sme fp fpe irq wfx hvc sysreg dabt"),
    actors="task vcpu",
    touches="cpu",
)
def trap(m: Program, actor: str, what: str) -> None:
    exists(m, what)
    if actor in m.vcpus:
        _guest_class(m, actor, what)
        return
    task = in_user(m, actor)
    if what == "fpe":
        _fp_exception(m, task)
        return
    if what not in ("sve", "sme"):
        raise Refused(f"a task can `trap sve`, `trap sme` or `trap fpe`, not `trap {what}`")
    if m.access(ACCESS_OF_CLASS[what]) is None:
        raise Refused(f"{actor}'s {what.upper()} instruction would not trap here")
    m.cost.host_traps += 1
    m.el0_interrupt()
    task.pending = what


def _fp_exception(m: Program, who: Task | Vcpu) -> None:
    """A trapped FP exception: no control of EL1 or EL2 is asked, and a guest keeps its own."""
    if not m.cpu.fpcr.bits & FPCR_TRAPS:
        raise Refused(f"{who.name}'s FPCR enables no FP exception")
    guest = isinstance(who, Vcpu)
    trap = Trap(ESR_ELX_EC_FP_EXC64, 2 if m.has_vhe and not guest else 1)
    m.traps.append(trap)
    if m.recording:
        m.note("trap", f"ec={trap.ec:#04x} el={trap.el}")
    if not guest:
        m.cost.host_traps += 1
        m.el0_interrupt()
        m.do_fpsimd_exc()
        m.exit_to_user_mode()


@VERBS.verb("the handler of its trap runs: do_sve_acc() or do_sme_acc()", touches="cpu")
def handle_trap(m: Program, actor: str) -> None:
    task = in_kernel(m, actor, At.USER)
    if not task.pending:
        raise Refused(f"{actor} has no trap to handle")
    m.el0_access_trap()


def _guest_class(m: Program, actor: str, what: str) -> None:
    vcpu = in_guest(m, actor)
    if what in EXITS:
        m.guest_exit(vcpu, "irq" if what == "irq" else "trap")
        m.current.at = At.RUN
        return
    if what == "fpe":
        _fp_exception(m, vcpu)
        return
    executed = m.instruction(vcpu, ACCESS_OF_CLASS[what])
    if executed and not m.traps:
        raise Refused(f"{actor}'s {what.upper()} instruction would not trap here")


@VERBS.verb(
    "restores its registers on the way to user space, and is still in the kernel",
)
def do_notify_resume(m: Program, actor: str) -> None:
    task = in_kernel(m, actor, At.USER, At.SYSCALL)
    not_in_neon(m, task)
    m.el0_access_trap()
    m.do_notify_resume()


@VERBS.verb(
    "sets a vector length of its own, in bytes, or asks for it (with 0)",
    words("PR_SVE_SET_VL PR_SME_SET_VL PR_SVE_GET_VL PR_SME_GET_VL"),
    NUMBER,
    words(PR_FLAGS, several=True),
    touches="cpu",
)
def prctl(m: Program, actor: str, option: str, vl: int, flags: tuple[str, ...] = ()) -> None:
    in_user_or_syscall(m, actor)
    arg = vl
    for name in flags:
        arg |= PR_FLAGS[name]
    sve = option.startswith("PR_SVE")
    if "GET" in option:
        if arg:
            raise Refused(f"{option} takes no argument but 0")
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
    m.errno = "EINVAL" if m.returned is None else ""
