"""What must hold after every step, judged from the state alone.

None of this calls a function of the modelled kernel: it compares what a
program would find in the registers with what it is entitled to (due.py), and
the settings with each other. In one module: each check is short, and they share how
a difference is told.
"""

from __future__ import annotations

from harness.model.arm64.cpu.cpu import Access, check_access, current_vq, streaming_vq
from harness.model.arm64.cpu.state import Registers
from harness.model.arm64.cpu.sysreg import (
    ARMV8_PMU_USERENR_MASK,
    CPACR_EL1_ZEN,
    CPACR_EL1_ZEN_EL1EN,
    CPTR_EL2_TZ,
    HCR_E2H,
    HFG_SME,
    MDCR_EL2_TDA,
    SVCR_SM_MASK,
    SVCR_ZA_MASK,
)
from harness.model.arm64.due import Regs, TaskDue
from harness.model.arm64.host.state import (
    NO_RECORD,
    TIF_FOREIGN_FPSTATE,
    TIF_KERNEL_FPSTATE,
    TIF_SME,
    TIF_SME_VL_INHERIT,
    TIF_SVE,
    TIF_SVE_VL_INHERIT,
    Context,
    Frame,
    SveState,
    Task,
)
from harness.model.arm64.kvm.state import FP_STATE_GUEST_OWNED, Vcpu
from harness.model.arm64.program import Program
from harness.model.arm64.registers import called
from harness.model.base import Violation, classify, shown
from harness.model.tasks import GUEST, KERNEL, USER
from harness.model.values import EMPTY, Bank, Val, first_difference

INVARIANTS: dict[str, str] = {
    "stale": "a context never reads an older value of its own",
    "lost": "a context never finds zero or a reset value where it has written",
    "leak": "a context never reads a value that another context, or the kernel, produced",
    "missing-trap": "an access traps where the owner's settings call for it",
    "spurious-trap": "an access does not trap where the owner's settings allow it",
    "use-after-free": "no pointer to a dead task or a freed vcpu is followed",
    "overflow": "no memory that holds registers is written beyond its end",
    "incoherent": "at EL0 and at guest entry, flags, owner and storage agree",
    "wrong-vl": "a register save finds the vector length its memory is laid out for",
    "wrong-copy": "a per-CPU datum is used through the copy of the mode that runs",
    "host-sysreg": "the host finds its own debug, PMU and trap registers again after a guest",
    "profiling": "the host's profiling and trace do not go on in a guest",
    "round-trip": "a vcpu that is restored by ONE_REG reads what the saved one had",
    "warning": "no WARN_ON() of the kernel fires",
    "bug": "no BUG() of the kernel fires",
    "cost": "a trace stays within its budget of saves, loads and traps",
    "expect": "what the trace expects happens",
}


Found = list[Violation]


def check(m: Program) -> Found:
    """Every violation in the present state."""
    found: Found = []
    for cpu in m.cpus:
        if m.oops and m.rqs[cpu.id].panic:
            continue  # nobody goes on here
        if cpu.mode is USER:
            _user(m, cpu, found)
            task = m.tasks[m.rqs[cpu.id].current]
            if task.frames:
                _frame(m, task, task.frames[-1], found)
        elif cpu.mode is GUEST:
            _guest(m, cpu, found)
        else:
            _kernel_neon(m, cpu, found)
        if not m.config.vhe:
            _homes(m, cpu, found)
        if m.debug_side:
            _sysregs(m, cpu, found)
    return found


def _wrong(who: Context, what: str, want: Val, got: Val) -> Violation:
    kind = classify(who.name, want, got)
    text = f"{who.name} would read {what} = {shown(got)}, is entitled to {shown(want)}"
    return Violation(kind, who.name, what, text, want, got)


def _bank(who: Context, name: str, want: Bank, got: Bank, found: Found) -> None:
    if want is got:
        return
    difference = first_difference(want, got)
    if difference:
        n, quad, a, b = difference
        where, _, kind = name.rpartition(" ")
        reg = f"{where} {called(kind, n)}".lstrip()
        found.append(_wrong(who, f"{reg}[{quad}]" if quad else reg, a, b))


def _opens(cpu: Registers, access: Access) -> bool:
    return check_access(cpu, access) is None


