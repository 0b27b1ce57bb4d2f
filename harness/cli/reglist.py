"""`kvm-replay reglist`: what KVM_GET_REG_LIST gives for a vcpu of a machine."""

from __future__ import annotations

import argparse
import json
import textwrap

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
    parser.add_argument(
        "--selftest",
        nargs="?",
        const="",
        metavar="K2",
        help="run the selftest get-reg-list instead, that of the kernel or of K2; exit status 1 "
        "if a configuration fails",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    machine = read_machine(args.machine, args.features)
    kernel = machine.arch.catalogue.kernel(args.kernel)
    mode = mode_of(machine, kernel, args.mode)
    if args.selftest is not None:
        return _selftest(machine, kernel, mode, args, out)
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


def _selftest(
    machine: Machine, kernel: Kernel, mode: str, args: argparse.Namespace, out: Terminal
) -> int:
    expected = machine.arch.catalogue.kernel(args.selftest or kernel.name)
    tests = list(machine.arch.reg_tests(kernel, expected, mode, machine.world))
    failed = sum(test.verdict == "FAIL" for test in tests)
    if args.json:
        tree = {
            "schema": "kvm-replay/reglist-selftest/1",
            "kernel": kernel.name,
            "expected": expected.name,
            "mode": mode,
            "configs": {t.name: {"verdict": t.verdict, **t._asdict()} for t in tests},
        }
        out.line(json.dumps(tree, indent=1, sort_keys=True))
        return 1 if failed else 0
    for test in tests:
        if test.skipped:
            continue
        style = "green" if test.verdict == "PASS" else "red"
        out.line(f"{test.name:<36} {out.paint(test.verdict, style)}")
        for what, names in (("missing", test.missing), ("failed", test.failed), ("new", test.new)):
            if names:
                out.line(f"    {what}: {', '.join(names)}")
    skipped = [test.name for test in tests if test.skipped]
    if skipped:
        text = f"skipped, what they need cannot be had: {', '.join(skipped)}"
        out.line(out.paint(textwrap.fill(text, 80, break_on_hyphens=False), "dim"))
    passed = len(tests) - failed - len(skipped)
    text = f"{len(tests)} configurations of {expected.name}'s test on {kernel.name} {mode}"
    out.line(f"{text}: {passed} pass, {failed} fail, {len(skipped)} skipped")
    return 1 if failed else 0


def mode_of(machine: Machine, kernel: Kernel, wanted: str | None) -> str:
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
