"""`kvm-replay probes`: the commands that record a kernel, and what they cannot record."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from harness.capture.commands import BUFFER_KB, EVENTS, Stateful, notes, script
from harness.capture.probes import Plan, plan, wanted
from harness.capture.state import Offset, check_size, probes_of, state_of
from harness.capture.symbols import Symbols, image_symbols, is_text, read_symbols
from harness.cli.term import Terminal
from harness.errors import HarnessError, one_of
from harness.image import Image
from harness.model import ARCHITECTURES, architecture
from harness.model.base import Architecture
from harness.model.probing import Probing

_MOST_CPUS = 4096


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "probes",
        help="print the commands that record a kernel",
        description="Print a script that records what `conform` compares, for the kernel that "
        "FILE is of, with comments on what it cannot record: the functions of the model that are "
        "inlined there, or run where no tracer reaches, and what shows them instead.",
    )
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="a vmlinux, /proc/kallsyms, a System.map or available_filter_functions",
    )
    parser.add_argument(
        "--state",
        action="store_true",
        help="kprobes that record the state beside every call, instead of the function tracer; "
        "FILE is a vmlinux with BTF or DWARF",
    )
    parser.add_argument(
        "--types", type=Path, metavar="IMAGE", help="where the layouts are, if not in FILE"
    )
    parser.add_argument(
        "--cpus",
        type=_cpus,
        default=[0, 1],
        metavar="LIST",
        help="with --state: the CPUs whose state is recorded, and the command runs on (0-1)",
    )
    parser.add_argument(
        "--mode", help="with --state: how KVM runs, which says where a kernel since v6.10 has it"
    )
    parser.add_argument("--format", choices=("tracefs", "trace-cmd"), default="tracefs")
    parser.add_argument(
        "--buffer-kb", type=_kilobytes, default=BUFFER_KB, metavar="N", help="for each CPU"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--arch", choices=ARCHITECTURES, help="default: the first that can be")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    arch, probing = _architecture(args.arch)
    mode = args.mode or arch.modes[0]
    if mode not in arch.modes:
        raise HarnessError(f"--mode {mode[:40]!r}: expected {', '.join(arch.modes)}")
    image: Image | None = None
    if is_text(args.file):
        symbols = read_symbols(args.file, wanted(probing))
    else:
        image = Image.open(args.file)
        symbols = image_symbols(image, wanted(probing), probing)
    made = plan(symbols, probing, arch.catalogue)
    stateful, absent = None, list[str]()
    if args.state:
        types = Image.open(args.types) if args.types else image
        stateful, absent = _stateful(made, probing, image, types, args.cpus, mode)
    lines = script(made, probing, args.buffer_kb, stateful, args.format == "trace-cmd")
    if args.json:
        out.line(
            json.dumps(_tree(arch.name, probing, made, stateful, lines), indent=1, sort_keys=True)
        )
        return 0
    for line in lines:
        out.line(line)
    out.line()
    # A comment of a script: nothing in a file's name may end it.
    name = "".join(c if c.isprintable() else "?" for c in symbols.path)
    for line in [f"For {name}:", *notes(made, stateful, absent)]:
        out.line(f"# {line}".rstrip())
    return 0


def _architecture(name: str | None) -> tuple[Architecture, Probing]:
    """The architecture, and what there is to record of it."""
    known = [n for n in ARCHITECTURES if architecture(n).probing is not None]
    if not known:
        raise HarnessError("there is no architecture whose kernels can be recorded")
    arch = architecture(name or known[0])
    if arch.probing is None:
        raise HarnessError(
            f"kernels of {arch.name} are not recorded yet, those of {one_of(known)} are"
        )
    return arch, arch.probing


def _stateful(
    made: Plan,
    probing: Probing,
    image: Image | None,
    types: Image | None,
    cpus: list[int],
    mode: str,
) -> tuple[Stateful, list[str]]:
    symbols = made.symbols
    if types is None:
        raise HarnessError(
            f"--state: {symbols.path} is a list of names: expected a vmlinux with BTF or DWARF, "
            "or one with --types (/sys/kernel/btf/vmlinux)"
        )
    offset = _offsets(types)
    state = state_of(symbols, probing, offset, mode)
    array = probing.areas[""].offsets
    if image is not None and array in image.symbols:
        # What `no CPU` is in the recording: one more than any CPU can be.
        built_for = ("NR_CPUS", image.symbols[array].size // 8)
        state = state._replace(layout=(*state.layout, built_for))
    anchor = symbols.address(probing.anchor)
    if anchor is None or not symbols.located:
        raise HarnessError(
            f"--state: {symbols.path} does not tell where {probing.anchor} is: expected a vmlinux, "
            "or kallsyms read by root"
        )
    areas = {}
    for name in {v.area for v in state.variables}:
        area = probing.areas[name]
        offsets = symbols.address(area.offsets)
        start = symbols.address(area.start) if area.start else 0
        if offsets is None or start is None:
            raise HarnessError(f"--state: {symbols.path} has no {area.offsets}")
        areas[name] = (offsets, start)
    kept = _kept(symbols, probing, image)
    probes, absent = probes_of(made, probing, offset, kept)
    if not probes:
        raise HarnessError(f"--state: {symbols.path} has no function where a probe can be put")
    check_size(probes, state, cpus)
    return Stateful(probes, state, cpus, anchor, areas), absent


def _offsets(image: Image) -> Offset:
    def offset(path: str) -> int | None:
        member = image.member(path)
        return member.offset // 8 if member is not None and member.offset % 8 == 0 else None

    return offset


def _kept(symbols: Symbols, probing: Probing, image: Image | None) -> dict[str, str]:
    """The registers that the compiler has chosen, read from the code."""
    found = {}
    for kept in probing.kept:
        caller, callee = symbols.functions.get(kept.caller), symbols.functions.get(kept.callee)
        if image is not None and caller is not None and callee is not None:
            found[kept.register] = kept.find(image.words(kept.caller), callee - caller)
    return found


def _tree(
    arch: str, probing: Probing, made: Plan, stateful: Stateful | None, lines: list[str]
) -> dict[str, object]:
    tree: dict[str, object] = {
        "schema": "kvm-replay/probes/1",
        "arch": arch,
        "file": made.symbols.path,
        "kind": made.symbols.kind,
        "recorded": [
            {
                "function": f.function,
                "symbol": f.symbol,
                "kprobe": not f.no_kprobe,
                "part": f.part,
                "hyp_twin": f.twin,
            }
            for f in made.found
        ],
        "not_recorded": [m._asdict() for m in made.missing],
        "events": [*EVENTS, *probing.events],
        "commands": lines,
    }
    if stateful is not None:
        tree["state"] = {
            "probes": [str(p) for p in stateful.probes],
            "fields": list(stateful.state.fields),
            "missing": list(stateful.state.missing),
            "layout": dict(stateful.state.layout),
            "variables": {v.name: f"{v.address:#x}" for v in stateful.state.variables},
        }
    return tree


def _cpus(text: str) -> list[int]:
    """`0-3,8` as a list."""
    cpus: list[int] = []
    for part in text.split(","):
        low, dash, high = part.partition("-")
        if not (low.isdecimal() and (high.isdecimal() if dash else not high)):
            raise argparse.ArgumentTypeError(f"expected CPUs like 0-3,8, not {text[:40]!r}")
        if len(high or low) > 4 or int(high or low) >= _MOST_CPUS or int(high or low) < int(low):
            raise argparse.ArgumentTypeError(f"no such range of CPUs: {part[:40]!r}")
        cpus += range(int(low), int(high or low) + 1)
    return sorted(set(cpus))


def _kilobytes(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:12]) <= 1 << 24:
        raise argparse.ArgumentTypeError(f"expected kilobytes, 1 to {1 << 24}, not {text[:40]!r}")
    return int(text)
