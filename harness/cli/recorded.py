"""What `kvm-replay import` and `kvm-replay conform` share: options, and what a recording is of."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from types import ModuleType

from harness.capture import known, of
from harness.capture.evidence import Evidence
from harness.capture.text import Line, Recording
from harness.cli.term import Bar
from harness.errors import HarnessError, nearest, one_of
from harness.model import ARCHITECTURES, architecture
from harness.model.catalogue import Catalogue, Kernel

_PARSED = 10_000  # lines between two reports of progress


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("capture", metavar="CAPTURE", help="the recording")
    parser.add_argument(
        "--arch", choices=ARCHITECTURES, help="default: the one whose recordings are read"
    )
    parser.add_argument("--mode", metavar="MODE", help="default: as the recording shows")
    parser.add_argument(
        "--machine",
        metavar="SETTINGS",
        help="of a machine line, such as 'cpus 2; sve 16..256' (default: as the recording shows)",
    )


def watched(recording: Recording, what: str) -> Iterator[Line]:
    """The lines of a recording, with progress on a terminal."""
    bar = Bar()
    for n, line in enumerate(recording.lines()):
        if n % _PARSED == 0:
            bar.show(f"{what} {100 * recording.progress:3.0f}% line {line.number}")
        yield line
    bar.end()


def mode_of(args: argparse.Namespace, tools: ModuleType, shown: str) -> str:
    if args.mode is None:
        return shown
    if args.mode not in tools.MODES:
        hint = nearest(args.mode, tools.MODES)
        raise HarnessError(f"--mode {args.mode}: unknown{hint}; one of {', '.join(tools.MODES)}")
    mode: str = args.mode
    return mode


def unsaid(tools: ModuleType, mode: str) -> tuple[str, ...]:
    """What has to be known for a verdict, and neither the recording nor the user has said."""
    if mode != tools.UNKNOWN:
        return ()
    return (f"nothing in it shows how KVM ran: give --mode {one_of(tools.MODES)}",)


def refuse_foreign(args: argparse.Namespace, foreign: str | None) -> None:
    """Raise HarnessError for a recording of another architecture."""
    if foreign is not None:
        raise HarnessError(
            f"{args.capture}: this is a recording of {foreign}; only those of "
            f"{one_of(known())} are read"
        )


def architecture_of(args: argparse.Namespace) -> tuple[str, ModuleType]:
    """The architecture that the recording is of, and what reads it."""
    names = known()
    if args.arch is None and len(names) != 1:
        raise HarnessError(f"--arch: expected {one_of(names)}, of which there are recordings")
    name = args.arch or names[0]
    return name, of(name)


def settings_of(
    arch: str, tools: ModuleType, text: str | None, shown: dict[str, tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    cpus, most = shown["cpus"][1], architecture(arch).settings["cpus"].highest
    if cpus > most:
        raise HarnessError(f"the recording has events of {cpus} CPUs; the model has {most} at most")
    if text is None:
        return shown
    found = dict(shown)
    for part in filter(None, (p.strip() for p in text.split(";"))):
        name, _, value = part.partition(" ")
        low, _, high = value.strip().partition("..")
        try:
            found[name] = int(low), int(high or low)
        except ValueError:
            raise HarnessError(f"--machine: expected NAME NUMBER[..NUMBER], not {part!r}") from None
        if name not in tools.SETTINGS:
            raise HarnessError(f"--machine: {name!r} is none of {', '.join(tools.SETTINGS)}")
    if found["cpus"][1] < shown["cpus"][1]:
        raise HarnessError(f"--machine: the recording has events of {shown['cpus'][1]} CPUs")
    return found


def check_built(
    catalogue: Catalogue, kernels: list[Kernel], settings: dict[str, tuple[int, int]]
) -> None:
    """Raise HarnessError for a kernel that cannot have made a recording on such a machine."""
    for kernel in kernels:
        for build in catalogue.unbuilt(kernel.fixes):
            if build.setting in settings:
                raise HarnessError(
                    f"{kernel.name} is not built with {build.option}, and the recording shows "
                    f"{build.setting}: give --kernel {kernel.name}+{build.built}"
                )


def too_little(evidence: Evidence) -> list[str]:
    return [f"too little evidence: {reason}" for reason in evidence.reasons]
