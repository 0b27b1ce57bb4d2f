"""arch/riscv/kvm/isa.c (vcpu_onereg.c up to v6.19): which extensions a guest may have.

Three spaces of bits: KVM's ids are what userspace says, the guest's extension is the bit
in vcpu->arch.isa, the host's extension tells whether the machine can do it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from harness.model.base import kernel_function
from harness.model.catalogue import Kernel
from harness.model.riscv.cpu.state import Hart
from harness.model.riscv.host.entry import Entry
from harness.model.riscv.host.state import Host
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import ISA_EXT_ID, ISA_EXTENSIONS, SBI_EXTENSIONS

# A 64-bit host never has them (riscv_ext_zilsd_validate()), so their ids are as good as none.
RV32_ONLY = ("zclsd", "zilsd")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
KVM_RISCV_BASE_ISA_MASK = (1 << 26) - 1

# The fix that brings a kernel each id. What is not here is as old as the model, or RV32's.
ISA_EXT_SINCE = {
    "isa-zicboz": "zicboz",
    "isa-zbb": "zbb",
    "isa-ssaia": "ssaia",
    "isa-v": "v",
    "isa-svnapot": "svnapot",
    "isa-zba-zbs": "zba zbs",
    "isa-zicntr": "zicntr zicsr zifencei zihpm",
    "smstateen": "smstateen",
    "isa-zicond": "zicond",
    "isa-zbc": "zbc",
    "isa-zk": "zbkb zbkc zbkx zknd zkne zknh zkr zksed zksh zkt",
    "isa-zvk": "zvbb zvbc zvkb zvkg zvkned zvknha zvknhb zvksed zvksh zvkt",
    "isa-zfh": "zfh zfhmin",
    "isa-zihintntl": "zihintntl",
    "isa-zvfh": "zvfh zvfhmin",
    "isa-zfa": "zfa",
    "isa-ztso": "ztso",
    "isa-zacas": "zacas",
    "isa-sscofpmf": "sscofpmf",
    "isa-zimop": "zimop",
    "isa-zc": "zca zcb zcd zcf",
    "isa-zcmop": "zcmop",
    "isa-zawrs": "zawrs",
    "smnpm-v5": "smnpm ssnpm",
    "svadu-svade": "svade svadu",
    "isa-svvptc": "svvptc",
    "isa-zabha": "zabha",
    "isa-ziccrse": "ziccrse",
    "isa-zaamo-zalrsc": "zaamo zalrsc",
    "isa-zicbop": "zicbop",
    "isa-bf16": "zfbfmin zvfbfmin zvfbfwma",
    "isa-zalasr": "zalasr",
    "isa-zicfi": "zicfilp zicfiss",
}
SBI_EXT_SINCE = {
    "sbi-ext-regs": "v01 time ipi rfence srst hsm pmu experimental vendor",
    "sbi-dbcn": "dbcn",
    "sbi-sta": "sta",
    "sbi-susp": "susp",
    "fwft-base": "fwft",
    "sbi-mpxy": "mpxy",
}


class Known:
    """Those of `names` that a kernel with these fixes has an id for.

    A fix is asked for when it matters: few traces differ by most of these ids.
    """

    __slots__ = ("_brought_by", "_fixes", "_known", "_names")

    def __init__(
        self, names: Iterable[str], since: Mapping[str, str], fixes: frozenset[str]
    ) -> None:
        self._names = tuple(names)
        self._brought_by = {name: fix for fix, listed in since.items() for name in listed.split()}
        self._fixes = fixes
        self._known: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        found = self._known.get(name)
        if found is None:
            fix = self._brought_by.get(name)
            found = name in self._names and (fix is None or fix in self._fixes)
            self._known[name] = found
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if name in self)

    def __reversed__(self) -> Iterator[str]:
        return (name for name in reversed(self._names) if name in self)

    def __bool__(self) -> bool:
        return any(name in self for name in self._names)

    def __repr__(self) -> str:
        return f"Known({' '.join(self)})"


# "Extensions which don't have any mechanism to disable".
_NEVER = """
    a c i m sscofpmf ssnpm sstc svinval svnapot svvptc zaamo zabha zacas zalasr zalrsc zawrs
    zba zbb zbc zbkb zbkc zbkx zbs zca zcb zcd zcf zcmop zfa zfbfmin zfh zfhmin zicbop
    ziccrse zicntr zicond zicsr zifencei zihintntl zihintpause zihpm zimop zknd zkne zknh
    zkr zksed zksh zkt ztso zvbb zvbc zvfbfmin zvfbfwma zvfh zvfhmin zvkb zvkg zvkned zvknha
    zvknhb zvksed zvksh zvkt