def _scalars(who: Context, due: Regs, cpu: Registers, fpmr: bool, found: Found) -> None:
    if due.fpsr.bits != cpu.fpsr.bits:
        found.append(_wrong(who, "fpsr", due.fpsr, cpu.fpsr))
    if due.fpcr.bits != cpu.fpcr.bits:
        found.append(_wrong(who, "fpcr", due.fpcr, cpu.fpcr))
    if fpmr and due.fpmr.bits != cpu.fpmr.bits:
        found.append(_wrong(who, "fpmr", due.fpmr, cpu.fpmr))


def _user(m: Program, cpu: Registers, found: Found) -> None:
    """At EL0: the registers are current's, and what may be used without a trap is right."""
    task = m.tasks[m.rqs[cpu.id].current]
    if task.flags & TIF_FOREIGN_FPSTATE:
        found.append(
            _incoherent(task, "TIF_FOREIGN_FPSTATE", "is at EL0 with TIF_FOREIGN_FPSTATE set")
        )
        return
    owed = m.task_due[task.name]
    want = owed.regs
    last = m.fpsimd_last_state[cpu.id]
    # Until v4.17 a task may run with fpsimd_last_state empty: it is only
    # compared, and saves go by current.
    if "kvm-fp-2018" in m.fixes and (last.st != task.addr or task.fpsimd_cpu != cpu.id):
        found.append(
            _incoherent(
                task,
                "fpsimd_last_state",
                f"is at EL0 on cpu{cpu.id} without TIF_FOREIGN_FPSTATE, but fpsimd_last_state.st "
                f"is {m.points_to(last.st)} and fpsimd_cpu is {task.fpsimd_cpu}",
            )
        )
    streaming = cpu.svcr & SVCR_SM_MASK
    sve_open = sme_open = False
    if m.sve_host:
        # At nVHE hyp may hold host SVE trapped to put ZCR_EL2 right. That is between
        # kernel and hyp; what EL0 may do is for CPACR_EL1 to say.
        control = cpu.cptr_el2 if m.has_vhe else cpu.cpacr_el1
        sve_open = control & CPACR_EL1_ZEN == CPACR_EL1_ZEN
        if streaming:
            sve_open = bool(task.flags & TIF_SVE)
        elif sve_open != bool(task.flags & TIF_SVE):
            _trap(task, "SVE", sve_open, found)
        if task.flags & TIF_SVE and task.sve_state is None:
            found.append(_incoherent(task, "sve_state", "has TIF_SVE but no sve_state"))
    if m.sme_host:
        if cpu.svcr and not task.flags & TIF_SME:
            found.append(_incoherent(task, "TIF_SME", "has PSTATE.SM or ZA set without TIF_SME"))
        if want.tpidr2_el0.bits != cpu.tpidr2_el0.bits:
            found.append(_wrong(task, "tpidr2_el0", want.tpidr2_el0, cpu.tpidr2_el0))
        sme_open = _opens(cpu, "sme")
        if sme_open != bool(task.flags & TIF_SME):
            _trap(task, "SME", sme_open, found)
    _lengths(m, task, owed, cpu, bool(sve_open), sme_open, found)
    if want.svcr != cpu.svcr:
        got = Val(cpu.svcr)
        kind = "stale" if cpu.svcr else "lost"
        text = f"{task.name} runs with SVCR = {cpu.svcr:#x}, is entitled to {want.svcr:#x}"
        found.append(Violation(kind, task.name, "svcr", text, Val(want.svcr), got))
    # Most often the registers are the very objects that they should be.
    if sve_open or streaming:
        if want.z is not cpu.z or want.p is not cpu.p:
            vq = owed.vq
            _bank(task, "z", want.z, cpu.z.limit(vq), found)
            _bank(task, "p", want.p, cpu.p.limit(vq), found)
    elif not task.flags & TIF_SVE:
        # The next SVE access traps, and zeroes everything above V.
        low = want.z.limit(1)
        _bank(task, "v", low, cpu.z.limit(1), found)
        _bank(task, "z", want.z, low, found)
        _bank(task, "p", want.p, EMPTY, found)
    else:
        _bank(task, "v", want.z.limit(1), cpu.z.limit(1), found)
    if cpu.svcr & SVCR_ZA_MASK:
        _bank(task, "za", want.za, cpu.za, found)
    if want.fpsr is not cpu.fpsr or want.fpcr is not cpu.fpcr or want.fpmr is not cpu.fpmr:
        _scalars(task, want, cpu, m.fpmr_host, found)


