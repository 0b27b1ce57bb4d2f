"""A kernel on paper: symbols and layouts of Debian 6.1.192 (linux-image-6.1.0-56-arm64)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from harness.image import Member, Symbol

STEXT = 0xFFFF800008010000
DATA = {
    "runqueues": 0xFFFF800009817F80,
    "fpsimd_last_state": 0xFFFF8000098040B0,
    "kvm_running_vcpu": 0xFFFF8000098058D8,
    "__per_cpu_offset": 0xFFFF800009CC3010,
}
FUNCTIONS = {
    "_stext": STEXT,
    "__switch_to": 0xFFFF800008CDFEE0,
    "fpsimd_thread_switch": 0xFFFF800008017A90,
    "do_sve_acc": 0xFFFF800008017000,
    "fpsimd_save": 0xFFFF8000080171A0,
    "kvm_arch_vcpu_load": 0xFFFF800008050000,
    "__kvm_vcpu_run": 0xFFFF800008070000,
    "__kvm_nvhe___kvm_vcpu_run": 0xFFFF800008CEE000,
    "__kvm_vcpu_run_vhe": 0xFFFF800008070100,
    "__fpr_set.constprop.0": 0xFFFF800008019000,
    "do_exit": 0xFFFF800008090000,
}
OFFSETS = {
    "rq.curr": 2400,
    "task_struct.pid": 1352,
    "task_struct.thread_info.flags": 0,
    "task_struct.thread.fp_type": 3664,
    "task_struct.thread.fpsimd_cpu": 3668,
    "task_struct.thread.uw.fpsimd_state": 3136,
    "cpu_fp_state.to_save": 48,
    "cpu_fp_state.sve_vl": 32,
    "kvm_vcpu.vcpu_id": 36,
    "kvm_vcpu.arch.fp_state": 2168,
    "kvm_vcpu.arch.sve_max_vl": 2092,
    "kvm_vcpu.arch.cflags": 2172,
    "kvm_vcpu.arch.ctxt.fp_regs": 560,
}
NOP, MOV_X20_X0 = 0xD503201F, 0xAA0003F4


class PaperImage:
    """What the commands use of `harness.image.Image`."""

    def __init__(
        self,
        functions: Mapping[str, int] = FUNCTIONS,
        data: Mapping[str, int] = DATA,
        offsets: Mapping[str, int] = OFFSETS,
        untraced: tuple[str, ...] = (),
        units: Mapping[str, frozenset[str]] | None = None,
        places: Iterable[int] = (),
    ) -> None:
        self.name = "vmlinux"
        self.kinds = ("symbols", "code", "BTF") if units is None else ("symbols", "code", "DWARF")
        self.units = units or {}
        self.offsets = offsets
        self.untraced = untraced
        self.places = frozenset(places)
        self.symbols = {
            name: Symbol(name, address, 2048, ".text", 1, name in functions)
            for name, address in {**functions, **data}.items()
        }

    def member(self, path: str) -> Member | None:
        if path not in self.offsets:
            return None
        return Member(path, self.offsets[path] * 8, 32, "int")

    def unit_functions(self, function: str) -> frozenset[str] | None:
        return self.units.get(function)

    def pointers(self, start: str, stop: str) -> frozenset[int]:
        return self.places

    def words(self, symbol: str) -> tuple[int, ...]:
        if symbol in self.untraced:
            return (MOV_X20_X0, MOV_X20_X0)
        if symbol != "__switch_to":
            return (NOP, NOP)
        distance = FUNCTIONS["fpsimd_thread_switch"] - FUNCTIONS["__switch_to"]
        return (NOP, NOP, MOV_X20_X0, 0x94000000 | (distance // 4 - 3) & 0x3FFFFFF)


class Recorded(NamedTuple):
    """What a script has done to a tracefs of plain files."""

    status: int
    err: str
    capture: str
    kprobes: list[str]


# uptime_proc_show() is called, and the probe there shows the offsets of both CPUs.
_CAT = """#!/bin/sh
case $1 in
/proc/uptime) echo ' cat-9 [000] d.. 1.0: kvm_replay_offsets: (uptime_proc_show+0x0/0xe0) SHOWN' \
    >> "$TRACEFS/trace" ;;
*) exec /bin/cat "$@" ;;
esac
"""
_TASKSET = '#!/bin/sh\nshift 2\nexec "$@"\n'


def record(
    folder: Path,
    text: str,
    stext: int,
    shown: str,
    *command: str,
    missed: int = 0,
    overrun: int = 0,
) -> Recorded:
    """Run a script on a machine of plain files, which is where `stext` and `shown` say."""
    tracefs, tools = folder / "tracing", folder / "bin"
    for cpu in (0, 1):
        (tracefs / "per_cpu" / f"cpu{cpu}").mkdir(parents=True)
        (tracefs / "per_cpu" / f"cpu{cpu}" / "stats").write_text(
            f"entries: 1\noverrun: {overrun}\n"
        )
    (tracefs / "events" / "kprobes" / "kvm_replay_offsets").mkdir(parents=True)
    (tracefs / "trace").touch()
    (tracefs / "kprobe_profile").write_text(f"  do_exit {17:30} {missed:15}\n")
    tools.mkdir()
    for name, content in (("cat", _CAT.replace("SHOWN", shown)), ("taskset", _TASKSET)):
        (tools / name).write_text(content)
        (tools / name).chmod(0o755)
    kallsyms = folder / "kallsyms"
    kallsyms.write_text(f"{stext:016x} T _stext\n")
    (folder / "record.sh").write_text(text)
    ran = subprocess.run(
        ["sh", "record.sh", *command],
        cwd=folder,
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "TRACEFS": str(tracefs),
            "KALLSYMS": str(kallsyms),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    capture = folder / "capture.txt"
    kprobes = tracefs / "kprobe_events"
    return Recorded(
        ran.returncode,
        ran.stderr,
        capture.read_text() if capture.exists() else "",
        kprobes.read_text().splitlines() if kprobes.exists() else [],
    )
