"""`kvm-replay reglist`: what KVM_GET_REG_LIST gives for a vcpu of a machine."""

from __future__ import annotations

import argparse
import json

from harness.cli.term import Terminal
from harness.dsl.reader import Machine, read_machine
from harness.errors import HarnessError, one_of
from harness.model.base import Refused
from harness.model.catalogue import Kernel


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "reglist",
        help="list the registers that KVM has for a vcpu",
        description="Print what KVM_GET_REG_LIST gives for a fresh vcpu: a line for each register "
        "that is modelled, in the kernel's order, with its id and the name that `one_reg` has for "
        "it in a trace.",
    )
    parser.add_argument(
        "machine", metavar="MACHINE", help="as in a trace: 'arm64 vhe { sve 16..64 }'"
    )
    parser.add_argument("features", nargs="*", metavar="FEATURE", help="of the vcpu, such as sve")
    parser.add_argument("--kernel", required=True, metavar="K")
    parser.add_argument("--mode", metavar="M", help="default: the first of the machine that fits")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    machine = read_machine(args.machine, args.features)
    kernel = machine.arch.catalogue.kernel(args.kernel)
    mode = _mode(machine, kernel, args.mode)
    model = machine.arch.machine(kernel, mode, machine.world, record=False)
    try:
        regs = model.reg_list(machine.world.vcpus[0][0])
    except Refused as refused:
        raise HarnessError(f"{kernel.name} {mode}: {refused}") from None
    if args.json:
        tree = {
            "schema": "kvm-replay/reglist/1",
            "kernel": kernel.name,
            "mode": mode,
            "count": len(regs),
            "regs": [{"id": _hex(reg), "name": name, "size": size(reg)} for reg, name in regs],
        }
        out.line(json.dumps(tree, indent=1, sort_keys=True))
        return 0
    out.line(out.paint(f"# {len(regs)} registers, {kernel.name}, {mode}", "dim"))
    for reg, name in regs:
        out.line(f"{_hex(reg)}  {name}".rstrip())
    return 0


def _mode(machine: Machine, kernel: Kernel, wanted: str | None) -> str:
    """The mode that was asked for, or the first that the kernel has such a machine in."""
    if wanted is not None and wanted not in machine.modes:
        raise HarnessError(f"--mode {wanted[:40]!r}: the machine has {one_of(machine.modes)}")
    modes = machine.modes if wanted is None else (wanted,)
    why = {mode: machine.arch.unsupported(kernel, mode, machine.world) for mode in modes}
    for mode in modes:
        if not why[mode]:
            return mode
    raise HarnessError(f"{kernel.name} {modes[0]}: {why[modes[0]]}")


def _hex(reg: int) -> str:
    return f"{reg:#018x}"


def size(reg: int) -> int:
    """KVM_REG_SIZE() of include/uapi/linux/kvm.h, the same for all: bytes."""
    return 1 << (reg >> 52 & 0xF)
