"""What random walks meet on v7.3 that is wrong with that kernel, and where it is written up."""

from __future__ import annotations

from harness.model.riscv.cpu.pointer_masking import pmlen_of
from harness.model.riscv.cpu.warl import legal_vs
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import reg_name
from harness.model.riscv.kvm.vcpu_config import legal_henvcfg
from harness.model.riscv.kvm.vcpu_sbi import INVALID_GPA
from harness.model.riscv.machine import Machine
from harness.model.tasks import Mode
from tests.model.riscv.walk import Event


def known(m: Machine, event: Event) -> str:
    """Why this event would show what is wrong with v7.3 itself: a trace, or a reason; or ''."""
    _, verb, args = event
    if verb == "one_reg_set" and args[2]:
        vcpu, name, value = m.vcpus[args[0]], reg_name(args[1][1]), args[2][0]
        if name == "csr.senvcfg" and pmlen_of(value) not in (0, *m.hosts[vcpu.host].pmlen):
            return "migration-to-a-host-without-ssnpm"
        return _switches_off(vcpu, name, value)
    if verb == "restore":
        return _restore_goes_wrong(m, args[0], args[1])
    return _put_before_it_entered(m, event) or _loaded_elsewhere(m, event)


def _switches_off(vcpu: Vcpu, name: str, value: int) -> str:
    d = v = False
    if name == "config.isa":
        d, v = not value >> 3 & 1, not value >> 21 & 1
    elif name == "isa_multi_dis.0":
        d, v = bool(value >> 2 & 1), bool(value >> 15 & 1)
    elif not value:
        d, v = name == "isa_ext.d", name == "isa_ext.v"
    if v and "v" in vcpu.isa:
        return "v-switched-off-still-runs"
    return "d-switched-off-f-kept" if d and "d" in vcpu.isa else ""


def _restore_goes_wrong(m: Machine, name: str, source: str) -> str:
    vcpu, saved = m.vcpus[name], m.vcpus[source].saved
    if saved is None:
        return ""
    if m.hosts[vcpu.host] != m.hosts[saved.host]:
        return "what the other host has beyond the first stays switched on"
    regs = {reg_name(reg): vals[0].bits for reg, vals in saved.regs}
    if "f" in vcpu.isa and "fp_f.fcsr" not in regs:
        return "what is saved `without U32` comes back without fcsr"
    if regs.get("sta.shmem_lo", INVALID_GPA) != INVALID_GPA and "sbi-sta-align" in m.fixes:
        return "shmem_hi = 0, which comes next, throws shmem_lo away (fa9681ed5c6a)"
    return next(filter(None, (_switches_off(vcpu, reg, n) for reg, n in regs.items())), "")


def _put_before_it_entered(m: Machine, event: Event) -> str:
    """A vcpu is put whose hvip in memory is newer than the CPU's: the older one is read back."""
    actor, verb, _ = event
    if verb not in ("switch", "sched_switch", "vcpu_put"):
        return ""
    name = actor if verb == "vcpu_put" else m.tasks[m.rqs[int(actor[3:])].current].vcpu
    if not name or m.vcpus[name].cpu < 0:
        return ""
    hart = m.harts[m.vcpus[name].cpu]
    stale = hart.mode is not Mode.GUEST and hart.vs.hvip != m.vcpus[name].csr.hvip
    return "interrupt-lost-by-reading-sip" if stale else ""


def _loaded_elsewhere(m: Machine, event: Event) -> str:
    """A vcpu comes back to the CPU that it last ran on, and was loaded elsewhere meanwhile.

    That load took what user space had set, and made csr_dirty false. The fast path here
    asks only where the vcpu has left the guest last.
    """
    actor, verb, args = event
    name, cpu = "", -1
    if verb in ("switch", "sched_switch"):
        name, cpu = m.tasks[args[1]].vcpu if args[1] in m.tasks else "", int(actor[3:])
    elif verb == "vcpu_load" or args[:1] == ("KVM_RUN",):
        name, cpu = (actor if verb == "vcpu_load" else args[1]), m.place(actor)
    if not name or cpu < 0:
        return ""
    vcpu, hart = m.vcpus[name], m.harts[cpu]
    fast = m.rqs[cpu].kvm_former_vcpu == name and vcpu.last_exit_cpu == cpu and not vcpu.csr_dirty
    # Another vcpu may have been loaded there since.
    elsewhere = any(rq.kvm_former_vcpu for n, rq in enumerate(m.rqs) if n != cpu)
    loaded = hart.vs, hart.henvcfg, hart.hstateen0, hart.hedeleg
    host = m.hosts[hart.host]
    want = legal_vs(host.isa, host.sv, vcpu.csr, hart.vs), legal_henvcfg(host, vcpu.cfg.henvcfg, 0)
    if fast and elsewhere and loaded != (*want, vcpu.cfg.hstateen0, vcpu.cfg.hedeleg):
        return "set-lost-by-a-load-elsewhere"
    return ""
