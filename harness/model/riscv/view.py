"""The state in the field's words: what a snapshot shows. What is as after reset is left out."""

from __future__ import annotations

import re

from harness.model.base import Shape, Tree, shown
from harness.model.riscv.cpu.csr import (
    CONTEXT_STATUS,
    ENVCFG_ADUE,
    ENVCFG_CBCFE,
    ENVCFG_CBIE,
    ENVCFG_CBZE,
    ENVCFG_LPE,
    ENVCFG_PBMTE,
    ENVCFG_PMM,
    ENVCFG_SSE,
    ENVCFG_STCE,
    SMSTATEEN0_AIA,
    SMSTATEEN0_AIA_IMSIC,
    SMSTATEEN0_AIA_ISEL,
    SMSTATEEN0_HSENVCFG,
    SMSTATEEN0_SSTATEEN0,
    SR_UXL_64,
    get_fs,
    get_vs,
)
from harness.model.riscv.cpu.state import FCSR, V_CSRS, Hart, VsCsrs
from harness.model.riscv.host.state import Task
from harness.model.riscv.kvm.state import SbiStatus, Vcpu
from harness.model.riscv.kvm.uapi import ISA_EXTENSIONS, SBI_EXTENSIONS
from harness.model.riscv.kvm.vcpu_sbi_fwft import FEATURES
from harness.model.riscv.program import Program
from harness.model.tasks import At, Mode
from harness.model.values import Bank

_ENVCFG = {
    "lpe": ENVCFG_LPE,
    "sse": ENVCFG_SSE,
    "cbie": ENVCFG_CBIE,
    "cbcfe": ENVCFG_CBCFE,
    "cbze": ENVCFG_CBZE,
    "pmm": ENVCFG_PMM,
    "adue": ENVCFG_ADUE,
    "pbmte": ENVCFG_PBMTE,
    "stce": ENVCFG_STCE,
}
_HSTATEEN0 = {
    "imsic": SMSTATEEN0_AIA_IMSIC,
    "aia": SMSTATEEN0_AIA,
    "csrind": SMSTATEEN0_AIA_ISEL,
    "envcfg": SMSTATEEN0_HSENVCFG,
    "se0": SMSTATEEN0_SSTATEEN0,
}

_OTHERS = ("others",)
_F = re.compile(r"f(?:[12]?[0-9]|3[01])|fcsr|f0 to f31")
_V = re.compile("|".join((r"v(?:[12]?[0-9]|3[01])", "v0 to v31", *V_CSRS)))
_STATUS = ("fs", "vs")

# As the privileged specification has them: U, HS, and V = 1.
_MODES = {Mode.USER: "U", Mode.KERNEL: "HS", Mode.GUEST: "V"}

SHOWN: dict[str, dict[str, Shape]] = {
    "cpu": {
        **dict.fromkeys(("current", "mode", "host", "online", "kvm_former_vcpu"), ""),
        **dict.fromkeys(("hedeleg", "hideleg", "sstateen0", "ssp", *VsCsrs._fields), "0"),
        **dict.fromkeys(("henvcfg", "senvcfg"), (*_ENVCFG, *_OTHERS)),
        "hstateen0": (*_HSTATEEN0, *_OTHERS),
        "f": _F,
        "v": _V,
    },
    "task": {
        **dict.fromkeys(("at", "killed", "flags", "vstate_ctrl", "vcpu"), ""),
        "status": _STATUS,
        "fstate": _F,
        "vstate": _V,
        "envcfg": (*_ENVCFG, *_OTHERS),
        "mm": {"pmlen": "0", "locked": "False"},
    },
    "vcpu": {
        **dict.fromkeys(("state", "isa", "cpu", "ran_atleast_once", "sbi_disabled"), ""),
        **dict.fromkeys(("mp_state", "run"), ""),
        **dict.fromkeys(("hedeleg", "sstateen0", "ssp"), "0"),
        "csr_dirty": "no",
        **dict.fromkeys(("henvcfg", "senvcfg"), (*_ENVCFG, *_OTHERS)),
        **dict.fromkeys((f"fwft.{feature.name}" for feature in FEATURES), ""),
        "sstatus": _STATUS,
        "hstateen0": (*_HSTATEEN0, *_OTHERS),
        "fp": _F,
        "vector": _V,
    },
}
"""What a snapshot can have: an `expect` of anything else is a mistake."""