def _lengths(
    m: Program,
    task: Task,
    owed: TaskDue,
    cpu: Registers,
    sve_open: bool,
    sme_open: bool,
    found: Found,
) -> None:
    """RDVL and RDSVL, where they do not trap; where they do, what their handler would set.

    And what PR_SVE_GET_VL and PR_SME_GET_VL say of the next exec().
    """
    for name, there, length, flag in (
        ("PR_SVE_VL_INHERIT", m.sve_host, owed.sve, TIF_SVE_VL_INHERIT),
        ("PR_SME_VL_INHERIT", m.sme_host, owed.sme, TIF_SME_VL_INHERIT),
    ):
        if there and length.inherit != bool(task.flags & flag):
            found.append(_wrong(task, name, Val(int(length.inherit)), Val(int(not length.inherit))))
    if m.sve_host and not cpu.svcr & SVCR_SM_MASK:
        has = current_vq(cpu, m.lengths, 0) if sve_open else task.sve_vl
        if has != owed.sve.vq:
            found.append(_wrong(task, "VL", Val(16 * owed.sve.vq), Val(16 * has)))
    if m.sme_host:
        has = streaming_vq(cpu, m.lengths, 0) if sme_open else task.sme_vl
        if has != owed.sme.vq:
            found.append(_wrong(task, "SVL", Val(16 * owed.sme.vq), Val(16 * has)))


def _frame(m: Program, task: Task, frame: Frame, found: Found) -> None:
    """A signal frame says what its program was entitled to when the signal came."""
    due = m.task_due[task.name].frames[-1]
    _bank(task, "frame v", due.z.limit(1), frame.v, found)
    sve = frame.sve or SveState()
    # The low quadwords are the FPSIMD record's; what stands above them is compared here.
    _bank(task, "frame z", due.z.over(frame.v), sve.z.over(frame.v), found)
    _bank(task, "frame p", due.p, sve.p, found)
    if m.sme_host and frame.vl != NO_RECORD and frame.streaming is not due.streaming:
        want, got = (
            Val(SVCR_SM_MASK if is_on else 0) for is_on in (due.streaming, frame.streaming)
        )
        found.append(_wrong(task, "frame SM", want, got))
    _bank(task, "frame za", due.za, frame.za or EMPTY, found)
    scalars = ["fpsr", "fpcr", *(["fpmr"] if m.fpmr_host else [])]
    if m.sme_host and "sig-tpidr2-restore" in m.fixes:
        scalars.append("tpidr2_el0")
    for name in scalars:
        want, got = getattr(due, name), getattr(frame, name)
        if want.bits != got.bits:
            found.append(_wrong(task, f"frame {name}", want, got))


def _trap(task: Task, what: str, is_open: bool, found: Found) -> None:
    """What EL0 may use without a trap is not what the thread flag says."""
    if is_open:
        text = f"{task.name} can use {what} at EL0 without a trap, but TIF_{what} is clear"
        found.append(Violation("missing-trap", task.name, what, text))
    else:
        text = f"{task.name} has TIF_{what}, but {what} traps at EL0"
        found.append(Violation("spurious-trap", task.name, what, text))


def _incoherent(who: Context, what: str, text: str) -> Violation:
    return Violation("incoherent", who.name, what, f"{who.name} {text}")


