"""What must hold of ONE_REG, FWFT and the first run, on every release."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.model.riscv.cpu.csr import (
    CLEAN,
    DIRTY,
    ENVCFG_ADUE,
    ENVCFG_CBCFE,
    ENVCFG_CBIE,
    ENVCFG_CBZE,
    ENVCFG_PBMTE,
    ENVCFG_STCE,
    INITIAL,
    OFF,
    get_fs,
    get_vs,
    with_fs,
    with_vs,
)
from harness.model.riscv.kvm.sbi import EXTENSIONS, FWFT, SBI_ERR_NOT_SUPPORTED, SBI_SUCCESS
from harness.model.riscv.kvm.uapi import ISA_EXTENSIONS, SBI_EXTENSIONS, reg_name
from harness.model.values import Bank, Val
from tests.model.riscv.vmm import EVERYTHING, Vmm, number
from tests.model.riscv.walk import RELEASES

FEW = settings(
    max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
HOSTS = {
    "all": EVERYTHING,
    "none": (),
    "no ssnpm": tuple(e for e in EVERYTHING if e not in ("ssnpm", "smnpm")),
    "no smstateen": tuple(e for e in EVERYTHING if e != "smstateen"),
    "svade": (*(e for e in EVERYTHING if e != "svadu"), "svade"),
}

# KVM_RISCV_ISA_EXT_MAX, from the release on.
MAX = {
    "v6.1": 12,
    "v6.4": 15,
    "v6.5": 17,
    "v6.6": 23,
    "v6.7": 25,
    "v6.8": 52,
    "v6.9": 54,
    "v6.10": 55,
    "v6.11": 62,
    "v6.13": 66,
    "v6.14": 69,
    "v6.15": 71,
    "v6.18": 75,
    "v7.0": 78,
    "v7.3": 80,
}


def since(release: str) -> tuple[str, ...]:
    return RELEASES[RELEASES.index(release) :]


def ceiling(spec: str) -> int:
    return max(n for release, n in MAX.items() if spec in since(release))


def there(name: str, isa: frozenset[str]) -> bool:
    """Whether a host with these has what a guest's extension needs."""
    return ("ssnpm" if name == "smnpm" else name) in isa


@pytest.mark.one_in(8)
@pytest.mark.parametrize("spec", RELEASES)
@pytest.mark.parametrize("host", HOSTS)
def test_a_vcpu_has_what_its_host_has(spec: str, host: str) -> None:
    """I01: when it is created, and whatever its VMM tries."""
    vmm = Vmm(spec, HOSTS[host])
    isa = vmm.m.hosts[0].isa
    for value, name in itertools.product((None, 0, 1), ISA_EXTENSIONS):
        if value is not None:
            vmm.set(f"isa_ext.{name}", value)
        assert all(there(n, isa) for n in vmm.vcpu.isa)


@pytest.mark.one_in(8)
@pytest.mark.parametrize("spec", RELEASES)
@pytest.mark.parametrize("host", HOSTS)
def test_which_ids_there_are(spec: str, host: str) -> None:
    """I02: by the kernel and the host, not by what the vcpu has."""
    vmm = Vmm(spec, HOSTS[host])
    isa = vmm.m.hosts[0].isa
    for _ in range(2):
        for n, name in enumerate(ISA_EXTENSIONS):
            known = n < ceiling(spec) and name not in ("zclsd", "zilsd")
            if spec in since("v6.6"):
                errno = "" if known and there(name, isa) else "ENOENT"
            else:
                errno = "" if known else "EINVAL"
            assert vmm.get(f"isa_ext.{name}")[0] == errno, name
        for name in ISA_EXTENSIONS:
            vmm.set(f"isa_ext.{name}", 0)


@pytest.mark.parametrize("spec", RELEASES)
def test_nothing_changes_after_the_first_run(spec: str) -> None:
    """I03"""
    vmm = Vmm(spec)
    vmm.run()
    vmm.stop()
    before = vmm.vcpu.isa
    modern = spec in since("v6.6")
    for name, value in vmm.isa().items():
        other = vmm.set(f"isa_ext.{name}", 1 - value)
        if there(name, vmm.m.hosts[0].isa):
            assert other == ("EBUSY" if modern else "EOPNOTSUPP"), name
            assert vmm.set(f"isa_ext.{name}", value) == ("" if modern else "EOPNOTSUPP"), name
        assert vmm.vcpu.isa == before


# Smnpm has nowhere to show until FWFT and its registers look at the vcpu (e659112a39cd).
UNOBSERVABLE = {spec: {"smnpm"} for spec in ("v6.18", "v6.19", "v7.0", "v7.1")}
KERNELS = (*RELEASES, "v6.13+smnpm-v4", "v6.17+smnpm-v4")