def fields(value: int, names: dict[str, int]) -> str:
    """`pmm=0b10 cbze=0b1`: the fields of a CSR that are not zero, and what else is set."""
    words = []
    for name, mask in names.items():
        bits = (value & mask) // (mask & -mask)
        if bits:
            words.append(f"{name}={bits:#b}")
        value &= ~mask
    if value:
        words.append(f"others={value:#x}")
    return " ".join(words) or "0"


def bank(letter: str, regs: Bank | None, vlenb: int = 16) -> Tree | str:
    """Registers by name; a bank in which all are alike is told in a word."""
    if regs is None:
        return "none"
    names = {FCSR: "fcsr"} if letter == "f" else {n: name for name, n in V_CSRS.items()}
    tree: Tree = {}
    for n in sorted(regs.regs):
        vals = [shown(val) for val in regs.regs[n]]
        tree[names.get(n, f"{letter}{n}")] = vals[0] if len(vals) == 1 else vals
    plain = [name for name in tree if name not in names.values()]
    if len(plain) == 32 and len({str(tree[name]) for name in plain}) == 1:
        value = tree[plain[0]]
        tree = {f"{letter}0 to {letter}31": value} | {
            name: tree[name] for name in tree if name not in plain
        }
    return tree


def status(value: int) -> str:
    return f"fs={CONTEXT_STATUS[get_fs(value)]} vs={CONTEXT_STATUS[get_vs(value)]}"


def snapshot(m: Program) -> Tree:
    tree: Tree = {}
    for hart in m.harts:
        tree[f"cpu{hart.id}"] = _hart(m, hart)
    for task in m.tasks.values():
        if task.at is not At.UNBORN and not task.name.startswith("idle"):
            tree[task.name] = _task(m, task)
    for vcpu in m.vcpus.values():
        tree[vcpu.name] = _vcpu(m, vcpu)
    return tree


def _put(tree: Tree, name: str, value: object) -> None:
    if value not in (None, 0, "", "0", {}, [], ()):
        tree[name] = value


def _hart(m: Program, hart: Hart) -> Tree:
    tree: Tree = {"current": m.rqs[hart.id].current, "mode": _MODES[hart.mode]}
    if len(m.hosts) > 1:
        tree["host"] = hart.host
    if not hart.online:
        return {"online": "no"}
    _put(tree, "f", bank("f", hart.f))
    _put(tree, "v", bank("v", hart.v))
    _put(tree, "henvcfg", fields(hart.henvcfg, _ENVCFG))
    _put(tree, "hstateen0", fields(hart.hstateen0, _HSTATEEN0))
    _put(tree, "hedeleg", f"{hart.hedeleg:#x}" if hart.hedeleg else "")
    _put(tree, "hideleg", f"{hart.hideleg:#x}" if hart.hideleg else "")
    _put(tree, "senvcfg", fields(hart.senvcfg.bits, _ENVCFG))
    _put(tree, "sstateen0", f"{hart.sstateen0.bits:#x}" if hart.sstateen0.bits else "")
    _put(tree, "ssp", f"{hart.ssp.bits:#x}" if hart.ssp.bits else "")
    _put(tree, "kvm_former_vcpu", m.rqs[hart.id].kvm_former_vcpu)
    # UXL is always that of 64 bits
    csrs = hart.vs._replace(vsstatus=hart.vs.vsstatus & ~SR_UXL_64)
    vs = {name: f"{bits:#x}" for name, bits in csrs._asdict().items() if bits}
    return tree | vs


