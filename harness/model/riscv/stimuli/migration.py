"""A vcpu that is saved, and restored into another."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.base import Errno, Refused, Violation, shown
from harness.model.operands import VCPU, Reg, Register, words
from harness.model.riscv import due
from harness.model.riscv.kvm.state import Saved, Vcpu
from harness.model.riscv.kvm.uapi import ISA_EXT, SBI_EXT, SIZES, reg_name, size_of
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.kvm_run import runs
from harness.model.riscv.stimuli.one_reg import set_one_reg
from harness.model.riscv.stimuli.places import created
from harness.model.riscv.stimuli.table import VERBS
from harness.model.shared import vcpu_ioctl
from harness.model.values import Quads, Val
from harness.model.verbs import Try
from harness.model.world import World


def _saves(w: World, who: str, current: str) -> Iterator[Try]:
    yield from (Try(("migrate",), (vcpu,)) for vcpu in w.vcpus_of(who))


@VERBS.verb(
    "saves a vcpu by ONE_REG, in KVM_GET_REG_LIST order",
    *(VCPU, words(SIZES, several=True, called="SIZE, ...")),
    when=created,
    tries=_saves,
    leads=[(None,)],
)
def save(m: Program, actor: str, name: str, dropped: tuple[str, ...] = ()) -> None:
    vcpu = m.vcpus[name]
    vcpu_ioctl(m, lambda: save_vcpu(m, vcpu, dropped))


def save_vcpu(m: Program, vcpu: Vcpu, dropped: tuple[str, ...]) -> None:
    regs = tuple(
        (reg, m.kvm_riscv_vcpu_get_reg(vcpu, reg))
        for reg in m.kvm_riscv_vcpu_copy_reg_indices(vcpu)
        if f"U{8 * size_of(reg)}" not in dropped
    )
    vcpu.saved = Saved(regs, vcpu.host)
    due.keep(m.vcpu_due[vcpu.name], tuple(v.what for v in _tried_out(m, vcpu)))


def _can_restore(m: Program, actor: str, name: str, source: str, first: Reg | None = None) -> None:
    created(m, actor, name)
    if m.vcpus[source].saved is None:
        raise Refused(f"{source} has not been saved")


def _restores(w: World, who: str, current: str) -> Iterator[Try]:
    for vcpu in w.vcpus_of(who):
        yield from (Try(("migrate",), (vcpu, source)) for source, *_ in w.vcpus)


@VERBS.verb(
    "restores it into another: ISA extensions, SBI extensions, then the rest as listed; "
    "one register can go before all",
    *(VCPU, VCPU, Register("one_reg")),
    when=_can_restore,
    tries=_restores,
)
def restore(m: Program, actor: str, name: str, source: str, first: Reg | None = None) -> None:
    """ISA first, then SBI extensions, then the rest as it was listed.

    What a vcpu has decides which of its registers there are. With `first` that one
    register goes before all.
    """
    vcpu, saved, kept = m.vcpus[name], m.vcpus[source].saved, m.vcpu_due[source].kept
    assert saved is not None
    assert kept is not None
    rank = {ISA_EXT: 0, SBI_EXT: 1}

    def order(pair: tuple[int, Quads]) -> int:
        if first is not None and pair[0] == first[1]:
            return -1
        return rank.get(m.place_of(pair[0])[0], 2)

    regs = tuple(sorted(saved.regs, key=order))
    same_host = m.hosts[vcpu.host] == m.hosts[saved.host]
    alike = same_host and first is None and not vcpu.ran_atleast_once
    vcpu_ioctl(m, lambda: restore_vcpu(m, vcpu, saved._replace(regs=regs), kept, alike))


def restore_vcpu(m: Program, vcpu: Vcpu, saved: Saved, kept: due.Kept, alike: bool) -> None:
    for reg, vals in saved.regs:
        if reg_name(reg) == "timer.state" and not (vals[0].bits or vcpu.next_set):
            continue  # switching off what is off is an error, and no VMM tries
        try:
            set_one_reg(m, vcpu, reg, vals)
        except Errno as error:
            m.refused_reg = reg_name(reg)
            m.note("errno", f"{error.name} for {reg_name(reg)}")
            if alike:
                text = f"{vcpu.name} is on a machine like the saved vcpu's, and KVM refuses "
                m.violated("round-trip", vcpu.name, reg_name(reg), text + reg_name(reg))
            raise
    _round_trip(m, vcpu, saved)
    missed = frozenset(v.what for v in m.violations)
    due.take_over(m.vcpu_due[vcpu.name], kept, missed)
    said = {v.what.partition("[")[0].rpartition(".")[2] for v in m.violations}
    for v in _tried_out(m, vcpu):
        name = v.what.partition("[")[0].rpartition(".")[2]
        if v.what not in kept.wrong and name not in said:
            text = f"once it runs: {v.text}"
            m.violations.append(Violation("round-trip", vcpu.name, v.what, text, v.want, v.got))


def _tried_out(m: Program, vcpu: Vcpu) -> list[Violation]:
    """What is wrong with a guest and the hart it runs on, in registers that are listed or not.

    It runs, is looked at, and nothing of that has happened.
    """
    if vcpu.stopped or vcpu.waiting:
        return []
    kept, log, wrong = m.capture(), list(m.log), list(m.violations)
    last = m.cpu.id, m.seen, list(m.traps), m.errno
    try:
        runs(m, vcpu)
        m.kvm_arch_vcpu_ioctl_run(vcpu)
        m.guest_enter(vcpu)
        return [v for v in m.check() if v.who == vcpu.name]
    finally:
        m.restore(kept)
        m.log[:], m.violations[:] = log, wrong
        m.run_on(last[0])
        m.seen, m.traps[:], m.errno = last[1:]


def _round_trip(m: Program, vcpu: Vcpu, saved: Saved) -> None:
    """No call has failed: every register must now read what was saved."""
    for reg, vals in saved.regs:
        name = reg_name(reg)
        if name == "timer.time":
            continue
        try:
            got = m.kvm_riscv_vcpu_get_reg(vcpu, reg)
        except Errno as error:
            m.violated("round-trip", vcpu.name, name, f"{name} is gone: {error.name}")
            continue
        for want, found in zip(vals, got, strict=False):
            if want.bits != found.bits:
                _differs(m, vcpu, name, want, found)


def _differs(m: Program, vcpu: Vcpu, name: str, want: Val, got: Val) -> None:
    text = f"{vcpu.name} has {name} = {shown(got)}, the saved vcpu had {shown(want)}"
    m.violations.append(Violation("round-trip", vcpu.name, name, text, want, got))
