"""System calls, and what the kernel does in them for its own ends."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.base import Refused
from harness.model.operands import ADDRESS, NUMBER, words
from harness.model.places import in_kernel, in_user
from harness.model.riscv import due
from harness.model.riscv.cpu.pointer_masking import Access, transform
from harness.model.riscv.host.process import PR_PMLEN_SHIFT, PR_TAGGED_ADDR_ENABLE
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.places import waits
from harness.model.riscv.stimuli.table import VERBS
from harness.model.tasks import At
from harness.model.values import EMPTY
from harness.model.verbs import Try, tried
from harness.model.world import World

PR_FLAGS = {
    "PR_TAGGED_ADDR_ENABLE": PR_TAGGED_ADDR_ENABLE,
    # another architecture's, which this one refuses
    "PR_MTE_TCF_SYNC": 1 << 1,
    "PR_MTE_TCF_ASYNC": 1 << 2,
}

PRCTLS = (
    *("PR_SET_TAGGED_ADDR_CTRL", "PR_GET_TAGGED_ADDR_CTRL"),
    *("PR_RISCV_V_SET_CONTROL", "PR_RISCV_V_GET_CONTROL"),
)


def _can_return(m: Program, actor: str) -> None:
    if in_kernel(m, actor, At.USER, At.SYSCALL, At.RUN).kernel_mode_v:
        raise Refused(f"{actor} uses vectors in the kernel")


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
    vcpu = waits(m, task)
    if vcpu is not None:
        vcpu.waiting = ""  # a signal: KVM_RUN gives EINTR
    m.exit_to_user_mode()


@VERBS.verb("makes a system call with a pointer, tagged or not", ADDRESS, when=in_user)
def uaccess(m: Program, actor: str, address: int) -> None:
    """A system call takes a pointer: untagged_addr(), then access_ok()."""
    m.svc()
    task = m.tasks[actor]
    pmlen = m.mms[task.mm].pmlen
    m.address = transform(address, pmlen, Access.DATA, True)
    tags = tags_of(m, actor)
    if tags != pmlen:
        text = f"the kernel strips {pmlen} bits of {actor}'s pointers, it has asked for {tags}"
        m.violated("set-lost", actor, "PR_TAGGED_ADDR_ENABLE", text)
    if m.address >> m.host.sv - 1:
        m.errno = "EFAULT"
    m.exit_to_user_mode()


@VERBS.verb(
    "calls FUTEX_WAKE_OP, which changes the word at a pointer, tagged or not", ADDRESS, when=in_user
)
def futex(m: Program, actor: str, address: int) -> None:
    """arch_futex_atomic_op_inuser(): access_ok(), then an AMO, which nothing masks in S-mode.

    If that faults, fault_in_user_writeable() finds nothing wrong, and the kernel tries again.
    """
    m.svc()
    task = m.tasks[actor]
    untagged = transform(address, m.mms[task.mm].pmlen, Access.DATA, True)
    m.address = untagged if "futex-untag" in m.fixes else address
    if untagged >> m.host.sv - 1:
        m.errno = "EFAULT"
    elif m.address >> m.host.sv - 1:
        text = f"the kernel changes {actor}'s futex by a tagged pointer: the call never returns"
        m.violated("set-lost", actor, "PR_TAGGED_ADDR_ENABLE", text)
    m.exit_to_user_mode()


def _arg(value: int, flags: tuple[str, ...]) -> int:
    arg = value << PR_PMLEN_SHIFT
    for name in flags:
        arg |= PR_FLAGS[name]
    return arg


def _can_call(m: Program, actor: str, option: str, value: int, flags: tuple[str, ...] = ()) -> None:
    in_user(m, actor)
    if "GET" in option and (value or flags):
        raise Refused(f"{option} takes no argument but 0")
    if flags and option != "PR_SET_TAGGED_ADDR_CTRL":
        raise Refused(f"{option} has no {flags[0]}")
    if _arg(value, flags) >> 64:
        raise Refused(f"{value} << {PR_PMLEN_SHIFT} does not fit into 64 bits")


@VERBS.verb(
    "asks for a PMLEN, or says or asks whether its vectors are on (2) or off (1)",
    words(PRCTLS),
    NUMBER,
    words(PR_FLAGS, several=True, called="FLAG | ..."),
    when=_can_call,
)
def prctl(m: Program, actor: str, option: str, value: int, flags: tuple[str, ...] = ()) -> None:
    m.svc()
    arg, task, owed = _arg(value, flags), m.tasks[actor], m.task_due[actor]
    if option == "PR_SET_TAGGED_ADDR_CTRL":
        m.errno = m.set_tagged_addr_ctrl(task, arg)
        if not m.errno:
            with_abi = "pmm-with-abi" in m.fixes and "pmm-without-abi" not in m.fixes
            due.tagged(owed, arg, m.host.pmlen, with_abi)
            m.task_due[owed.mm].tags = owed.tags
    elif option == "PR_GET_TAGGED_ADDR_CTRL":
        _returns(m, m.get_tagged_addr_ctrl(task))
    elif option == "PR_RISCV_V_GET_CONTROL":
        _returns(m, m.riscv_v_vstate_ctrl_get_current())
    else:
        m.errno = m.riscv_v_vstate_ctrl_set_current(value)
        if not m.errno:
            due.v_control(owed, value)
    if m.errno:
        m.note("errno", m.errno)
    m.exit_to_user_mode()


def tags_of(m: Program, actor: str) -> int:
    """The length of the tagged address ABI of a task's memory, which threads share."""
    return m.task_due[m.task_due[actor].mm].tags


def _returns(m: Program, value: int | None) -> None:
    """What a prctl says, None for EINVAL."""
    m.returned = value
    m.errno = "EINVAL" if value is None else None
    m.seen = None if value is None else (m.val(value, "kernel"),)


def _uses(w: World, who: str, current: str) -> Iterator[Try]:
    if w.lists("isa", "v"):
        yield Try(("kernel",), where="kernel")


def _can_begin(m: Program, actor: str) -> None:
    if in_kernel(m, actor, At.SYSCALL).kernel_mode_v or not m.has_vector:
        raise Refused(f"{actor} cannot use vectors in the kernel now")


@VERBS.verb(
    "in a system call, the kernel begins to use vectors",
    when=_can_begin,
    touches="cpu",
    tries=_uses,
    leads=[()],
)
def kernel_vector_begin(m: Program, actor: str) -> None:
    if not m.kernel_vector:
        return  # it does without
    m.kernel_vector_begin()
    m.use_vector_in_kernel()
    m.task_due[actor].kernel_v = m.cpu.v


def _can_end(m: Program, actor: str) -> None:
    task = in_kernel(m, actor, At.SYSCALL)
    if m.kernel_vector and not task.kernel_mode_v:
        raise Refused(f"{actor} uses no vectors in the kernel")


@VERBS.verb(
    "stops using vectors in the kernel", when=_can_end, touches="cpu", tries=_uses, leads=[()]
)
def kernel_vector_end(m: Program, actor: str) -> None:
    if m.kernel_vector:
        m.task_due[actor].kernel_v = EMPTY
        m.kernel_vector_end()
