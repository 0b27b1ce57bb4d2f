"""Each stimulus is something that user space, a guest, an interrupt or the hardware can do.

The tables below are made from the uAPI headers of v7.2 (asm/kvm.h, linux/kvm.h, linux/prctl.h),
the SBI specification and the manuals, not from the model. A verb or an argument that is in none
of them is one that nobody can bring about.
"""

from __future__ import annotations

import pytest

from harness.dsl.check import Checker
from harness.engine import Replay
from harness.errors import SourceError
from harness.model import architecture
from harness.model.riscv.host.process import PR_PMLEN_SHIFT
from harness.model.riscv.kvm.sbi import ERRORS, EXPERIMENTAL, EXTENSIONS, FWFT, VENDOR
from harness.model.riscv.kvm.uapi import (
    AIA_REGS,
    ARGUMENT_BITS,
    ARGUMENTS,
    CONFIG_REGS,
    CSR_REGS,
    SBI_EXTENSIONS,
    SMSTATEEN_REGS,
    STA_REGS,
    TIMER_REGS,
)
from harness.model.riscv.stimuli.guest import FAULTS
from harness.model.riscv.stimuli.ioctls import IOCTLS
from harness.model.riscv.stimuli.program import INSTRUCTIONS
from harness.model.riscv.stimuli.syscalls import PR_FLAGS, PRCTLS

RISCV = architecture("riscv")

# Who brings each verb about.
INSTRUCTION = "read write load fetch cbo page vsetvli vl1r insn priv fault sbi"
SYSTEM_CALL = """
    syscall syscall_enter ret_to_user uaccess futex ioctl one_reg_get one_reg_set save restore
    prctl sigreturn fork clone exec exit kernel_vector_begin kernel_vector_end
"""
KVM_INSIDE = "hlv hlvx vcpu_load vcpu_put guest_enter guest_exit"
EVENT = "signal irq softirq cpu_pm hotplug switch sched_switch pmu_overflow hrtimer_expired"

# linux/kvm.h and asm/kvm.h: how many bits the argument has, and the names of its values.
U32, U64 = 32, 64
MP_STATES = """
    RUNNABLE UNINITIALIZED INIT_RECEIVED HALTED SIPI_RECEIVED STOPPED CHECK_STOP OPERATING LOAD
    AP_RESET_HOLD SUSPENDED
"""
HEADER: dict[str, tuple[int, dict[str, int]]] = {
    "KVM_RUN": (0, {}),
    "KVM_GET_REG_LIST": (U64, {}),  # kvm_reg_list.n
    "KVM_INTERRUPT": (  # kvm_interrupt.irq
        U32,
        {"KVM_INTERRUPT_SET": 0xFFFFFFFF, "KVM_INTERRUPT_UNSET": 0xFFFFFFFE},
    ),
    "KVM_SET_MP_STATE": (  # kvm_mp_state.mp_state
        U32,
        {f"KVM_MP_STATE_{name}": n for n, name in enumerate(MP_STATES.split())},
    ),
    "KVM_SET_GUEST_DEBUG": (  # kvm_guest_debug.control
        U32,
        {"KVM_GUESTDBG_ENABLE": 1, "KVM_GUESTDBG_SINGLESTEP": 2},
    ),
    "KVM_ENABLE_CAP": (U32, {"KVM_CAP_RISCV_MP_STATE_RESET": 242}),  # kvm_enable_cap.cap
    # Not the vcpu's id, but which allocation is made to fail.
    "KVM_CREATE_VCPU": (U32, {}),
}
# linux/prctl.h
PRCTL_HEADER = {
    "PR_SET_TAGGED_ADDR_CTRL": 55,
    "PR_GET_TAGGED_ADDR_CTRL": 56,
    "PR_RISCV_V_SET_CONTROL": 69,
    "PR_RISCV_V_GET_CONTROL": 70,
}
PRCTL_FLAGS = {"PR_TAGGED_ADDR_ENABLE": 1, "PR_MTE_TCF_SYNC": 2, "PR_MTE_TCF_ASYNC": 4}
# asm/kvm.h: the fields of its structures, in order
REGISTERS = {
    "isa zicbom_block_size mvendorid marchid mimpid zicboz_block_size satp_mode "
    "zicbop_block_size": CONFIG_REGS,
    "sstatus sie stvec sscratch sepc scause stval sip satp scounteren senvcfg": CSR_REGS,
    "siselect iprio1 iprio2 sieh siph iprio1h iprio2h": AIA_REGS,
    "sstateen0": SMSTATEEN_REGS,
    "frequency time compare state": TIMER_REGS,
    "shmem_lo shmem_hi": STA_REGS,
    "v01 time ipi rfence srst hsm pmu experimental vendor dbcn sta susp fwft mpxy": SBI_EXTENSIONS,
}
# The SBI specification: EIDs as the letters that they are, and how many functions there are.
SBI = {
    "time": (b"TIME", 1),
    "ipi": (b"sPI", 1),
    "rfence": (b"RFNC", 7),
    "hsm": (b"HSM", 4),
    "srst": (b"SRST", 1),
    "pmu": (b"PMU", 9),
    "dbcn": (b"DBCN", 3),
    "susp": (b"SUSP", 1),
    "sta": (b"STA", 1),
    "fwft": (b"FWFT", 2),
    "mpxy": (b"MPXY", 8),
    "base": (b"\x10", 7),
}
SBI_ERRORS = {0, -1, -2, -3, -4, -5, -6, -14}
# The privileged specification: scause
EXCEPTIONS = {
    "inst_access": 1,
    "illegal": 2,
    "breakpoint": 3,
    "misaligned": 4,
    "load_access": 5,
    "fetch_no_memslot": 20,
}