"""
NEVER_DISABLED = frozenset(_NEVER.split())


class Isa(Entry):
    """What userspace's ids mean, and what may be switched on and off."""

    __slots__ = ("isa_ids", "places_in_vm", "sbi_ids", "vcpus")

    def __init__(
        self,
        kernel: Kernel,
        hosts: tuple[Host, ...],
        harts: tuple[Hart, ...],
        vcpus: dict[str, Vcpu],
        places_in_vm: dict[str, tuple[int, int]],
    ) -> None:
        super().__init__(kernel, hosts, harts)
        self.vcpus = vcpus
        # The VM of each vcpu, and its hart id there. They never change, so no state has them.
        self.places_in_vm = places_in_vm
        names = (name for name in ISA_EXTENSIONS if name not in RV32_ONLY)
        self.isa_ids = Known(names, ISA_EXT_SINCE, self.fixes)
        self.sbi_ids = Known(SBI_EXTENSIONS, SBI_EXT_SINCE, self.fixes)

    # Who else is in a VM -----------------------------------------------------------------

    def hart_id(self, vcpu: Vcpu) -> int:
        """vcpu->vcpu_id"""
        return self.places_in_vm[vcpu.name][1]

    def vm_vcpus(self, vcpu: Vcpu) -> list[Vcpu]:
        """kvm_for_each_vcpu()"""
        vm = self.places_in_vm[vcpu.name][0]
        return [v for v in self.vcpus.values() if self.places_in_vm[v.name][0] == vm and v.created]

    def vcpu_by_id(self, vcpu: Vcpu, number: int) -> Vcpu | None:
        """kvm_get_vcpu_by_id()"""
        return next((v for v in self.vm_vcpus(vcpu) if self.hart_id(v) == number), None)

    # Extensions --------------------------------------------------------------------------

    def isa_known(self, kvm_ext: int) -> bool:
        """kvm_ext < KVM_RISCV_ISA_EXT_MAX"""
        return kvm_ext < len(ISA_EXTENSIONS) and ISA_EXTENSIONS[kvm_ext] in self.isa_ids

    def guest_ext(self, kvm_ext: int) -> str:
        """kvm_isa_ext_arr[]: the extension whose bit in vcpu->arch.isa an id is about.

        Until 7826c8f37220 the table gave Smnpm the bit of Ssnpm, so that the host's check
        came out right, and two ids had one bit.
        """
        name = ISA_EXTENSIONS[kvm_ext]
        if name == "smnpm" and "smnpm-guest-bit" not in self.fixes:
            return "ssnpm"
        return name

    def isa_check_host(self, kvm_ext: int) -> str | None:
        """__kvm_riscv_isa_check_host(): the guest's extension of an id, None for -ENOENT."""
        if kvm_ext >= len(ISA_EXTENSIONS):
            return None
        guest = self.guest_ext(kvm_ext)
        # VS-mode's masking is henvcfg.PMM, which the host's Ssnpm provides.
        host = "ssnpm" if guest == "smnpm" else guest
        return guest if self.has(host) and self.isa_known(kvm_ext) else None

    def has_hw_pte_young(self) -> bool:
        """arch_has_hw_pte_young(): the host lets the hardware update A and D bits."""
        return self.has("svadu")

    def kvm_riscv_isa_enable_allowed(self, kvm_ext: int) -> bool:
        name = ISA_EXTENSIONS[kvm_ext]
        if name == "h":
            return False
        if name == "sscofpmf":
            return self.isa_check_host(ISA_EXT_ID["ssaia"]) is not None
        if name == "svadu":
            return self.has_hw_pte_young()
        if name == "v":
            return self.riscv_v_vstate_ctrl_user_allowed(self.current)
        return True

    def kvm_riscv_isa_disable_allowed(self, kvm_ext: int) -> bool:
        name = ISA_EXTENSIONS[kvm_ext]
        if name == "smnpm":
            return "fwft-pmlen" in self.fixes or "smnpm-v4" in self.fixes
        if name == "ssaia":
            return "smstateen" in self.fixes and self.has("smstateen")
        if name == "svade":
            return self.has_hw_pte_young()
        return name not in NEVER_DISABLED

    @kernel_function()
    def kvm_riscv_vcpu_setup_isa(self, vcpu: Vcpu) -> None:
        isa = set()
        for kvm_ext in range(len(ISA_EXTENSIONS)):
            guest = self.isa_check_host(kvm_ext)
            if guest is not None and self.kvm_riscv_isa_enable_allowed(kvm_ext):
                isa.add(guest)
        vcpu.isa = frozenset(isa)

    def base_isa(self, isa: frozenset[str]) -> int:
        """isa[0] & KVM_RISCV_BASE_ISA_MASK: a bit for each single letter."""
        return sum(1 << LETTERS.index(name) for name in isa if len(name) == 1)
