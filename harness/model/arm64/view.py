"""The machine's state in the field's words, sparse: what differs from reset."""

from __future__ import annotations

import re
from typing import Any

from harness.model.arm64.cpu.state import FFR, ZA, ZA_ROWS, ZT0, Registers, SysRegs
from harness.model.arm64.cpu.sysreg import FIELDS, fields
from harness.model.arm64.host.state import (
    ARM64_VEC_SME,
    ARM64_VEC_SVE,
    FLAG_NAMES,
    FP_STATE_CURRENT,
    NR_CPUS,
    TIF_FOREIGN_FPSTATE,
    Context,
    Task,
)
from harness.model.arm64.kvm.state import FP_STATE_FREE, HostData, HostDebugState, Vcpu
from harness.model.arm64.program import Program
from harness.model.base import Shape, Tree, shown
from harness.model.tasks import At, Mode
from harness.model.values import Bank, Quads, Val

_V = r"(?:[12]?[0-9]|3[01])"
_BANK = re.compile(rf"[vz]{_V}|p(?:[0-9]|1[0-5])|ffr|za(?:[0-9]{{1,3}})?|zt0|[vzp]0-\w+")
_SVCR = tuple(name for name, *_ in FIELDS["svcr"])
_CPTR = tuple(dict.fromkeys(n for reg in ("cpacr_el1", "cptr_el2") for n, *_ in FIELDS[reg]))
_CONTEXT: dict[str, Shape] = {
    **dict.fromkeys(("fpsr", "fpcr", "fpmr"), "0"),
    **dict.fromkeys(("fp_type", "state"), ""),
    **dict.fromkeys(("fpsimd_state", "sve_state", "sme_state"), _BANK),
    "svcr": _SVCR,
}
# What vcpu_load leaves for vcpu_put. Until v5.19 their names began with KVM_ARM64_.
_VCPU_FLAGS = {
    "HOST_SVE_IN_USE": "host_sve_in_use",
    "HOST_SVE_ENABLED": "host_sve_enabled",
    "HOST_SME_ENABLED": "host_sme_enabled",
}
_HOST_DATA: dict[str, Shape] = {
    "fp_owner": FP_STATE_FREE.name,
    "sve_state": _BANK,
    "host_ctxt": re.compile(f"{_BANK.pattern}|__hyp_running_vcpu|pmuserenr_el0"),
    "host_debug_state": dict.fromkeys(HostDebugState._fields, "0"),
}

SHOWN: dict[str, dict[str, Shape]] = {
    "cpu": {
        **dict.fromkeys(("current", "panic", "fpsimd_last_state"), ""),
        **dict.fromkeys(
            ("fpsr", "fpcr", "fpmr", "tpidr2_el0", *SysRegs._fields, "pmscr_el12"), "0"
        ),
        # Which of them is shown, and with which fields, is a matter of the mode.
        **dict.fromkeys(("cptr_el2", "cpacr_el1"), dict.fromkeys(_CPTR, "")),
        **dict.fromkeys(("kvm_host_data", "kvm_nvhe_host_data"), _HOST_DATA),
        "regs": _BANK,
        "svcr": _SVCR,
    },
    "task": {
        **_CONTEXT,
        **dict.fromkeys(("flags", "fpsimd_cpu", "sve_vl", "sme_vl"), ""),
        **dict.fromkeys(("tpidr2_el0", "sve_vl_onexec", "sme_vl_onexec"), "0"),
        "kernel_fpsimd_state": _BANK,
    },
    "vcpu": {
        **_CONTEXT,
        **dict.fromkeys(("fp_state", "cpu", "sve_max_vl", "sme_max_vl", "zcr_el1"), ""),
        **dict.fromkeys(("debug_owner", "iflags", "flags"), ""),
        **dict.fromkeys(("smcr_el1", "dbgbvr0_el1", "dbgbvr1_el1"), "0"),
    },
}
"""What a snapshot can have: an `expect` of anything else is a mistake."""


def quads(values: Quads) -> str:
    """All quadwords of a register in one line: `0xa1 (A) x4`, or one after the other."""
    texts = [shown(v) for v in values]
    if len(set(texts)) == 1:
        return texts[0] if len(texts) == 1 else f"{texts[0]} x{len(texts)}"
    return ", ".join(texts)


def bank(name: str, b: Bank) -> Tree:
    """A bank's registers; if all are there and equal (kernel-mode NEON, reset), as one line."""
    tree: Tree = {}
    texts = {n: quads(b.regs[n]) for n in sorted(b.regs)}
    if len(texts) == (FFR + 1 if name == "p" else 32) and len(set(texts.values())) == 1:
        last = "ffr" if name == "p" else f"{name}31"
        return {f"{name}0-{last}": texts[0]}
    for n, text in texts.items():
        reg = "ffr" if name == "p" and n == FFR else f"{name}{n}"
        if name == "za":
            reg = {ZA: "za", ZT0: "zt0"}.get(n, f"za{n - ZA_ROWS}")
        tree[reg] = text
    return tree