def _guest(m: Program, cpu: Registers, found: Found) -> None:
    """In a guest: what EL2 leaves open is the guest's, and PSTATE.SM is 0."""
    task = m.tasks[m.rqs[cpu.id].current]
    vcpu = m.vcpus[task.vcpu]
    if cpu.svcr & SVCR_SM_MASK:
        text = (
            f"{vcpu.name} runs with PSTATE.SM = 1: its FP and SVE instructions take SME traps "
            "(EC 0x1d) from EL1 to EL1, which the host cannot intercept"
        )
        found.append(Violation("spurious-trap", vcpu.name, "PSTATE.SM", text))
        return
    owed = m.vcpu_due[vcpu.name]
    if owed.sys.cpacr_el1 != cpu.cpacr_el1:
        found.append(_wrong(vcpu, "cpacr_el1", Val(owed.sys.cpacr_el1), Val(cpu.cpacr_el1)))
        return
    has_sve = bool(owed.sve_vq)
    fp = check_access(cpu, "fp")
    sve = check_access(cpu, "sve") if has_sve else None
    if fp and fp.el == 1:
        return  # the guest's own setting stands before EL2's
    owns = m.hyp_owner(cpu.id, vcpu) is FP_STATE_GUEST_OWNED
    if owns and fp:
        text = f"{vcpu.name} owns the FP registers, but FP traps to EL2"
        found.append(Violation("spurious-trap", vcpu.name, "FP", text))
    if owns and has_sve and not fp and sve and sve.el == 2:
        text = f"{vcpu.name} owns the FP registers, but SVE traps to EL2"
        found.append(Violation("spurious-trap", vcpu.name, "SVE", text))
    if not owns and not fp:
        text = f"{vcpu.name} does not own the FP registers, but FP does not trap to EL2"
        found.append(Violation("missing-trap", vcpu.name, "FP", text))
    if m.system_supports_sve and not has_sve and not fp and _cptr_opens_sve(m, cpu):
        text = f"{vcpu.name} has no SVE, but SVE does not trap to EL2"
        found.append(Violation("missing-trap", vcpu.name, "SVE", text))
    if fp:
        return
    want = owed.regs
    vq = owed.vq(m.host_lengths(vcpu))
    if has_sve and check_access(cpu, "zcr") is None:
        if owed.sys.zcr_el1 != cpu.zcr_el1:
            found.append(_wrong(vcpu, "zcr_el1", Val(owed.sys.zcr_el1), Val(cpu.zcr_el1)))
        elif current_vq(cpu, m.lengths, 1) != vq:
            has = current_vq(cpu, m.lengths, 1)
            found.append(_wrong(vcpu, "VL", Val(16 * vq), Val(16 * has)))
    if want.z is cpu.z and want.p is cpu.p:
        pass
    elif has_sve and not sve:
        _bank(vcpu, "z", want.z.limit(vq), cpu.z.limit(vq), found)
        _bank(vcpu, "p", want.p.limit(vq), cpu.p.limit(vq), found)
    else:
        _bank(vcpu, "v", want.z.limit(1), cpu.z.limit(1), found)
    if want.fpsr is not cpu.fpsr or want.fpcr is not cpu.fpcr or want.fpmr is not cpu.fpmr:
        _scalars(vcpu, want, cpu, vcpu.fpmr_vm, found)


def _cptr_opens_sve(m: Program, cpu: Registers) -> bool:
    """Whether EL2's control alone lets a guest use SVE."""
    e2h = cpu.hcr_el2 & HCR_E2H
    return bool(cpu.cptr_el2 & CPACR_EL1_ZEN_EL1EN) if e2h else not cpu.cptr_el2 & CPTR_EL2_TZ


def _kernel_neon(m: Program, cpu: Registers, found: Found) -> None:
    """A kernel-mode NEON section finds its own registers, whatever came between."""
    task = m.tasks[m.rqs[cpu.id].current]
    owed = m.task_due.get(task.name)
    if (
        owed is not None
        and owed.neon.regs
        and (task.flags & TIF_KERNEL_FPSTATE or m.rqs[cpu.id].neon)
    ):
        if cpu.svcr & SVCR_SM_MASK:
            text = (
                f"{task.name}'s kernel-mode NEON runs with PSTATE.SM = 1: its instructions take "
                "SME traps (EC 0x1d) in the kernel"
            )
            found.append(Violation("spurious-trap", task.name, "kernel PSTATE.SM", text))
        difference = first_difference(owed.neon, cpu.z.limit(1))
        if difference:
            n, _, want, got = difference
            who = f"{task.name}'s kernel-mode NEON"
            text = f"{who} would read v{n} = {shown(got)}, is entitled to {shown(want)}"
            found.append(Violation(classify("kernel", want, got), task.name, f"kernel v{n}", text))


