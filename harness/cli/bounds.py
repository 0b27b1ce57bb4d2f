"""The bounds of a search, as `explore` and `fuzz` are given them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import NamedTuple

from harness.cli.reglist import mode_of
from harness.cli.term import Terminal
from harness.dsl.reader import read_machine
from harness.errors import HarnessError, nearest, one_of
from harness.model.base import Architecture
from harness.model.exploring import Explorable
from harness.model.world import World
from harness.search.bounds import Bounds

MOST_TASKS, MOST_VCPUS = 20, 20


def add_bounds(parser: argparse.ArgumentParser) -> None:
    """The options that say on what a search goes, all but how far."""
    parser.add_argument(
        "machine",
        metavar="MACHINE",
        nargs="?",
        default="arm64 vhe { sve 16..64 }",
        help="as in a trace (default: 'arm64 vhe { sve 16..64 }')",
    )
    parser.add_argument("features", nargs="*", metavar="FEATURE", help="of the vcpus, such as sve")
    parser.add_argument("--kernel", required=True, metavar="K")
    parser.add_argument("--mode", metavar="M", help="default: the first of the machine that fits")
    parser.add_argument("--cpus", type=int, metavar="N", help="default: the machine's")
    parser.add_argument("--tasks", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument("--vcpus", type=int, default=1, metavar="N", help="default: 1")
    parser.add_argument(
        "--events", metavar="GROUP,...", help="the groups of events to try (`help` lists them)"
    )
    parser.add_argument(
        "--except",
        dest="excepted",
        action="append",
        default=[],
        metavar="KIND",
        help="a kind of violation to pass over",
    )
    parser.add_argument("-o", dest="folder", metavar="DIR", help="write the traces into DIR")


class Place(NamedTuple):
    """Where a search goes on."""

    arch: Architecture
    explorable: Explorable
    bounds: Bounds


def bounds_of(args: argparse.Namespace, depth: int, usual: bool = True) -> Place:
    """What the options say, with the usual groups of events or with all. Raises HarnessError."""
    machine = read_machine(args.machine, args.features)
    arch = machine.arch
    explorable = arch.explorable
    if explorable is None:
        raise HarnessError(f"nobody has said yet which events {arch.name} has")
    tasks = within("--tasks", args.tasks, 1, MOST_TASKS)
    vcpus = within("--vcpus", args.vcpus, 0, MOST_VCPUS)
    settings = dict(machine.world.settings)
    if args.cpus is not None:
        most = arch.settings["cpus"].highest
        settings["cpus"] = (within("--cpus", args.cpus, 1, most),) * 2
    names = [chr(ord("A") + n) for n in range(tasks)]
    groups = tuple(explorable.usual if usual else explorable.groups)
    if args.events is not None and args.events != "help":
        asked = tuple(name for name in args.events.split(",") if name)
        groups = named("--events", asked, explorable.groups) or groups
    world = World(
        settings,
        tuple((name, 0 if n == 0 else -1) for n, name in enumerate(names)),
        ("CHILD",) if "life" in groups else (),
        tuple((f"v{n}", names[n % tasks], tuple(args.features)) for n in range(vcpus)),
        machine.world.words,
    )
    kernel = arch.catalogue.kernel(args.kernel)
    excepted = named("--except", args.excepted, arch.invariants)
    mode = mode_of(machine._replace(world=world), kernel, args.mode)
    bounds = Bounds(arch.name, kernel, mode, world, groups, depth, excepted=excepted)
    return Place(arch, explorable, bounds)


def within(name: str, n: int, low: int, high: int) -> int:
    """A number that an option can take. Raises HarnessError."""
    if not low <= n <= high:
        raise HarnessError(f"{name} {n}: expected {low} to {high}")
    return n


def named(option: str, names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Names that an option can take. Raises HarnessError."""
    for name in names:
        if name not in known:
            hint = nearest(name, known) or f": expected {one_of(known)}"
            raise HarnessError(f"{option} {name[:40]!r}{hint}")
    return tuple(names)


def print_groups(explorable: Explorable, out: Terminal) -> None:
    """What `--events help` lists."""
    width = max(map(len, explorable.groups))
    for name, what in explorable.groups.items():
        usual = "" if name in explorable.usual else " (only if it is named)"
        out.line(f"{name:<{width}}  {what}{usual}")
