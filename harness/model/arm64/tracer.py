"""What a tracer does to a stopped task: PTRACE_GETREGSET and PTRACE_SETREGSET."""

from __future__ import annotations

from harness.model.arm64.host.ptrace import (
    SVE_PT_REGS_FPSIMD,
    SVE_PT_REGS_SVE,
    SVE_PT_VL_INHERIT,
    Header,
    Payload,
)
from harness.model.arm64.host.state import (
    ARM64_VEC_SME,
    ARM64_VEC_SVE,
    TIF_SME_VL_INHERIT,
    TIF_SVE_VL_INHERIT,
    Task,
)
from harness.model.arm64.ioctls import Bits, Reg
from harness.model.arm64.vmm import Vmm
from harness.model.base import Refused
from harness.model.tasks import WHERE, At


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
                self.seen = self.traced_read(task, *reg)
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
            vals = self.spread(vals, task.sme_vl if self._streams(task) else task.sve_vl)
        self._by_syscall(lambda: self.set_register(task, kind, n, vals))

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
                self.seen = (getattr(task, kind),)
            elif regset == "NT_PRFPREG":
                self.seen = self.traced_read(task, kind, n)
            elif regset in ("NT_ARM_SVE", "NT_ARM_SSVE"):
                vec = ARM64_VEC_SVE if regset == "NT_ARM_SVE" else ARM64_VEC_SME
                self.seen = self.regset_read(task, vec, kind, n)
            else:
                self.seen = self.za_get(task, kind)

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
                vals = self.spread(vals, max(header.vl // 16, 1))
            elif kind == "zt0":
                vals = self.spread(vals, 4)
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
        if regset == "NT_PRFPREG":
            self.fpr_write(task, data)
            return ""
        if regset == "NT_ARM_FPMR":
            return self.fpmr_set(task, data["fpmr", 0][0] if data else None)
        if regset == "NT_ARM_ZA":
            return self.za_set(task, header, data.get(("za", 0)))
        if regset == "NT_ARM_ZT":
            return self.zt_set(task, data.get(("zt0", 0), ()))
        vec = ARM64_VEC_SVE if regset == "NT_ARM_SVE" else ARM64_VEC_SME
        return self.sve_set_common(task, vec, header, data)