def put(tree: Tree, key: str, value: Any) -> None:
    """Add what is not empty."""
    if value:
        tree[key] = value


def scalar(tree: Tree, key: str, val: Val) -> None:
    if val.bits:
        tree[key] = shown(val)


def snapshot(m: Program) -> Tree:
    tree: Tree = {}
    for cpu in m.cpus:
        tree[f"cpu{cpu.id}"] = _cpu(m, cpu)
    for task in m.tasks.values():
        if not task.name.startswith("idle") and task.at is not At.UNBORN:
            tree[task.name] = _task(m, task)
    for vcpu in m.vcpus.values():
        tree[vcpu.name] = _vcpu(m, vcpu)
    return tree


def owners(m: Program) -> list[str]:
    """`cpu0: A at EL0, registers A's, SVE traps` for each CPU."""
    lines = []
    for cpu in m.cpus:
        task = m.tasks[m.rqs[cpu.id].current]
        if task.name.startswith("idle"):
            what = "idle" if m.rqs[cpu.id].online else "off line"
        elif cpu.mode is Mode.GUEST:
            what = f"{task.name} in guest {task.vcpu}"
        else:
            what = f"{task.name} {'at EL0' if cpu.mode is Mode.USER else 'in the kernel'}"
        st = m.points_to(m.fpsimd_last_state[cpu.id].st)
        foreign = ", TIF_FOREIGN_FPSTATE" if task.flags & TIF_FOREIGN_FPSTATE else ""
        line = f"cpu{cpu.id}: {what}, fpsimd_last_state {st}{foreign}"
        if task.vcpu:
            owner = m.hyp_owner(cpu.id, m.vcpus[task.vcpu])
            line += f", {owner.name}"
        lines.append(line)
    return lines


def _cpu(m: Program, cpu: Registers) -> Tree:
    task = m.rqs[cpu.id].current
    mode = {Mode.USER: "EL0", Mode.KERNEL: "kernel", Mode.GUEST: "guest"}[cpu.mode]
    idle = "idle" if m.rqs[cpu.id].online else "off line"
    tree: Tree = {"current": f"{task}, {mode}" if not task.startswith("idle") else idle}
    put(tree, "panic", m.rqs[cpu.id].panic)
    wide = any(len(q) > 1 for q in cpu.z.regs.values())
    put(tree, "regs", bank("z" if wide else "v", cpu.z) | bank("p", cpu.p) | bank("za", cpu.za))
    scalar(tree, "fpsr", cpu.fpsr)
    scalar(tree, "fpcr", cpu.fpcr)
    scalar(tree, "fpmr", cpu.fpmr)
    scalar(tree, "tpidr2_el0", cpu.tpidr2_el0)
    if cpu.svcr:
        tree["svcr"] = fields("svcr", cpu.svcr)
    if m.config.vhe:
        tree["cptr_el2"] = fields("cpacr_el1", cpu.cptr_el2)
    else:
        tree["cpacr_el1"] = fields("cpacr_el1", cpu.cpacr_el1)
        layout = "cpacr_el1" if m.config.hvhe else "cptr_el2"
        tree["cptr_el2"] = fields(layout, cpu.cptr_el2)
    if m.debug_side:
        _sysregs(tree, cpu.sys)
        if cpu.pmscr_el12:
            tree["pmscr_el12"] = f"{cpu.pmscr_el12:#x}"
    last = m.fpsimd_last_state[cpu.id]
    text = m.points_to(last.st)
    if "to-save" in m.fixes and last.st and last.to_save is not FP_STATE_CURRENT:
        text += f", {last.to_save.name}"
    tree["fpsimd_last_state"] = text
    for name, copies in (("kvm_host_data", m.kvm_host_data), ("nvhe", m.kvm_nvhe_host_data)):
        label = "kvm_host_data" if name == "kvm_host_data" else "kvm_nvhe_host_data"
        put(tree, label, _host_data(m, copies[cpu.id]))
    return tree


def _sysregs(tree: Tree, sys: SysRegs) -> None:
    for name, value in sys._asdict().items():
        if isinstance(value, Val):
            scalar(tree, name, value)
        elif value:
            tree[name] = f"{value:#x}"


