"""`kvm-replay fuzz`: random walks, far beyond what can be exhausted."""

from __future__ import annotations

import argparse
import itertools
import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from harness.cli.bounds import add_bounds, bounds_of, print_groups, within
from harness.cli.found import plain_found, print_found, write_found
from harness.cli.jobs import worth
from harness.cli.term import Bar, Terminal, aside
from harness.errors import HarnessError
from harness.search.bounds import Bounds, Found
from harness.search.cluster import cluster_walks, connect
from harness.search.discovery import written
from harness.search.fuzz import LONGEST, Walk, walks
from harness.search.play import Way, way_of

SEARCH = 20.0  # seconds, for a trace that is shorter than what is left of a walk
_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "fuzz",
        help="walk at random for a while, and reduce what goes wrong",
        description="Walk at random through what can happen on a kernel, for some time or so "
        "many walks. Each way in which an invariant is violated is told once, as a trace that is "
        "reduced and ready for review. The same seed walks the same walks. Ctrl-C ends it with "
        "what was found so far. Exit status 0 if nothing was, 1 if something was.",
    )
    add_bounds(parser)
    parser.add_argument(
        "--for", dest="time", metavar="TIME", help="such as 60s, 10min or 1h (default: 60s)"
    )
    parser.add_argument("--walks", type=int, metavar="N", help="so many walks instead")
    parser.add_argument(
        "--length", type=int, default=500, metavar="N", help="events of a walk; default: 500"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="default: another one each time")
    parser.add_argument("-j", dest="jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a dask cluster to walk on: tcp://HOST:8786"
    )
    parser.add_argument(
        "--drive",
        type=int,
        metavar="N",
        help="N random traces on a real kernel under QEMU instead (docs/on-a-machine.md): what "
        "programs and guests read there is compared with the model",
    )
    parser.add_argument(
        "--rig", metavar="K", help="with --drive: what to boot (default: the series of --kernel)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=run)


@dataclass(slots=True)
class _Tally:
    """What the walks have come to; for each way, the walk that went it and how."""

    walks: int = 0
    events: int = 0
    found: dict[Way, tuple[int, Found]] = field(default_factory=dict)

    def take(self, walk: Walk) -> None:
        self.walks += 1
        self.events += walk.length
        for one in walk.found:
            self.found.setdefault(way_of(one.violation), (walk.number, one))


def run(args: argparse.Namespace, out: Terminal) -> int:
    if args.drive is not None:
        from harness.cli.fuzz_drive import run_drive  # nobody else needs a rig

        return run_drive(args, out)
    place = bounds_of(args, within("--length", args.length, 1, LONGEST), usual=False)
    if args.events == "help":
        print_groups(place.explorable, out)
        return 0
    if args.time is not None and args.walks is not None:
        raise HarnessError("--for and --walks do not go together")
    bounds, tally = place.bounds, _Tally()
    jobs = within("-j", args.jobs, 1, 256)
    if args.scheduler is not None and jobs > 1:
        raise HarnessError("--scheduler and -j do not go together")
    seed = secrets.randbits(32) if args.seed is None else args.seed
    began, bar = time.monotonic(), Bar()
    search = SEARCH
    try:
        for walk in _walks(args, bounds, seed, _numbers(args, began), jobs):
            tally.take(walk)
            bar.show(f"{tally.walks} walks, {tally.events} events, {len(tally.found)} found")
    except KeyboardInterrupt:
        search = 0.0
        bar.end()
        if tally.found:
            aside("interrupted; what was found is reduced (again Ctrl-C: as far as it is)")
    seconds = time.monotonic() - began
    found = [one for _, one in tally.found.values()]
    texts: list[str] = []
    try:
        for n, one in enumerate(found):
            bar.show(f"reducing {n + 1} of {len(found)}: {len(one.events)} events")
            texts.append("\n".join(written(bounds, one, f"fuzz --seed {seed}", search)) + "\n")
    except KeyboardInterrupt:
        found = found[: len(texts)]
        aside(f"interrupted; {len(tally.found) - len(found)} of what was found are left out")
    bar.end()
    paths = write_found(args.folder, found, texts)
    if args.json:
        told = plain_found(bounds, found, texts)
        for story, (number, _) in zip(told, tally.found.values(), strict=False):
            story["walk"] = number
        plain = {
            "schema": "kvm-replay/fuzz/1",
            "kernel": bounds.kernel.name,
            "mode": bounds.mode,
            "seed": seed,
            "length": bounds.depth,
            "walks": tally.walks,
            "events": tally.events,
            "seconds": round(seconds, 2),
            "found": told,
        }
        out.line(json.dumps(plain, indent=1, sort_keys=True))
    else:
        print_found(out, bounds, found, texts, paths)
        what = f"{len(found) or 'no'} violation{'' if len(found) == 1 else 's'}"
        rate = tally.events / seconds
        text = f"{what} in {tally.walks} walks of up to {bounds.depth} events with --seed {seed}: "
        text += f"{tally.events} events, {seconds:.1f} s, {rate:.0f} events/s"
        out.line(out.paint(f"{bounds.kernel.name} {bounds.mode}: {text}", "bold"))
    return 1 if found else 0


def _walks(
    args: argparse.Namespace, bounds: Bounds, seed: int, numbers: Iterator[int], jobs: int
) -> Iterator[Walk]:
    if args.scheduler is None:
        many = jobs if args.walks is None else worth(jobs, args.walks)
        yield from walks(bounds, seed, numbers, many)
        return
    with closing(connect(args.scheduler)) as client:
        yield from cluster_walks(client, bounds, seed, numbers)


def _numbers(args: argparse.Namespace, began: float) -> Iterator[int]:
    """The numbers of walks that are yet to begin."""
    if args.walks is not None:
        yield from range(within("--walks", args.walks, 1, 10**9))
        return
    end = began + _seconds(args.time or "60s")
    for number in itertools.count():
        if time.monotonic() >= end:
            return
        yield number


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-z]*)", text)
    if match is None or match[2] not in _UNITS or not float(match[1]):
        raise HarnessError(f"--for {text[:40]!r}: expected a time such as 60s, 10min or 1h")
    return float(match[1]) * _UNITS[match[2]]