def test_every_verb_is_somebodys() -> None:
    """A program's or guest's instruction, a system call, a step of KVM's, or an event."""
    told = " ".join((INSTRUCTION, SYSTEM_CALL, KVM_INSIDE, EVENT)).split()
    assert len(told) == len(set(told))
    assert set(told) == set(RISCV.verbs)


def test_every_ioctl_is_one_of_the_headers() -> None:
    """With as many bits and the values that its structure has."""
    assert set(IOCTLS) == set(HEADER)
    for name, (bits, values) in HEADER.items():
        assert ARGUMENT_BITS.get(name, 0) == bits, name
        assert ARGUMENTS.get(name, {}) == values, name


def test_every_prctl_is_one_of_the_headers() -> None:
    """Options, flags, and where PMLEN stands."""
    assert set(PRCTLS) == set(PRCTL_HEADER)
    assert PR_FLAGS == PRCTL_FLAGS
    assert PR_PMLEN_SHIFT == 24


@pytest.mark.parametrize("fields", REGISTERS)
def test_registers_have_the_order_of_the_header(fields: str) -> None:
    """An index is the place of a field in its structure, or of a name in its enum."""
    assert REGISTERS[fields] == tuple(fields.split())


def test_the_sbi_is_the_specifications() -> None:
    """EIDs, functions, ranges, features and errors."""
    for name, (letters, functions) in SBI.items():
        assert EXTENSIONS[name].eid == int.from_bytes(letters, "big"), name
        assert len(EXTENSIONS[name].functions) == functions, name
    assert set(EXTENSIONS) == set(SBI)
    assert (EXPERIMENTAL.start, EXPERIMENTAL.stop) == (0x08000000, 0x09000000)
    assert (VENDOR.start, VENDOR.stop) == (0x09000000, 0x0A000000)
    assert list(FWFT.values()) == list(range(6))
    assert set(ERRORS.values()) == SBI_ERRORS


def test_faults_are_the_hardwares() -> None:
    """By the cause that each has, and instructions by what they are."""
    assert FAULTS == EXCEPTIONS
    assert set(INSTRUCTIONS) == {"nop", "sfence_vma", "hfence_gvma", "wfi", "wfi_unmapped", "jalr"}


TRACE = """\
trace "a sample"
link "user-1@host.example"
machine riscv rv64 {{ cpus 2; isa f d v ssnpm; pmlen 7..16 }}
verdict {kernel} holds
task A, B on cpu1
vm V {{ vcpu v0 in A; vcpu v1 in B secondary; vcpu v2 in A later }}
"""