def _host_data(m: Program, data: HostData) -> Tree:
    tree: Tree = {}
    if data.fp_owner is not FP_STATE_FREE:
        tree["fp_owner"] = data.fp_owner.name
    put(tree, "host_ctxt", bank("v", data.host_ctxt_fp))
    if data.sve_state is not None:
        put(tree, "sve_state", bank("z", data.sve_state.z) | bank("p", data.sve_state.p))
    if m.debug_side:
        ctxt: Tree = {}
        put(ctxt, "__hyp_running_vcpu", data.hyp_running_vcpu)
        if data.host_ctxt_pmuserenr:
            ctxt["pmuserenr_el0"] = f"{data.host_ctxt_pmuserenr:#x}"
        put(tree, "host_ctxt", tree.get("host_ctxt", {}) | ctxt)
        state: Tree = {}
        scalar(state, "regs", data.host_debug_state.regs)
        scalar(state, "regs1", data.host_debug_state.regs1)
        for name, value in data.host_debug_state._asdict().items():
            if name not in ("regs", "regs1") and value:
                state[name] = f"{value:#x}"
        put(tree, "host_debug_state", state)
    return tree


def _context(m: Program, c: Context) -> Tree:
    tree: Tree = {}
    put(tree, "fpsimd_state", bank("v", c.fpsimd_state))
    scalar(tree, "fpsr", c.fpsr)
    scalar(tree, "fpcr", c.fpcr)
    scalar(tree, "fpmr", c.fpmr)
    if c.sve_state is not None:
        put(tree, "sve_state", bank("z", c.sve_state.z) | bank("p", c.sve_state.p))
    if c.sme_state is not None:
        put(tree, "sme_state", bank("za", c.sme_state))
    if c.svcr:
        tree["svcr"] = fields("svcr", c.svcr)
    if "fp-type" in m.fixes and c.fp_type is not FP_STATE_CURRENT:
        tree["fp_type"] = c.fp_type.name
    return tree


def _task(m: Program, task: Task) -> Tree:
    if task.at is At.DEAD:
        return {"state": "dead"}
    tree: Tree = {}
    flags = [name for bit, name in FLAG_NAMES.items() if task.flags & bit]
    put(tree, "flags", " ".join(flags))
    if task.fpsimd_cpu != NR_CPUS:
        tree["fpsimd_cpu"] = task.fpsimd_cpu
    if task.killed:
        tree["state"] = "killed"
    for name, vec in (("sve_vl", ARM64_VEC_SVE), ("sme_vl", ARM64_VEC_SME)):
        if getattr(task, name) != m.get_default_vl(vec):
            tree[name] = 16 * getattr(task, name)
        put(tree, f"{name}_onexec", 16 * getattr(task, f"{name}_onexec"))
    scalar(tree, "tpidr2_el0", task.tpidr2_el0)
    put(tree, "kernel_fpsimd_state", bank("v", task.kernel_fpsimd_state))
    return tree | _context(m, task)


def _vcpu(m: Program, vcpu: Vcpu) -> Tree:
    tree = _context(m, vcpu)
    if "fp-owner" not in m.fixes and vcpu.fp_state is not FP_STATE_FREE:
        tree["fp_state"] = vcpu.fp_state.name
    flags = [name for name, field in _VCPU_FLAGS.items() if getattr(vcpu, field)]
    if vcpu.cpu >= 0 and vcpu.host_state_dirty and m.keeps_state(vcpu):
        flags.append("PKVM_HOST_STATE_DIRTY")
    put(tree, "flags", " ".join(flags))
    if vcpu.cpu >= 0:
        tree["cpu"] = vcpu.cpu
    if not vcpu.initialized:
        tree["state"] = "created"
    elif not m.kvm_arm_vcpu_is_finalized(vcpu):
        tree["state"] = "not finalized"
    if vcpu.sve and vcpu.sve_max_vl != m.lengths.sve[-1]:
        tree["sve_max_vl"] = 16 * vcpu.sve_max_vl
    if m.debug_side:
        scalar(tree, "dbgbvr0_el1", vcpu.debug.dbgbvr0_el1)
        scalar(tree, "dbgbvr1_el1", vcpu.debug.dbgbvr1_el1)
        if vcpu.debug.in_use:
            tree["debug_owner" if "debug-owner" in m.fixes else "iflags"] = (
                "VCPU_DEBUG_GUEST_OWNED" if "debug-owner" in m.fixes else "DEBUG_DIRTY"
            )
    if vcpu.sme and vcpu.sme_max_vl != m.lengths.sme[-1]:
        tree["sme_max_vl"] = 16 * vcpu.sme_max_vl
    if vcpu.sve:
        tree["zcr_el1"] = f"{vcpu.zcr_el1:#x}"
    if vcpu.smcr_el1:
        tree["smcr_el1"] = f"{vcpu.smcr_el1:#x}"
    return tree
