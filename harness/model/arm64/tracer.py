"""What a tracer does to a stopped task: PTRACE_GETREGSET and PTRACE_SETREGSET."""

from __future__ import annotations

from harness.model.arm64 import due
from harness.model.arm64.cpu.state import FFR, ZA, ZT0
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
from harness.model.arm64.ioctls import Bits, Reg
from harness.model.arm64.vmm import Vmm
from harness.model.base import Refused, classify, shown
from harness.model.tasks import WHERE, At
from harness.model.values import Quads, Val, spread


class Tracer(Vmm):
    """One method a verb, `on_VERB`, called with the actor's name and operands.

    A tracer at EL0 makes a whole system call; one that is in a system call
    already (`syscall_enter`) takes the step alone, so that a trace can say what
    came between.
    """

    __slots__ = ()

    def _traced(self, actor: str, name: str) -> Task:
        """The task that `actor` traces; it has made its system call, or makes it now."""
        self._in_user_or_syscall(actor)
        task = self.tasks[name]
        if task.on_cpu >= 0 or task.at in (At.UNBORN, At.DEAD):
            state = "runs" if task.on_cpu >= 0 else WHERE[task.at]
            raise Refused(f"{name} {state}: a tracer needs it stopped, off its CPU")
        if task.vcpu or task.pending or self.in_neon(task):
            raise Refused(f"{name} is not where a tracer could have stopped it")
        return task

    def on_ptrace_get(self, actor: str, name: str, reg: Reg) -> None:
        task = self._traced(actor, name)

        def step() -> None:
            if reg[0] == "v" or self._has_vectors(task):
                self.seen = self._read_one(task, *reg)
            else:
                self.errno = "EINVAL"

        self._by_syscall(step)

    def on_ptrace_set(self, actor: str, name: str, reg: Reg, bits: Bits) -> None:
        task = self._traced(actor, name)
        kind, n = reg
        if kind != "v" and not self._has_vectors(task):
            raise Refused("this kernel has no NT_ARM_SVE")
        vals = tuple(self.value(name, b) for b in bits)
        if kind != "v":
            vals = spread(vals, self.task_due[name].vq)
        self._by_syscall(lambda: self._write_one(task, kind, n, vals))

    def _has_vectors(self, task: Task) -> bool:
        """Whether there is a register set with Z of the mode that the task is in."""
        return self.sve_host or self._streams(task)

    def _has_regset(self, regset: str, write: bool = False) -> bool:
        """Whether this kernel, on this machine, has the set: EINVAL where not."""
        if regset == "NT_ARM_FPMR":
            return self.fpmr_host
        if regset == "NT_PRFPREG":
            return True
        if regset == "NT_ARM_ZT":
            return self.sme2_host
        if regset == "NT_ARM_SVE":
            leave = write and self.sme_host and "ptrace-sme-only" in self.fixes
            return self.sve_host or leave
        return self.sme_host

    def on_ptrace_getregset(self, actor: str, name: str, regset: str, reg: Reg) -> None:
        task = self._traced(actor, name)
        kind, n = reg

        def step() -> None:
            if not self._has_regset(regset):
                self.errno = "EINVAL"
            elif kind == "fpmr" or (regset == "NT_PRFPREG" and kind in ("fpsr", "fpcr")):
                self.seen = self._looked_at(task, kind, n, (getattr(task, kind),))
            elif regset == "NT_PRFPREG":
                self.seen = self._read_one(task, kind, n)
            elif regset in ("NT_ARM_SVE", "NT_ARM_SSVE"):
                vec = ARM64_VEC_SVE if regset == "NT_ARM_SVE" else ARM64_VEC_SME
                self.seen = self._read_vector(task, vec, kind, n)
            else:
                got = self.za_get(task, kind)
                if kind == "vl":
                    self._length_read(task, sme=True, got=got)
                elif kind not in ("flags", "size") and got is not None:
                    got = self._looked_at(task, kind, n, got)
                self.seen = got

        self._by_syscall(step)

    def on_ptrace_setregset(
        self, actor: str, name: str, regset: str, fields: tuple[tuple[Reg, Bits], ...]
    ) -> None:
        task = self._traced(actor, name)
        given = dict(fields)
        formats = {kind for kind, _ in given} & {"v", "z", "p", "ffr"}
        if "v" in formats and len(formats) > 1:
            raise Refused("a register set has V registers, or Z and P registers, not both")
        if ("size", 0) in given:
            raise Refused("the kernel does not look at the size in a header that is written")
        header = self._header(task, regset, given, "v" in formats)
        if "v" in formats and header.flags & SVE_PT_REGS_SVE and regset != "NT_PRFPREG":
            raise Refused("data with V registers has SVE_PT_REGS_FPSIMD among its flags")
        if formats - {"v"} and not header.flags & SVE_PT_REGS_SVE:
            raise Refused("data with Z and P registers has SVE_PT_REGS_SVE among its flags")
        data: Payload = {}
        for (kind, n), bits in given.items():
            vals = tuple(self.value(name, b) for b in bits)
            if kind in ("z", "p", "ffr"):
                vals = spread(vals, max(header.vl // 16, 1))
            elif kind == "zt0":
                vals = spread(vals, 4)
            if kind not in ("vl", "flags"):
                data[kind, n] = vals

        def step() -> None:
            if self._has_regset(regset, write=True):
                self.errno = self._set_regset(task, regset, header, data)
            else:
                self.errno = "EINVAL"

        self._by_syscall(step)

    def _header(self, task: Task, regset: str, given: dict[Reg, Bits], fpsimd: bool) -> Header:
        """The header as given; what is not given, as a tracer would have read it."""
        sve = regset == "NT_ARM_SVE"
        vl = given.get(("vl", 0), (16 * (task.sve_vl if sve else task.sme_vl),))[0]
        flags = SVE_PT_REGS_FPSIMD if fpsimd or regset == "NT_ARM_ZA" else SVE_PT_REGS_SVE
        if task.flags & (TIF_SVE_VL_INHERIT if sve else TIF_SME_VL_INHERIT):
            flags |= SVE_PT_VL_INHERIT
        return Header(vl, given.get(("flags", 0), (flags,))[0])

    def _set_regset(self, task: Task, regset: str, header: Header, data: Payload) -> str:
        owed = self.task_due[task.name]
        if regset == "NT_PRFPREG":
            owed.regs = due.fpr_set(owed.regs, data)
            self.fpr_set(task, covered(FPSIMD_LAYOUT, data))
            return ""
        if regset == "NT_ARM_FPMR":
            value = data["fpmr", 0][0] if data else None
            if value is not None:
                owed.regs = due.with_scalar(owed.regs, "fpmr", value)
            return self.fpmr_set(task, value)
        if regset == "NT_ARM_ZA":
            za = data.get(("za", 0))
            errno = self.za_set(task, header, za)
            due.za_set(owed, header, za, errno, self.lengths.sme)
            return errno
        if regset == "NT_ARM_ZT":
            owed.regs = due.zt_set(owed.regs, data.get(("zt0", 0), ()))
            return self.zt_set(task, data.get(("zt0", 0), ()))
        return self._set_vector(task, regset == "NT_ARM_SSVE", header, data)

    def _set_vector(self, task: Task, sme: bool, header: Header, data: Payload) -> str:
        errno = self.sve_set_common(task, ARM64_VEC_SME if sme else ARM64_VEC_SVE, header, data)
        lengths = self.lengths.sme if sme else self.lengths.sve
        due.sve_set(self.task_due[task.name], sme, header, data, errno, lengths)
        return errno

    # One register, as a debugger goes about it ----------------------------------------

    def _write_one(self, task: Task, kind: str, n: int, vals: Quads) -> None:
        """V by NT_PRFPREG; for Z, P and FFR it writes back all that it has read."""
        owed = self.task_due[task.name]
        if kind == "v":
            owed.regs = due.v_set(owed.regs, n, vals)
            self.fpr_set(task, {("v", n): vals})
            return
        owed_after = due.vector(owed.regs, kind, n, vals)
        vec = ARM64_VEC_SME if self._streams(task) else ARM64_VEC_SVE
        header, image = self.sve_get_common(task, vec)
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
        self.sve_set_common(task, vec, header, data)

    def _read_one(self, task: Task, kind: str, n: int) -> Quads | None:
        """V by NT_PRFPREG, others by the set of the mode that the task is in."""
        if kind == "v":
            self.sync_to_fpsimd(task)
            return self._looked_at(task, kind, n, (task.fpsimd_state.get(n),))
        vec = ARM64_VEC_SME if self._streams(task) else ARM64_VEC_SVE
        return self._read_vector(task, vec, kind, n)

    def _read_vector(self, task: Task, vec: VecType, kind: str, n: int) -> Quads | None:
        """A register or a header's field, by NT_ARM_SVE or NT_ARM_SSVE."""
        header, image = self.sve_get_common(task, vec)
        if kind in ("vl", "flags", "size"):
            got: Quads = (Val(getattr(header, kind)),)
            if kind == "vl":
                self._length_read(task, vec is ARM64_VEC_SME, got)
            return got
        if image is None:
            return None
        if kind in ("fpsr", "fpcr"):
            return self._looked_at(task, kind, n, (getattr(task, kind),))
        z, p = image
        bank = p if kind in ("p", "ffr") else z
        width = 1 if kind == "v" else self.task_get_vl(task, vec)
        number = FFR if kind == "ffr" else n
        got = tuple(bank.get(number, quad) for quad in range(width))
        if self.task_due[task.name].regs.streaming != (vec is ARM64_VEC_SME):
            return got  # nobody is entitled to registers of the mode that is not active
        return self._looked_at(task, kind, n, got)

    def _length_read(self, task: Task, sme: bool, got: Quads | None) -> None:
        owed = self.task_due[task.name]
        want = Val(16 * (owed.sme if sme else owed.sve).vq)
        if got is not None and got[0].bits != want.bits:
            self._misread(task, "SME VL" if sme else "SVE VL", want, got[0])

    def _looked_at(self, task: Task, kind: str, n: int, got: Quads) -> Quads:
        """What a tracer has read of a register: a wrong value is a violation at once."""
        regs = self.task_due[task.name].regs
        if kind in ("fpsr", "fpcr", "fpmr"):
            want: Quads = (getattr(regs, kind),)
            names = [kind]
        else:
            bank = {"p": regs.p, "ffr": regs.p, "za": regs.za, "zt0": regs.za}.get(kind, regs.z)
            number = {"ffr": FFR, "za": ZA, "zt0": ZT0}.get(kind, n)
            want = tuple(bank.get(number, quad) for quad in range(len(got)))
            name = kind if kind in ("ffr", "za", "zt0") else f"{kind}{n}"
            names = [f"{name}[{quad}]" for quad in range(len(got))]
        for name, a, b in zip(names, want, got, strict=True):
            if a.bits != due.kept(kind, b).bits:
                self._misread(task, name, a, b)
                break
        return got

    def _misread(self, task: Task, name: str, want: Val, got: Val) -> None:
        text = f"a tracer reads {task.name}'s {name} = {shown(got)}, not {shown(want)}"
        self.violate(classify(task.name, want, got), task.name, f"traced {name}", text)
