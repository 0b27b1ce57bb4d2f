"""A tracer that reads and writes a stopped task's registers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.model.arm64 import due
from harness.model.arm64.cpu.state import FFR
from harness.model.arm64.host.ptrace import (
    FPSIMD_LAYOUT,
    SVE_PT_REGS_FPSIMD,
    SVE_PT_REGS_SVE,
    SVE_PT_VL_INHERIT,
    Header,
    Payload,
    covered,
)
from harness.model.arm64.host.state import (
    ARM64_VEC_SME,
    ARM64_VEC_SVE,
    TIF_SME_VL_INHERIT,
    TIF_SVE_VL_INHERIT,
    Task,
    VecType,
)
from harness.model.arm64.program import Program
from harness.model.arm64.registers import KINDS, place
from harness.model.arm64.stimuli.places import by_syscall, in_neon, in_user_or_syscall
from harness.model.arm64.stimuli.table import VERBS
from harness.model.base import Refused, classify, shown
from harness.model.operands import FIELD, FIELDS, REGSET, TASK, VALUE, Bits, Reg, Register
from harness.model.tasks import WHERE, At
from harness.model.values import Quads, Val, spread
from harness.model.verbs import Try
from harness.model.world import World


def _traced(m: Program, actor: str, name: str, *_: object) -> Task:
    """The task that `actor` traces; it has made its system call, or makes it now."""
    in_user_or_syscall(m, actor)
    task = m.tasks[name]
    if task.on_cpu >= 0 or task.at in (At.UNBORN, At.DEAD):
        state = "runs" if task.on_cpu >= 0 else WHERE[task.at]
        raise Refused(f"{name} {state}: a tracer needs it stopped, off its CPU")
    if task.vcpu or task.pending or in_neon(m, task):
        raise Refused(f"{name} is not where a tracer could have stopped it")
    return task


def _others(w: World, who: str) -> Iterator[tuple[str, Reg]]:
    vectors = [("v", 0), *([("z", 0)] if {"sve", "sme"} & w.settings.keys() else [])]
    yield from ((other, reg) for other in w.everybody if other != who for reg in vectors)


def _gets(w: World, who: str, current: str) -> Iterator[Try]:
    yield from (Try(("ptrace",), args) for args in _others(w, who))


def _sets(w: World, who: str, current: str) -> Iterator[Try]:
    yield from (Try(("ptrace",), (*args, None)) for args in _others(w, who))


@VERBS.verb(
    "reads a register of a stopped task",
    *(TASK, Register("ptrace")),
    when=_traced,
    reads=True,
    tries=_gets,
)
def ptrace_get(m: Program, actor: str, name: str, reg: Reg) -> None:
    task = m.tasks[name]

    def step() -> None:
        if reg[0] == "v" or _has_vectors(m, task):
            m.seen = _read_one(m, task, *reg)
        else:
            m.errno = "EINVAL"

    by_syscall(m, step)


def _can_set(m: Program, actor: str, name: str, reg: Reg, bits: Bits) -> None:
    task = _traced(m, actor, name)
    if reg[0] != "v" and not _has_vectors(m, task):
        raise Refused("this kernel has no NT_ARM_SVE")


@VERBS.verb(
    "writes one: V by NT_PRFPREG, Z, P, FFR by NT_ARM_SVE",
    *(TASK, Register("ptrace"), VALUE),
    when=_can_set,
    tries=_sets,
)
def ptrace_set(m: Program, actor: str, name: str, reg: Reg, bits: Bits) -> None:
    task, (kind, n) = m.tasks[name], reg
    vals = tuple(m.value(name, b) for b in bits)
    if kind != "v":
        vals = spread(vals, m.task_due[name].vq)
    by_syscall(m, lambda: _write_one(m, task, kind, n, vals))


def _has_vectors(m: Program, task: Task) -> bool:
    """Whether there is a register set with Z of the mode that the task is in."""
    return m.sve_host or m._streams(task)


def _has_regset(m: Program, regset: str, write: bool = False) -> bool:
    """Whether this kernel, on this machine, has the set: EINVAL where not."""
    if regset == "NT_ARM_FPMR":
        return m.fpmr_host
    if regset == "NT_PRFPREG":
        return True
    if regset == "NT_ARM_ZT":
        return m.sme2_host
    if regset == "NT_ARM_SVE":
        leave = write and m.sme_host and "ptrace-sme-only" in m.fixes
        return m.sve_host or leave
    return m.sme_host


@VERBS.verb(
    "PTRACE_GETREGSET: reads a register, or a field of the header, of one set",
    *(TASK, REGSET, FIELD),
    when=_traced,
    reads=True,
)
def ptrace_getregset(m: Program, actor: str, name: str, regset: str, reg: Reg) -> None:
    task, (kind, n) = m.tasks[name], reg

    def step() -> None:
        if not _has_regset(m, regset):
            m.errno = "EINVAL"
        elif kind == "fpmr" or (regset == "NT_PRFPREG" and kind in ("fpsr", "fpcr")):
            m.seen = _looked_at(m, task, kind, n, (getattr(task, kind),))
        elif regset == "NT_PRFPREG":
            m.seen = _read_one(m, task, kind, n)
        elif regset in ("NT_ARM_SVE", "NT_ARM_SSVE"):
            vec = ARM64_VEC_SVE if regset == "NT_ARM_SVE" else ARM64_VEC_SME
            m.seen = _read_vector(m, task, vec, kind, n)
        else:
            got = m.za_get(task, kind)
            if kind == "vl":
                _length_read(m, task, sme=True, got=got)
            elif kind not in ("flags", "size") and got is not None:
                got = _looked_at(m, task, kind, n, got)
            m.seen = got

    by_syscall(m, step)


Given = tuple[tuple[Reg, Bits], ...]


def _can_set_regset(m: Program, actor: str, name: str, regset: str, fields: Given) -> None:
    task = _traced(m, actor, name)
    given = dict(fields)
    formats = _formats(given)
    if "v" in formats and len(formats) > 1:
        raise Refused("a register set has V registers, or Z and P registers, not both")
    if ("size", 0) in given:
        raise Refused("the kernel does not look at the size in a header that is written")
    header = _header(m, task, regset, given)
    if "v" in formats and header.flags & SVE_PT_REGS_SVE:
        raise Refused("data with V registers has SVE_PT_REGS_FPSIMD among its flags")
    if formats - {"v"} and not header.flags & SVE_PT_REGS_SVE:
        raise Refused("data with Z and P registers has SVE_PT_REGS_SVE among its flags")


def _formats(given: Mapping[Reg, Bits]) -> set[str]:
    """Of which kinds the vector registers are that a tracer names."""
    return {kind for kind, _ in given} & {"v", "z", "p", "ffr"}


@VERBS.verb(
    "PTRACE_SETREGSET: writes one set, up to the last register that is named",
    *(TASK, REGSET, FIELDS),
    when=_can_set_regset,
)
def ptrace_setregset(m: Program, actor: str, name: str, regset: str, fields: Given) -> None:
    task, given = m.tasks[name], dict(fields)
    header = _header(m, task, regset, given)
    data: Payload = {}
    for (kind, n), bits in given.items():
        vals = tuple(m.value(name, b) for b in bits)
        if KINDS[kind].quads != 1:
            vals = spread(vals, KINDS[kind].quads or max(header.vl // 16, 1))
        if kind not in ("vl", "flags"):
            data[kind, n] = vals

    def step() -> None:
        if _has_regset(m, regset, write=True):
            m.errno = _set_regset(m, task, regset, header, data)
        else:
            m.errno = "EINVAL"

    by_syscall(m, step)


def _header(m: Program, task: Task, regset: str, given: Mapping[Reg, Bits]) -> Header:
    """The header as given; what is not given, as a tracer would have read it."""
    fpsimd = "v" in _formats(given)
    sve = regset == "NT_ARM_SVE"
    vl = given.get(("vl", 0), (16 * (task.sve_vl if sve else task.sme_vl),))[0]
    flags = SVE_PT_REGS_FPSIMD if fpsimd or regset == "NT_ARM_ZA" else SVE_PT_REGS_SVE
    if task.flags & (TIF_SVE_VL_INHERIT if sve else TIF_SME_VL_INHERIT):
        flags |= SVE_PT_VL_INHERIT
    return Header(vl, given.get(("flags", 0), (flags,))[0])


def _set_regset(m: Program, task: Task, regset: str, header: Header, data: Payload) -> str | None:
    owed = m.task_due[task.name]
    if regset == "NT_PRFPREG":
        owed.regs = due.fpr_set(owed.regs, data)
        m.fpr_set(task, covered(FPSIMD_LAYOUT, data))
        return None
    if regset == "NT_ARM_FPMR":
        value = data["fpmr", 0][0] if data else None
        if value is not None:
            owed.regs = due.with_scalar(owed.regs, "fpmr", value)
        return m.fpmr_set(task, value)
    if regset == "NT_ARM_ZA":
        za = data.get(("za", 0))
        errno = m.za_set(task, header, za)
        due.za_set(owed, header, za, errno, m.lengths.sme)
        return errno
    if regset == "NT_ARM_ZT":
        owed.regs = due.zt_set(owed.regs, data.get(("zt0", 0), ()))
        return m.zt_set(task, data.get(("zt0", 0), ()))
    return _set_vector(m, task, regset == "NT_ARM_SSVE", header, data)


def _set_vector(m: Program, task: Task, sme: bool, header: Header, data: Payload) -> str | None:
    errno = m.sve_set_common(task, ARM64_VEC_SME if sme else ARM64_VEC_SVE, header, data)
    lengths = m.lengths.sme if sme else m.lengths.sve
    due.sve_set(m.task_due[task.name], sme, header, data, errno, lengths)
    return errno


def _write_one(m: Program, task: Task, kind: str, n: int, vals: Quads) -> None:
    """V by NT_PRFPREG; for Z, P and FFR it writes back all that it has read."""
    owed = m.task_due[task.name]
    if kind == "v":
        owed.regs = due.v_set(owed.regs, n, vals)
        m.fpr_set(task, {("v", n): vals})
        return
    owed_after = due.vector(owed.regs, kind, n, vals)
    vec = ARM64_VEC_SME if m._streams(task) else ARM64_VEC_SVE
    header, image = m.sve_get_common(task, vec)
    assert image is not None  # it is the mode that the task is in
    data: Payload = {
        **{("z", r): quads for r, quads in image.z.regs.items()},
        **{("p", r) if r != FFR else ("ffr", 0): quads for r, quads in image.p.regs.items()},
        ("fpsr", 0): (task.fpsr,),
        ("fpcr", 0): (task.fpcr,),
    }
    data[kind, n] = vals
    due.length_again(owed, owed.regs.streaming)
    owed.regs = owed_after
    header = header._replace(flags=header.flags | SVE_PT_REGS_SVE)
    m.sve_set_common(task, vec, header, data)


def _read_one(m: Program, task: Task, kind: str, n: int) -> Quads | None:
    """V by NT_PRFPREG, others by the set of the mode that the task is in."""
    if kind == "v":
        m.sync_to_fpsimd(task)
        return _looked_at(m, task, kind, n, (task.fpsimd_state.get(n),))
    vec = ARM64_VEC_SME if m._streams(task) else ARM64_VEC_SVE
    return _read_vector(m, task, vec, kind, n)


def _read_vector(m: Program, task: Task, vec: VecType, kind: str, n: int) -> Quads | None:
    """A register or a header's field, by NT_ARM_SVE or NT_ARM_SSVE."""
    header, image = m.sve_get_common(task, vec)
    if kind in ("vl", "flags", "size"):
        got: Quads = (Val(getattr(header, kind)),)
        if kind == "vl":
            _length_read(m, task, vec is ARM64_VEC_SME, got)
        return got
    if image is None:
        return None
    if kind in ("fpsr", "fpcr"):
        return _looked_at(m, task, kind, n, (getattr(task, kind),))
    bank, number = place(kind, n)
    width = KINDS[kind].quads or m.task_get_vl(task, vec)
    held = image.p if bank == "p" else image.z
    got = tuple(held.get(number, quad) for quad in range(width))
    if m.task_due[task.name].regs.streaming != (vec is ARM64_VEC_SME):
        return got  # nobody is entitled to registers of the mode that is not active
    return _looked_at(m, task, kind, n, got)


def _length_read(m: Program, task: Task, sme: bool, got: Quads | None) -> None:
    owed = m.task_due[task.name]
    want = Val(16 * (owed.sme if sme else owed.sve).vq)
    if got is not None and got[0].bits != want.bits:
        _misread(m, task, "SME VL" if sme else "SVE VL", want, got[0])


def _looked_at(m: Program, task: Task, kind: str, n: int, got: Quads) -> Quads:
    """What a tracer has read of a register: a wrong value is a violation at once."""
    regs = m.task_due[task.name].regs
    bank, number = place(kind, n)
    for quad, b in enumerate(got):
        a = getattr(regs, bank).get(number, quad) if bank else getattr(regs, kind)
        if a.bits != due.kept(kind, b).bits:
            name = f"{kind}{n}" if KINDS[kind].numbered else kind
            _misread(m, task, f"{name}[{quad}]" if bank else name, a, b)
            break
    return got


def _misread(m: Program, task: Task, name: str, want: Val, got: Val) -> None:
    text = f"a tracer reads {task.name}'s {name} = {shown(got)}, not {shown(want)}"
    m.violate(classify(task.name, want, got), task.name, f"traced {name}", text)