@pytest.mark.one_in(5)
@pytest.mark.parametrize("spec", KERNELS)
def test_what_can_be_switched_off_can_be_seen(spec: str) -> None:
    """I04, for every id on a host that has everything; what else can be off is no excuse."""
    vmm = Vmm(spec)
    start, wrong, off = vmm.m.capture(), set(), set()
    for name, value in vmm.isa().items():
        vmm.m.restore(start)
        if value and not vmm.set(f"isa_ext.{name}", 0):
            off.add(name)
            wrong |= {name for v in vmm.m.violations if v.kind == "unobservable"}
    assert wrong == ({"smnpm"} if "+smnpm-v4" in spec else UNOBSERVABLE.get(spec, set()))
    assert {"d", "f", "svpbmt", "zicbom"} <= off
    assert off <= {
        *("d", "f", "v", "svpbmt", "zicbom", "zicboz", "ssaia", "smstateen"),
        *("svadu", "smnpm", "zicfilp", "zicfiss"),
    }


OFF_IN_TURN = ("d", "f", "svpbmt", "zicbom", "zicboz", "ssaia", "smstateen", "svadu")


@pytest.mark.parametrize("first", [*OFF_IN_TURN, "v", "smnpm"])
def test_what_is_off_already_hides_nothing_else(first: str) -> None:
    """I04 in any order: what a VMM has switched off before is no fault of the second."""
    vmm = Vmm("v7.2")
    assert vmm.set("sbi_ext.fwft", 0) == ""
    assert vmm.set(f"isa_ext.{first}", 0) == ""
    start = vmm.m.capture()
    for name in (*OFF_IN_TURN, "v", "smnpm"):
        vmm.m.restore(start)
        vmm.set(f"isa_ext.{name}", 0)
        assert not [v.what for v in vmm.m.violations if v.kind == "unobservable"]


@pytest.mark.one_in(6)
@pytest.mark.parametrize("spec", RELEASES)
def test_a_write_of_one_extension_changes_no_other(spec: str) -> None:
    """I05: but for a kernel that lets Smnpm have the bit of Ssnpm and be switched off."""
    vmm = Vmm(spec)
    for value, name in itertools.product((0, 1), ISA_EXTENSIONS):
        before = vmm.isa()
        vmm.set(f"isa_ext.{name}", value)
        assert not [v for v in vmm.m.violations if v.kind == "alias"]
        after = vmm.isa()
        assert {n for n in before if before[n] != after[n]} <= {name}


def test_where_two_ids_have_one_bit() -> None:
    vmm = Vmm("v6.13+smnpm-v4")
    assert vmm.set("isa_ext.smnpm", 0) == ""
    assert ("alias", "isa_ext.ssnpm") in {(v.kind, v.what) for v in vmm.m.violations}
    assert vmm.isa()["ssnpm"] == 0