def _task(m: Program, task: Task) -> Tree:
    tree: Tree = {"at": task.at.name, "status": status(task.status)}
    if task.killed:
        tree["killed"] = task.killed
    _put(tree, "fstate", bank("f", task.fstate))
    if task.vstate is not None:
        tree["vstate"] = bank("v", task.vstate)
    _put(tree, "envcfg", fields(task.envcfg, _ENVCFG))
    flags = {
        "TIF_RISCV_V_DEFER_RESTORE": task.defer_restore,
        "RISCV_V_VCPU_NEED_RESTORE": task.vcpu_need_restore,
        "RISCV_V_VCPU_CTX": task.vcpu_ctx,
    }
    _put(tree, "flags", [name for name, on in flags.items() if on])
    mm = m.mms.get(task.mm)
    if mm is not None and (mm.pmlen or mm.locked):
        tree["mm"] = {"pmlen": mm.pmlen, "locked": mm.locked}
    if task.vstate_ctrl != 2:
        tree["vstate_ctrl"] = task.vstate_ctrl
    _put(tree, "vcpu", task.vcpu)
    return tree


def _vcpu(m: Program, vcpu: Vcpu) -> Tree:
    if not vcpu.created:
        return {"state": "not created"}
    tree: Tree = {"isa": " ".join(n for n in ISA_EXTENSIONS if n in vcpu.isa)}
    _put(tree, "cpu", vcpu.cpu + 1 and f"cpu{vcpu.cpu}")
    tree["ran_atleast_once"] = "yes" if vcpu.ran_atleast_once else "no"
    tree["sstatus"] = status(vcpu.sstatus)
    _put(tree, "henvcfg", fields(vcpu.cfg.henvcfg, _ENVCFG))
    _put(tree, "hstateen0", fields(vcpu.cfg.hstateen0, _HSTATEEN0))
    _put(tree, "hedeleg", f"{vcpu.cfg.hedeleg:#x}" if vcpu.cfg.hedeleg else "")
    _put(tree, "fp", bank("f", vcpu.fp))
    _put(tree, "vector", bank("v", vcpu.vector) if vcpu.vector is not None else "")
    _put(tree, "senvcfg", fields(vcpu.senvcfg.bits, _ENVCFG))
    _put(tree, "sstateen0", f"{vcpu.sstateen0.bits:#x}" if vcpu.sstateen0.bits else "")
    _put(tree, "ssp", f"{vcpu.ssp.bits:#x}" if vcpu.ssp.bits else "")
    for number, feature in m.fwft_features:
        conf = vcpu.fwft[number]
        words = [w for w, on in (("supported", conf.supported), ("enabled", conf.enabled)) if on]
        tree[f"fwft.{feature.name}"] = " ".join([*words, *(["LOCK"] if conf.flags else [])]) or "no"
    off = [
        name
        for name, state in zip(SBI_EXTENSIONS, vcpu.ext_status, strict=False)
        if state is SbiStatus.DISABLED
    ]
    _put(tree, "sbi_disabled", " ".join(off))
    if vcpu.csr_dirty:
        tree["csr_dirty"] = "yes"
    if vcpu.stopped:
        tree["mp_state"] = "stopped"
    _put(tree, "run", vcpu.run)
    return tree


def owners(m: Program) -> list[str]:
    """Whose values are in each hart, a line each."""
    lines = []
    for hart in m.harts:
        current = m.tasks[m.rqs[hart.id].current]
        vcpu = m.vcpus.get(current.vcpu)
        name, there = (vcpu.name, vcpu.sstatus) if vcpu else (current.name, current.status)
        envcfg = fields(hart.senvcfg.bits, _ENVCFG)
        mode = _MODES[hart.mode]
        lines.append(f"cpu{hart.id}: {mode} {name} ({status(there)}), senvcfg {envcfg}")
    return lines
