"""tools/testing/selftests/kvm/riscv/get-reg-list.c: what its configurations expect, and get.

The test that belongs to a kernel is the one of its own tree: what it expects follows the
fixes too (but for `v`, which the test of v6.12 has not; each kernel that lists vectors gets
it here). It switches every extension off, and on again what a configuration is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from harness.model.base import Errno, RegTest
from harness.model.catalogue import Kernel
from harness.model.riscv.kvm.isa import ISA_EXT_SINCE, RV32_ONLY, SBI_EXT_SINCE, Known
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import (
    AIA_REGS,
    CONFIG_REGS,
    CORE_REGS,
    CSR_REGS,
    FP_REGS,
    ISA_EXT,
    ISA_EXTENSIONS,
    SBI_EXT,
    SBI_EXTENSIONS,
    SINGLE,
    TIMER_REGS,
    VECTOR_REGS,
    one_reg,
    reg_id,
    reg_name,
)
from harness.model.riscv.machine import Machine
from harness.model.values import Val

_SKIPPED = "timer.state"  # skips_set: switching off what is off is EINVAL
_SBI_BASE = ("v01", "time", "ipi", "rfence", "srst", "hsm", "experimental", "vendor")
_FIELDS = ("enable", "flags", "value")
# Features that some extensions of the guest bring, and since which fix the test knows them.
_FEATURES = (
    ("pointer_masking", "fwft-pmlen", ("smnpm",)),
    ("pte_ad_hw_updating", "fwft-cfi", ("svade", "svadu")),
    ("landing_pad", "fwft-cfi", ("zicfilp",)),
    ("shadow_stack", "fwft-cfi", ("zicfiss",)),
)


class Sublist(NamedTuple):
    """struct vcpu_reg_sublist: names of registers, and the extension that is switched on."""

    name: str
    regs: tuple[str, ...]
    feature: str = ""  # `isa_ext.x` or `sbi_ext.x`


def _paths(group: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{group}.{name}" for name in names)


def base(fixes: frozenset[str]) -> Sublist:
    """base_regs. The block sizes are in it since they are on every host (v7.2)."""
    blocks = tuple(name for name in CONFIG_REGS if name.endswith("_block_size"))
    config = tuple(n for n in CONFIG_REGS if n not in blocks or "zicbo-block-always" in fixes)
    regs = _paths("config", config) + _paths("core", CORE_REGS) + _paths("timer", TIMER_REGS)
    csrs = CSR_REGS if "senvcfg-switch" in fixes else CSR_REGS[:-1]
    return Sublist("base", regs + _paths("csr", csrs))


def configs(fixes: frozenset[str]) -> Iterator[tuple[Sublist, ...]]:
    """vcpu_configs[], without the base that each has."""
    since = ISA_EXT_SINCE | {"isa-zilsd": " ".join(RV32_ONLY)}  # it has them, and skips them
    isa = Known(ISA_EXTENSIONS, since, fixes)
    sbi = Known(SBI_EXTENSIONS, SBI_EXT_SINCE, fixes)
    if sbi:
        # V01's number is 0, which the test takes for no feature at all.
        yield (Sublist("sbi-base", _paths("sbi_ext", _SBI_BASE)),)
    for name in ("sta", "pmu", "dbcn", "susp", "mpxy"):
        if name in sbi:
            state = _paths("sta", ("shmem_lo", "shmem_hi")) if name == "sta" else ()
            yield (Sublist(f"sbi-{name}", (f"sbi_ext.{name}", *state), f"sbi_ext.{name}"),)
    if "fwft-onereg" in fixes:
        yield from _fwft(fixes)
    for name in sorted(isa):
        if name not in ("a", "c", "i", "m"):
            yield (_extension(name, fixes),)


def _fwft(fixes: frozenset[str]) -> Iterator[tuple[Sublist, ...]]:
    """One configuration for all features, until support was asked for at each use."""
    misaligned = _paths("fwft", tuple(f"misaligned_deleg.{f}" for f in _FIELDS))
    masking = _paths("fwft", tuple(f"pointer_masking.{f}" for f in _FIELDS))
    fwft = "sbi_ext.fwft"
    if "fwft-live-support" not in fixes:
        yield (Sublist("sbi-fwft", (fwft, *misaligned, *masking), fwft),)
        return
    yield (Sublist("sbi-fwft_misaligned_deleg", (fwft, *misaligned), fwft),)
    for feature, fix, extensions in _FEATURES:
        if fix in fixes:
            regs = _paths("fwft", tuple(f"{feature}.{f}" for f in _FIELDS))
            yield (
                *(_extension(name, fixes) for name in extensions),
                Sublist(f"sbi-fwft_{feature}", (fwft, *regs), fwft),
            )


def _extension(name: str, fixes: frozenset[str]) -> Sublist:
    feature = f"isa_ext.{name}"
    regs: tuple[str, ...] = (feature,)
    if name == "ssaia":
        regs += _paths("aia", AIA_REGS)
    elif name == "smstateen":
        regs += ("smstateen.sstateen0",)
    elif name == "zicfiss" and "ssp-switch" in fixes:
        regs += ("zicfiss.ssp",)
    elif name in ("f", "d"):
        regs += _paths(f"fp_{name}", FP_REGS)
    elif name == "v" and "reglist-vector" in fixes:
        regs += _paths("vector", tuple(n for n in VECTOR_REGS if n != "datap"))
    elif name in ("zicbom", "zicboz", "zicbop"):
        regs += (f"config.{name}_block_size",)
    title = {"f": "fp_f", "d": "fp_d", "ssaia": "aia"}.get(name, name)
    return Sublist(title, regs, feature)


def reg_tests(fresh: Callable[[], Machine], expected: Kernel) -> Iterator[RegTest]:
    """Each configuration of the test of `expected`'s time, on a vcpu of a `fresh` machine."""
    for sublists in configs(expected.fixes):
        machine = fresh()
        machine.run_on(0)
        vcpu = next(iter(machine.vcpus.values()))
        asks = "fwft-live-support" in expected.fixes
        yield _run(machine, vcpu, (base(expected.fixes), *sublists), asks)