BITS = {
    "svpbmt": ENVCFG_PBMTE,
    "sstc": ENVCFG_STCE,
    "zicbom": ENVCFG_CBIE | ENVCFG_CBCFE,
    "zicboz": ENVCFG_CBZE,
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("spec", RELEASES)
@pytest.mark.parametrize("host", ["all", "svade"])
@pytest.mark.parametrize("svadu", [0, 1])
def test_the_first_run_derives_henvcfg(spec: str, host: str, svadu: int) -> None:
    """I09"""
    vmm = Vmm(spec, HOSTS[host])
    start = vmm.m.capture()
    for name in (None, *BITS):
        vmm.m.restore(start)
        if name:
            vmm.set(f"isa_ext.{name}", 0)
        vmm.set("isa_ext.svadu", svadu)
        vmm.run()
        isa, henvcfg = vmm.vcpu.isa, vmm.m.harts[0].henvcfg
        for which, bits in BITS.items():
            assert henvcfg & bits == (bits if which in isa else 0)
        assert bool(henvcfg & ENVCFG_ADUE) == ("svadu" in isa and "svade" not in isa)
        if spec in since("v6.13"):
            assert ("svadu" in isa) is (host == "all" and bool(svadu))


@pytest.mark.one_in(8)
@pytest.mark.parametrize("spec", RELEASES)
@pytest.mark.parametrize(("f", "d"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_fs_is_off_without_f_and_d(spec: str, f: int, d: int) -> None:
    """I14, for FS after each write of ISA_EXT, for VS after a reset."""
    vmm = Vmm(spec)
    vmm.set("isa_ext.f", f)
    vmm.set("isa_ext.d", d)
    vmm.set("isa_ext.v", d)
    assert get_fs(vmm.vcpu.sstatus) == (INITIAL if f or d else OFF)
    vmm.m.kvm_riscv_reset_vcpu(vmm.vcpu)
    assert get_fs(vmm.vcpu.sstatus) == (INITIAL if f or d else OFF)
    assert get_vs(vmm.vcpu.sstatus) == (INITIAL if "v" in vmm.vcpu.isa else OFF)


@pytest.mark.parametrize("state", [OFF, INITIAL, CLEAN, DIRTY])
@pytest.mark.parametrize("off", ["", "d", "v"])
def test_only_what_is_dirty_is_saved(state: int, off: str) -> None:
    """I16: and after a save, or a load of what is not off, nothing is Dirty."""
    vmm = Vmm("v7.2")
    if off:
        vmm.set(f"isa_ext.{off}", 0)
    m, vcpu = vmm.m, vmm.vcpu
    live = Bank({n: (Val(0x1122334455667700 + n),) for n in range(33)})
    vcpu.sstatus = with_vs(with_fs(vcpu.sstatus, state), state)
    fp, vector, m.cpu.f, m.cpu.v = vcpu.fp, vcpu.vector, live, live
    m.kvm_riscv_vcpu_guest_fp_save(vcpu)
    m.kvm_riscv_vcpu_guest_vector_save(vcpu)
    assert (vcpu.fp is not fp) == (state == DIRTY)
    assert (vcpu.vector is not vector) == (state == DIRTY and off != "v")
    wanted = CLEAN if state == DIRTY else state
    assert (get_fs(vcpu.sstatus), get_vs(vcpu.sstatus)) == (wanted, wanted)
    m.kvm_riscv_vcpu_guest_fp_restore(vcpu)
    m.kvm_riscv_vcpu_guest_vector_restore(vcpu)
    wanted = CLEAN if state != OFF else OFF
    assert (get_fs(vcpu.sstatus), get_vs(vcpu.sstatus)) == (wanted, wanted)
    assert (m.cpu.f is not live) == (state != OFF and not (state == DIRTY and off != "d"))


@pytest.mark.one_in(8)
@pytest.mark.parametrize("spec", since("v6.6"))
@pytest.mark.parametrize("host", HOSTS)
def test_the_register_list(spec: str, host: str) -> None:
    """I17, I18: it is as long as it says, and each of its registers can be read."""
    vmm = Vmm(spec, HOSTS[host])
    for change in (None, "isa_ext.v", "isa_ext.d", "isa_ext.zicbom", "sbi_ext.sta"):
        if change:
            vmm.set(change, 0)
        regs = [reg for reg, _ in vmm.m.reg_list("p0")]
        assert len(set(regs)) == len(regs)
        for room in (0, len(regs) - 1, len(regs), len(regs) + 1):
            errno = vmm.do("A", "ioctl", "KVM_GET_REG_LIST", "p0", (room,))
            assert errno == ("E2BIG" if room < len(regs) else "")
            assert vmm.m.seen is not None
            assert vmm.m.seen[0].bits == len(regs)
        for reg in regs:
            # H is listed by name and SBI's words of v6.6 too: all can be read.
            assert vmm.get(reg)[0] == "", reg_name(reg)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("spec", since("v6.6"))
@FEW
@given(mask=st.integers(0, (1 << 64) - 1), word=st.integers(0, 1), on=st.booleans())
def test_a_word_of_extensions(spec: str, mask: int, word: int, on: bool) -> None:
    """I21, I22: a word is its bits one by one, without their errors, and DIS is not EN."""
    both = [Vmm(spec), Vmm(spec)]
    if word * 64 >= ceiling(spec):
        assert both[0].set(f"isa_multi_en.{word}", mask) == "ENOENT"
        assert both[0].get(f"isa_multi_dis.{word}")[0] == "ENOENT"
        return
    assert both[0].set(f"isa_multi_{'en' if on else 'dis'}.{word}", mask) == ""
    for bit in range(64):
        if mask >> bit & 1:
            both[1].set(number("isa_ext.a") + 64 * word + bit, int(on))
    assert both[0].vcpu.isa == both[1].vcpu.isa
    assert both[0].vcpu.sstatus == both[1].vcpu.sstatus
    enabled, disabled = (both[0].get(f"isa_multi_{w}.{word}")[1][0] for w in ("en", "dis"))
    assert disabled == ~enabled & (1 << 64) - 1
    isa = both[0].isa()
    for bit, name in enumerate(ISA_EXTENSIONS[64 * word : 64 * word + 64]):
        assert enabled >> bit & 1 == isa.get(name, 0)


# Registers that a restore does not bring back, from the release on, and why.
LOST = {
    # shmem_hi, which follows it, is 0 on a 64-bit host, and stores INVALID_GPA.
    "sta.shmem_lo": since("v7.1"),
}
VALUES = {
    "core.pc": 0x1000,
    "core.x10": 7,
    "core.mode": 0,
    "csr.stvec": 0x2000,
    "csr.satp": 9 << 60,
    "csr.senvcfg": 0x80,
    "csr.scounteren": 2,
    "csr.sip": 2,
    "smstateen.sstateen0": 1,
    "aia.siselect": 0x70,
    "timer.compare": 99,
    "fp_d.f1": 1 << 60,
    "fp_d.fcsr": 3,
    "vector.v1": 5,
    "vector.vl": 2,
    "sta.shmem_lo": 0x1000,
    "fwft.pointer_masking.value": 7,
    "fwft.pointer_masking.flags": 1,
    "fwft.misaligned_deleg.value": 1,
    "config.mvendorid": 3,
}
SWITCHES = ("isa_ext.v", "isa_ext.zicbom", "isa_ext.smnpm", "sbi_ext.fwft", "sbi_ext.pmu", "")


@pytest.mark.one_in(8)
@pytest.mark.parametrize("spec", since("v6.6"))
@pytest.mark.parametrize("off", SWITCHES)
def test_a_restore_on_an_equal_host(spec: str, off: str) -> None:
    """I23: ISA_EXT, SBI_EXT, then the rest as listed, gives the same list and values."""
    vmm = Vmm(spec)
    if off:
        vmm.set(off, 0)
    for name, value in VALUES.items():
        vmm.set(name, value)
    assert vmm.do("A", "save", "p0") == ""
    assert vmm.do("A", "restore", "p1", "p0") == ""
    lost = {name for name, specs in LOST.items() if spec in specs}
    # An id was of the next register until vlenb came: v1 is v2 to them.
    forgotten = {"v2"} if spec in ("v6.6", "v6.7") else set()  # KVM_GET_REG_LIST has no vectors
    assert {v.what for v in vmm.m.violations} <= lost | forgotten
    before, after = vmm.list("p0"), vmm.list("p1")
    assert list(before) == list(after)
    different = {reg_name(reg) for reg in before if before[reg] != after[reg]}
    assert different == lost & {reg_name(reg) for reg in before}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("spec", since("v6.4"))
@pytest.mark.parametrize("name", [n for n in SBI_EXTENSIONS if n in EXTENSIONS])
def test_an_sbi_extension_that_is_off(spec: str, name: str) -> None:
    """I27: every call of it returns -2, and it has no state to read."""
    vmm = Vmm(spec)
    if vmm.set(f"sbi_ext.{name}", 0):
        assert vmm.get(f"sbi_ext.{name}")[0] in ("ENOENT", "EINVAL")
    vmm.run()
    for function in EXTENSIONS[name].functions:
        assert vmm.sbi(name, function, 1) == SBI_ERR_NOT_SUPPORTED
        assert vmm.vcpu.cpu >= 0
    vmm.stop()
    states = {"sta": "sta.shmem_lo", "fwft": "fwft.misaligned_deleg.enable"}
    if name in states and spec in since("v6.18"):
        assert vmm.get(states[name])[0] == "EINVAL"


@pytest.mark.parametrize("spec", since("v6.18"))
@pytest.mark.parametrize("pmlen", [0, 7, 16])
def test_a_fwft_call_that_fails_changes_no_value(spec: str, pmlen: int) -> None:
    """I12, I28"""
    vmm = Vmm(spec)
    vmm.run()
    assert vmm.sbi("fwft", "set", 5, pmlen, 0) == SBI_SUCCESS
    vmm.sbi("fwft", "set", 0, 1, 1)  # and LOCK
    calls = itertools.product((*FWFT.values(), 6, 5 | 1 << 32), (0, 1, 7, 16, 17), (0, 1, 2))
    for feature, value, flags in calls:
        start = vmm.m.capture()
        state, hart = vmm.vcpu.cfg, vmm.m.harts[0].henvcfg
        vmm.sbi("fwft", "get", feature)
        assert (vmm.vcpu.cfg, vmm.m.harts[0].henvcfg) == (state, hart)
        if vmm.sbi("fwft", "set", feature, value, flags) != SBI_SUCCESS:
            assert (vmm.vcpu.cfg, vmm.m.harts[0].henvcfg) == (state, hart)
            locked = [v for v in vmm.m.violations if v.kind == "lock"]
            assert not locked or spec != "v7.2"
        vmm.m.restore(start)