def complaint(body: str, kernel: str = "v7.2") -> str:
    """The first mistake in a trace, or what it shows that is wrong."""
    lines = (TRACE.format(kernel=kernel) + body).splitlines()
    try:
        trace = Checker("x.trace", "x").read(lines)
        replay = Replay(trace, RISCV.catalogue.kernel(kernel), "rv64")
        replay.run()
    except SourceError as error:
        return str(error)
    return "".join(v.text for _, v in replay.outcome.violations)


@pytest.mark.one_in(12)
@pytest.mark.parametrize(
    ("event", "says"),
    [
        ("A ioctl KVM_INTERRUPT v0 0x100000000", "32 bits"),
        ("A ioctl KVM_INTERRUPT v0", "KVM_INTERRUPT_SET"),
        ("A ioctl KVM_INTERRUPT v0 KVM_INTERRUPT_SAT", "KVM_INTERRUPT_SET"),
        ("A ioctl KVM_INTERRUPT v0 LOCK", "a number, or KVM_INTERRUPT_SET"),
        ("A ioctl KVM_INTERRUPT v0 1, 2", "one number"),
        ("A ioctl KVM_SET_MP_STATE v0 KVM_MP_STATE_STOPED", "KVM_MP_STATE_STOPPED"),
        ("A ioctl KVM_SET_MP_STATE v0", "KVM_MP_STATE_RUNNABLE"),
        ("A ioctl KVM_SET_GUEST_DEBUG v0 0x100000000", "32 bits"),
        ("A ioctl KVM_ENABLE_CAP v0", "KVM_CAP_RISCV_MP_STATE_RESET"),
        ("A ioctl KVM_CREATE_VCPU v2 3", "allocation 1 or 2"),
        ("A prctl PR_RISCV_V_GET_CONTROL 1", "no argument"),
        ("A prctl PR_GET_TAGGED_ADDR_CTRL 0 | PR_TAGGED_ADDR_ENABLE", "no argument"),
        ("A prctl PR_RISCV_V_SET_CONTROL 1 | PR_TAGGED_ADDR_ENABLE", "has no"),
        ("A prctl PR_SET_TAGGED_ADDR_CTRL 0x10000000000", "64 bits"),
        ("A read x1", "unknown register"),
        ("A read sstatus", "unknown register"),
        ("v0 read x0", "unknown register"),
        ("v0 read x32", "unknown register"),
        ("v0 sbi time send_ipi", "set_timer"),
        ("v0 sbi tme set_timer", "time"),
        ("v0 sbi 0x12345678 set_timer", "by its number"),
        ("v0 sbi 0x10000000000000000 0", "64 bits"),
        ("v0 sbi time 0x10000000000000000", "64 bits"),
    ],
)
def test_what_nobody_can_do_is_refused(event: str, says: str) -> None:
    """With what could be said instead."""
    before = "A ioctl KVM_RUN v0\n" if event.startswith("v0") else ""
    assert says in complaint(before + event)


@pytest.mark.parametrize("program", ["A write vl = 4", "A write vtype = 0"])
def test_a_program_that_writes_a_read_only_csr_is_killed(program: str) -> None:
    """vl and vtype are vsetvli's."""
    assert complaint(f"{program}\nexpect signal SIGILL") == ""


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("sbi time set_timer 5", "sbi 0x54494d45 0 5"),
        ("sbi time set_timer 5", "sbi time 0 5"),
        ("sbi hsm hart_get_status 1", "sbi 4739917 2 1"),
        ("sbi base probe_extension 0x10", "sbi 16 probe_extension 0x10"),
        ("sbi fwft get POINTER_MASKING_PMLEN", "sbi 0x46574654 1 5"),
    ],
)
def test_names_and_numbers_are_the_same_call(name: str, number: str) -> None:
    """Whichever of the two is written, all is the same afterwards."""
    states = []
    for call in (name, number):
        lines = (TRACE.format(kernel="v7.2") + f"A ioctl KVM_RUN v0\nv0 {call}\n").splitlines()
        replay = Replay(Checker("x.trace", "x").read(lines), RISCV.catalogue.kernel("v7.2"), "rv64")
        replay.run()
        states.append(replay.model.canonical())
    assert states[0] == states[1]