def _run(machine: Machine, vcpu: Vcpu, sublists: tuple[Sublist, ...], asks: bool) -> RegTest:
    """With `asks` the test looks first whether FWFT has the registers of a sublist."""
    name = "+".join(s.name for s in sublists[1:])
    _finalize(machine, vcpu)
    for sublist in sublists:
        if sublist.feature and not _enable(machine, vcpu, sublist.feature):
            return RegTest(name, skipped=f"{sublist.feature} cannot be had")
        if asks and sublist.feature == "sbi_ext.fwft":
            lacks = [r for r in sublist.regs if not machine.has_reg(vcpu, _id(machine, r))]
            if lacks:
                return RegTest(name, skipped=f"{lacks[0]} cannot be had")
    try:
        listed = machine.kvm_riscv_vcpu_copy_reg_indices(vcpu)
    except Errno as error:
        return RegTest(name, skipped=f"KVM_GET_REG_LIST: {error.name}")
    blessed = {_id(machine, path): path for s in sublists for path in s.regs}
    errnos = {reg: _get_and_set(machine, vcpu, reg) for reg in listed if reg in blessed}
    new = [reg for reg in listed if reg not in blessed and not _filtered(reg)]
    return RegTest(
        name,
        missing=tuple(path for reg, path in blessed.items() if reg not in listed),
        failed=tuple(f"{blessed[reg]}: {errno}" for reg, errno in errnos.items() if errno),
        new=tuple(reg_name(reg) or f"{reg:#x}" for reg in new),
    )


def _id(machine: Machine, path: str) -> int:
    reg = reg_id(path, machine.host.vlenb)
    assert reg is not None, path
    return reg


def _finalize(machine: Machine, vcpu: Vcpu) -> None:
    """finalize_vcpu(): every extension that can be switched off is."""
    for kind, count in ((ISA_EXT, len(ISA_EXTENSIONS)), (SBI_EXT, len(SBI_EXTENSIONS))):
        for number in range(count):
            _set(machine, vcpu, one_reg(kind, SINGLE, number), 0)


def _set(machine: Machine, vcpu: Vcpu, reg: int, value: int) -> str:
    try:
        machine.kvm_riscv_vcpu_set_reg(vcpu, reg, (Val(value),))
    except Errno as error:
        return error.name
    return ""


def _enable(machine: Machine, vcpu: Vcpu, feature: str) -> bool:
    reg = _id(machine, feature)
    _set(machine, vcpu, reg, 1)
    try:
        return bool(machine.kvm_riscv_vcpu_get_reg(vcpu, reg)[0].bits)
    except Errno:
        return False


def _get_and_set(machine: Machine, vcpu: Vcpu, reg: int) -> str:
    """What goes wrong when a register is read and written back, or ''."""
    try:
        vals = machine.kvm_riscv_vcpu_get_reg(vcpu, reg)
        if reg_name(reg) != _SKIPPED:
            machine.kvm_riscv_vcpu_set_reg(vcpu, reg, vals)
    except Errno as error:
        return error.name
    return ""


def _filtered(reg: int) -> bool:
    """filter_reg(): what a kernel may have beyond a configuration without a word about it."""
    return reg_name(reg).partition(".")[0] in ("isa_ext", "sbi_ext", "aia", "fwft")