def _sysregs(m: Program, cpu: Registers, found: Found) -> None:
    """Registers of debug, PMU, profiling and fine-grained traps are those of whoever runs."""
    due = m.host_due[cpu.id].sys
    task = m.tasks[m.rqs[cpu.id].current]
    # VHE leaves what no host code uses in between as the guest needs it until vcpu_put.
    late = m.config.vhe and bool(task.vcpu)
    if cpu.mode is GUEST:
        _guest_sysregs(m, cpu, m.vcpus[task.vcpu], found)
    else:
        late = late and cpu.mode is KERNEL
        for name, want in due._asdict().items():
            got = getattr(cpu.sys, name)
            if late and not name.startswith("dbgbvr"):
                continue
            if m.config.vhe and name.startswith("hfg"):
                continue  # they do not apply to EL0 with HCR_EL2.{E2H,TGE} = {1,1}
            a, b = (v.bits if isinstance(v, Val) else v for v in (want, got))
            if a != b:
                text = f"cpu{cpu.id}: the host finds {name} = {b:#x} after a guest, it was {a:#x}"
                found.append(Violation("host-sysreg", f"cpu{cpu.id}", name, text))


def _guest_sysregs(m: Program, cpu: Registers, vcpu: Vcpu, found: Found) -> None:
    sys = cpu.sys
    if m.config.pmu and sys.pmuserenr_el0 != ARMV8_PMU_USERENR_MASK:
        text = f"{vcpu.name} runs with PMUSERENR_EL0 = {sys.pmuserenr_el0:#x}: its EL0's accesses "
        text += "to the PMU trap to its own EL1, not to EL2"
        found.append(Violation("missing-trap", vcpu.name, "PMU", text))
    if m.config.brps and not sys.mdcr_el2 & MDCR_EL2_TDA:
        owed = m.vcpu_due[vcpu.name].sys
        for name, want, got in (
            ("dbgbvr0_el1", owed.dbgbvr0_el1, sys.dbgbvr0_el1),
            ("dbgbvr1_el1", owed.dbgbvr1_el1, sys.dbgbvr1_el1),
        ):
            if want.bits != got.bits:
                found.append(_wrong(vcpu, name, want, got))
    for name in ("hfgrtr_el2", "hfgwtr_el2"):
        if m.config.fgt and m.config.sme and getattr(sys, name) & HFG_SME:
            text = f"{vcpu.name} can use TPIDR2_EL0 and SMPRI_EL1: {name} leaves them open"
            found.append(Violation("missing-trap", vcpu.name, name, text))
    if m.config.vhe:
        if sys.pmblimitr_el1 and cpu.pmscr_el12:  # E2PB says that the buffer is EL2's
            text = f"{vcpu.name} is profiled into the host's buffer: PMSCR_EL1 = "
            text += f"{cpu.pmscr_el12:#x}"
            found.append(Violation("profiling", vcpu.name, "pmscr_el12", text))
    else:
        for name in ("pmscr_el1", "pmblimitr_el1", "trfcr_el1", "trblimitr_el1"):
            if getattr(sys, name):
                text = f"{vcpu.name} runs with the host's {name} = {getattr(sys, name):#x}"
                found.append(Violation("profiling", vcpu.name, name, text))


def _homes(m: Program, cpu: Registers, found: Found) -> None:
    """Under nVHE nothing but hyp's own copy of kvm_host_data is in use.

    In protected mode the kernel has one of its own, and cannot reach hyp's.
    """
    kernel = m.kvm_host_data[cpu.id]
    used = kernel.fp_owner or kernel.fpsimd_state or kernel.host_ctxt_mpidr
    if used and not m.config.protected:
        for field in ("fp_owner", "fpsimd_state", "host_ctxt_mpidr"):
            if getattr(kernel, field):
                text = f"cpu{cpu.id}: the kernel keeps kvm_host_data.{field} in its own copy, "
                text += "hyp reads another"
                who = f"cpu{cpu.id}"
                found.append(Violation("wrong-copy", who, f"kvm_host_data.{field}", text))
    named = m.kvm_nvhe_host_data[cpu.id].hyp_running_vcpu
    guest = cpu.mode is GUEST
    if guest or named:
        running = m.tasks[m.rqs[cpu.id].current].vcpu if guest else ""
        if named != running:
            text = f"cpu{cpu.id}: hyp_panic() would name {named or 'no vcpu'}, "
            text += f"{running or 'none'} runs"
            found.append(Violation("wrong-copy", f"cpu{cpu.id}", "__hyp_running_vcpu", text))
    if cpu.mode is not GUEST and cpu.vmpidr_el2 != cpu.mpidr_el1:
        text = f"cpu{cpu.id}: the host reads MPIDR_EL1 = {cpu.vmpidr_el2:#x} after a guest exit"
        found.append(Violation("wrong-copy", f"cpu{cpu.id}", "VMPIDR_EL2", text))