def test_an_alias_of_an_errno_is_as_good() -> None:
    """EOPNOTSUPP and ENOTSUP are one number."""
    body = "A ioctl KVM_RUN v0\nv0 fault fetch_no_memslot\nexpect errno "
    assert complaint(body + "EOPNOTSUPP", "v7.1") == ""
    assert complaint(body + "ENOTSUP", "v7.1") == ""
    assert "ENOENT" in complaint(body + "ENOENT", "v7.1")
    assert "it gave no error" in complaint(body + "EOPNOTSUPP", "v7.2")


ASLEEP = """\
A ioctl KVM_RUN v0
v0 sbi hsm hart_start 1, 0x80000000
B ioctl KVM_RUN v1
"""


@pytest.mark.parametrize(
    ("sleep", "wake"),
    [
        ("v1 sbi hsm hart_stop", "v0 sbi hsm hart_start 1, 0x80000000"),
        ("v1 write sie = 2\nv1 sbi hsm hart_suspend 0", "v0 sbi ipi send_ipi 2, 0"),
        ("v1 write sie = 2\nv1 insn wfi", "v0 sbi ipi send_ipi 2, 0"),
    ],
)
def test_a_vcpu_that_sleeps_says_how_it_goes_on(sleep: str, wake: str) -> None:
    """And what it says is accepted: KVM_RUN, in which its thread still is, or step by step."""
    asleep = f"{ASLEEP}{sleep}\n"
    for event in ("v1 read sip", "B ioctl KVM_RUN v1", "v1 vcpu_load"):
        why = complaint(asleep + event)
        assert "`sbi hsm hart_start`" in why or "`sbi ipi send_ipi`" in why
    other = "v0 guest_exit\nA ret_to_user\nA ioctl KVM_SET_MP_STATE v1 0"
    assert "v1 is in KVM_RUN already" in complaint(asleep + other)
    assert complaint(f"{asleep}{wake}\nB ioctl KVM_RUN v1\nv1 read sip") == ""
    assert complaint(f"{asleep}{wake}\nv1 vcpu_load\nv1 guest_enter\nv1 read sip") == ""
    assert complaint(f"{asleep}B ret_to_user\nB syscall") == ""  # a signal


def test_a_vcpu_without_anything_pending_waits_in_vain() -> None:
    """An interrupt that the guest has not switched on wakes nobody."""
    body = f"{ASLEEP}v1 insn wfi\nv0 sbi ipi send_ipi 2, 0\nB ioctl KVM_RUN v1"
    assert "waits for an interrupt" in complaint(body)


def test_hart_ids_are_those_of_a_vm() -> None:
    """A vcpu of another VM is no hart of this one, and no reset or shutdown reaches it."""
    body = "vm W { vcpu w0 in A }\nA ioctl KVM_RUN v0\n"
    assert complaint(f"{body}v0 sbi hsm hart_start 3, 0\nexpect sbi SBI_ERR_INVALID_PARAM") == ""
    assert complaint(f"{body}v0 sbi srst system_reset 0\nA ret_to_user\nA ioctl KVM_RUN w0") == ""


def test_a_cap_is_a_vms() -> None:
    """Each vcpu of it has the cap, those that are made later too; another VM's have not."""
    body = "vm W { vcpu w0 in A }\nA ioctl KVM_ENABLE_CAP v0 KVM_CAP_RISCV_MP_STATE_RESET\n"
    body += "A ioctl KVM_CREATE_VCPU v2\n"
    reset = "A ioctl KVM_SET_MP_STATE {} KVM_MP_STATE_INIT_RECEIVED\nexpect {}"
    assert complaint(body + reset.format("v1", "no errno")) == ""
    assert complaint(body + reset.format("v2", "no errno")) == ""
    assert complaint(body + reset.format("w0", "errno EINVAL")) == ""


def test_a_reset_by_the_vmm_leaves_a_call_to_complete() -> None:
    """KVM_RUN completes an SBI call that user space was to answer, whatever came in between."""
    body = (
        "A ioctl KVM_ENABLE_CAP v0 KVM_CAP_RISCV_MP_STATE_RESET\nA ioctl KVM_RUN v0\n"
        "v0 sbi 0x9000000 0\nA ret_to_user\n"
        "A ioctl KVM_SET_MP_STATE v0 KVM_MP_STATE_INIT_RECEIVED\n"
        "A ioctl KVM_RUN v0\nv0 read x10\nexpect read x10 = 0xfffffffffffffffe\n"
    )
    assert complaint(body) == ""
