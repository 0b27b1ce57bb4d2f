"""`kvm-replay identify`: which fixes a kernel image has, and which known bugs it can hit."""

from __future__ import annotations

import argparse

from harness.cli.term import Terminal


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "identify",
        help="say which fixes a kernel image has, and which traces it can hit",
        description="Read a vmlinux (symbols, BTF, DWARF, code) or /sys/kernel/btf/vmlinux and say "
        "of every fix: present, absent or unknown, with the evidence; then which traces show a bug "
        "on that kernel, which do not, and which depend on an unknown. The version in its banner "
        "is no evidence. docs/identify.md says more.",
    )
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("--layout", action="store_true", help="where the state lies, instead")
    parser.add_argument("--diff", metavar="OTHER", help="how OTHER differs, instead")
    parser.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="only what differs from the nearest known kernel, and the traces",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    from harness.cli import identified  # reads images and rules, which nothing else needs

    return identified.run(args, out)
