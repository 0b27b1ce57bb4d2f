"""`kvm-replay fuzz --drive`: random traces on a real kernel under QEMU."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import files
from harness.cli.conform_log import differences, read
from harness.cli.term import Bar, Terminal, aside
from harness.drive.campaign import BATCH, Plan, Tally, hold, random_tests, reduced
from harness.drive.script import Driven, Log, written
from harness.dsl.reader import read_machine
from harness.errors import HarnessError, one_of
from harness.model.catalogue import Kernel as Modelled
from harness.rig.boot import Job, boot
from harness.rig.debian import SUITES, busybox, fetch
from harness.rig.emulator import emulator
from harness.rig.initramfs import initramfs
from harness.rig.machine import MODES, Cpu
from harness.rig.programs import programs

_TIMEOUT = 1800  # seconds, for a boot with BATCH traces


def run_drive(args: argparse.Namespace, out: Terminal) -> int:
    if args.drive < 1:
        raise HarnessError(f"--drive {args.drive}: expected a number of traces, 1 or more")
    machine = read_machine(args.machine, ())
    kernel = machine.arch.catalogue.kernel(args.kernel)
    mode = args.mode or next((m for m in machine.modes if m in MODES), "")
    if mode not in MODES or mode not in machine.modes:
        raise HarnessError(f"--mode {mode or '?'}: {args.machine} is of {'/'.join(machine.modes)}")
    settings = {name: two for name, two in machine.world.settings.items() if name != "cpus"}
    why = machine.arch.unsupported(kernel, mode, machine.world)
    if why:
        raise HarnessError(f"{kernel.name}: {why}")
    seed = secrets.randbits(32) if args.seed is None else args.seed
    plan = Plan(machine.arch.name, kernel, mode, settings, seed)
    tally, began, bar = Tally(), time.monotonic(), Bar()
    with _machine(args, plan) as run:
        tests = itertools.islice(random_tests(plan), args.drive)
        with contextlib.suppress(KeyboardInterrupt):
            while batch := list(itertools.islice(tests, BATCH)):
                odd = hold(plan, run(batch), tally)
                if odd:
                    aside(f"kvm-replay: {len(odd)} traces differ, and are reduced on the machine")
                try:
                    tally.differ += reduced(plan, odd, run)
                except (KeyboardInterrupt, HarnessError) as why:
                    tally.differ += odd  # as they are
                    if isinstance(why, KeyboardInterrupt):
                        raise
                    aside(f"kvm-replay: {why}")
                bar.show(f"{tally.traces} traces, {tally.reads} reads, {len(tally.differ)} differ")
        bar.end()
    seconds = time.monotonic() - began
    if args.json:
        out.line(json.dumps(_tree(plan, tally, seconds), indent=1))
    else:
        _report(out, plan, tally, seconds)
    if args.folder:
        _write(Path(args.folder), tally)
    return 0 if _quiet(tally) else 1


@contextlib.contextmanager
def _machine(args: argparse.Namespace, plan: Plan) -> Iterator[Callable[[Sequence[Driven]], Log]]:
    """What carries tests out: a boot for each batch."""
    kernel = fetch(_series(args, plan.kernel), False, lambda text: aside(f"kvm-replay: {text}"))
    initrd = initramfs(kernel, busybox(), programs(None))
    has = plan.settings
    flags = {name: bool(has.get(name, (0, 0))[1]) for name in ("sme2", "fa64", "fpmr")}
    cpu = Cpu(has.get("sve"), has.get("sme"), **flags)
    if not cpu.fpmr:
        cpu = cpu._replace(fpmr=None)
    machine = emulator(None, cpu, lambda text: aside(f"kvm-replay: {text}"))
    with files.folder("kvm-replay-drive-") as place:

        def run(tests: Sequence[Driven]) -> Log:
            script = Path(place) / "random.script"
            lines = written(tests, f"{plan.kernel.name} {plan.mode}")
            files.write(script, "\n".join(lines) + "\n")
            outcome = boot(
                Job(
                    kernel=kernel,
                    initrd=initrd,
                    emulator=machine,
                    mode=plan.mode,
                    cpu=cpu,
                    scripts=[script],
                    probes=None,
                    timeout=_TIMEOUT,
                    folder=Path(place) / "out",
                )
            )
            for line in outcome.trouble[:10]:
                aside(f"kvm-replay: the kernel complains: {line[:200]}")
            return read(str(Path(place) / "out" / "random.log"))

        yield run


def _series(args: argparse.Namespace, kernel: Modelled) -> str:
    """The kernel to boot: as asked, or the one that the model's is of."""
    if args.rig is not None:
        return str(args.rig)
    number = kernel.name.removeprefix("debian-").removeprefix("v")
    series = ".".join(number.split("+")[0].split("-")[0].split(".")[:2])
    if series not in SUITES:
        hint = f"give --rig {one_of(SUITES)}"
        raise HarnessError(f"{kernel.name}: Debian has no such series: {hint}")
    return series


def _quiet(tally: Tally) -> bool:
    return bool(tally.compared) and not (tally.differ or tally.lost or tally.cut)


def _report(out: Terminal, plan: Plan, tally: Tally, seconds: float) -> None:
    differences(out, tally.differ, 20)
    for test in tally.lost[:5]:
        out.line(f"{test.ran.id}: not carried out to its end: {test.ran.lost}")
    out.line()
    for name in tally.cut:
        out.line(f"{name}: the machine ended within it")
    out.line(
        out.paint(
            f"{plan.kernel.name} {plan.mode}: {tally.traces} traces, {tally.compared} answers "
            f"compared ({tally.reads} reads); {len(tally.differ)} differ, {len(tally.lost)} not "
            f"carried out to their end (seed {plan.seed}, {seconds:.0f} s)",
            "green" if _quiet(tally) else "red",
        )
    )
    if tally.unentitled:
        out.line(
            f"in {len(tally.unentitled)} a program has not got what it is entitled to, as the "
            "model says of this kernel"
        )


def _write(folder: Path, tally: Tally) -> None:
    for test in [*tally.differ, *tally.lost]:
        text = "\n".join(test.trace.source) + "\n"
        files.write(folder / f"{test.ran.id}.trace", text, parents=True)


def _tree(plan: Plan, tally: Tally, seconds: float) -> dict[str, Any]:
    return {
        "schema": "kvm-replay/fuzz-drive/1",
        "kernel": plan.kernel.name,
        "mode": plan.mode,
        "seed": plan.seed,
        "traces": tally.traces,
        "compared": tally.compared,
        "reads": tally.reads,
        "seconds": round(seconds, 1),
        "lost": [
            *({"trace": test.ran.id, "why": test.ran.lost} for test in tally.lost),
            *({"trace": name, "why": "the machine ended within it"} for name in tally.cut),
        ],
        "unentitled": [test.ran.id for test in tally.unentitled],
        "differ": [
            {
                "trace": "\n".join(test.trace.source) + "\n",
                "differs": [
                    {"event": test.trace.source[one.line - 1], **one._asdict()}
                    for one in test.held.differs
                ],
            }
            for test in tally.differ
        ],
    }
