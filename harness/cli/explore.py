"""`kvm-replay explore`: every legal sequence of events up to a bound."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
from collections.abc import Callable
from pathlib import Path

from harness.cli.bounds import Place, add_bounds, bounds_of, named, print_groups, within
from harness.cli.found import plain_found, print_found, write_found
from harness.cli.term import Bar, Terminal
from harness.dsl.heading import settings
from harness.errors import HarnessError
from harness.model.catalogue import Kernel
from harness.search.bounds import DEEPEST, MOST_ORDERS, Bounds, orders
from harness.search.cluster import ClusterSearch, connect
from harness.search.discovery import written
from harness.search.explore import Search, summary
from harness.search.parallel import ParallelSearch
from harness.search.resume import keep, resumed, save

SECONDS = 10.0  # between two checkpoints, at the least


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "explore",
        help="try every legal sequence of events up to a bound",
        description="Search all that can happen on a kernel within some bounds, breadth first, "
        "for a violation of an invariant: the first one found is one of the shortest. Each is "
        "written as a trace, ready for review. Exit status 0 if there is none, 1 if there is one.",
    )
    add_bounds(parser)
    parser.add_argument(
        "--depth",
        default="8",
        metavar="N",
        help="events, or `any`: until nothing is left to try; default: 8",
    )
    parser.add_argument(
        "--budget",
        action="append",
        default=[],
        metavar="COUNTER",
        help="a cost that must not arise, such as reloads; with --with or --without, one that "
        "must not differ",
    )
    parser.add_argument(
        "--with", dest="added", metavar="FIX", help="find what tells the kernel from it with FIX"
    )
    parser.add_argument("--without", dest="removed", metavar="FIX", help="the same, without FIX")
    parser.add_argument(
        "--all",
        action="store_true",
        help="go on to the depth: each kind of violation and register once, not the first level "
        "alone",
    )
    parser.add_argument("-j", dest="jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a dask cluster to search on: tcp://HOST:8786"
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="keep there how far the search is, and go on from it if there is such a file",
    )
    parser.add_argument(
        "--no-symmetry", action="store_true", help="take states apart that differ in names alone"
    )
    parser.add_argument(
        "--no-commuting", action="store_true", help="try events of different CPUs in every order"
    )
    parser.add_argument(
        "--verify",
        type=int,
        default=0,
        metavar="N",
        help="run the model again for every N-th step that is known, and compare",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, out: Terminal) -> int:
    place = bounds_of(args, _depth(args.depth))
    if args.events == "help":
        print_groups(place.explorable, out)
        return 0
    budget = named("--budget", args.budget, place.arch.counters)
    other = _other(place, args)
    noted = () if other or "cost" in place.bounds.excepted else place.explorable.waste
    bounds = dataclasses.replace(
        place.bounds,
        budget=budget,
        noted=tuple(name for name in noted if name not in budget),
        other=other,
        symmetry=not args.no_symmetry,
        commuting=not args.no_commuting,
        verify=within("--verify", args.verify, 0, 1 << 30),
    )
    many = orders(bounds.world)
    if bounds.symmetry and many > MOST_ORDERS:
        raise HarnessError(
            f"CPUs, tasks and vcpus can be put in {many} orders: expected {MOST_ORDERS} at most, "
            "or --no-symmetry"
        )
    jobs = within("-j", args.jobs, 1, 256)
    if args.scheduler is not None and jobs > 1:
        raise HarnessError("--scheduler and -j do not go together")
    client = None if args.scheduler is None else connect(args.scheduler)
    if client is not None:
        search: Search = ClusterSearch(bounds, args.all, client)
    else:
        search = Search(bounds, args.all) if jobs == 1 else ParallelSearch(bounds, args.all, jobs)
    bar = Bar()
    search.after_batch.append(_shown(bar))
    if args.checkpoint is not None:
        path = Path(args.checkpoint)
        resumed(search, path)
        save(search, path)  # before hours are spent on what cannot be kept
        search.after_batch.append(keep(path, SECONDS))
    # Nothing here makes cycles, and there are many objects to look through.
    gc.disable()
    interrupted = False
    try:
        search.run()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        gc.enable()
        bar.end()
        if client is not None:
            client.close()
    found, costs = search.found(), search.costs()
    texts = ["\n".join(written(bounds, one)) + "\n" for one in (*found, *costs)]
    paths = write_found(args.folder, [*found, *costs], texts)
    line = summary(bounds, search.tally, len(search.tree))
    if args.json:
        out.line(
            json.dumps(
                _plain(bounds, search, texts) | {"interrupted": interrupted},
                indent=1,
                sort_keys=True,
            )
        )
    else:
        print_found(out, bounds, [*found, *costs], texts, paths)
        line = f"{bounds.kernel.name} {bounds.mode}: {'interrupted: ' if interrupted else ''}{line}"
        out.line(out.paint(line, "bold"))
    if interrupted:
        return 130
    return 1 if found else 0


def _depth(text: str) -> int:
    """So many events; `any` is more than there are states in a row."""
    if text == "any":
        return DEEPEST
    if not text.isdecimal():
        raise HarnessError(f"--depth {text[:40]!r}: expected 1 to {DEEPEST}, or any")
    return within("--depth", int(text), 1, DEEPEST)


def _other(place: Place, args: argparse.Namespace) -> Kernel | None:
    """The kernel to compare with."""
    if args.added is None and args.removed is None:
        return None
    bounds, name = place.bounds, place.bounds.kernel.name
    for sign, fix in (("+", args.added), ("-", args.removed)):
        if fix is None:
            continue
        as_it_is = sign == "+" and fix.startswith("++")
        name = place.arch.catalogue.edited(name, "++" if as_it_is else sign, fix.lstrip("+"))
    other = place.arch.catalogue.kernel(name)
    why = place.arch.unsupported(other, bounds.mode, bounds.world)
    if why:
        raise HarnessError(f"{other.name} {bounds.mode}: {why}")
    return other


def _shown(bar: Bar) -> Callable[[Search], None]:
    """What shows how far a search is."""

    def after_batch(search: Search) -> None:
        tally = search.tally
        done = (tally.at - tally.start) * 100 // max(1, tally.end - tally.start)
        bar.show(f"depth {tally.depth + 1}: {done}%, {len(search.tree)} states")

    return after_batch


def _plain(bounds: Bounds, search: Search, texts: list[str]) -> dict[str, object]:
    tally, found = search.tally, search.found()
    return {
        "schema": "kvm-replay/explore/1",
        "kernel": bounds.kernel.name,
        "other": None if bounds.other is None else bounds.other.name,
        "mode": bounds.mode,
        "machine": settings(bounds.world.settings, bounds.world.words),
        "tasks": [*(name for name, _ in bounds.world.tasks), *bounds.world.unborn],
        "vcpus": {name: list(features) for name, _, features in bounds.world.vcpus},
        "events": list(bounds.groups),
        "excepted": list(bounds.excepted),
        "depth": tally.depth,
        "exhausted": tally.exhausted,
        "states": len(search.tree),
        "transitions": tally.transitions,
        "seconds": round(tally.seconds, 2),
        "bytes_a_state": round(search.tree.size / len(search.tree), 1),
        "found": plain_found(bounds, found, texts[: len(found)]),
        "costs": plain_found(bounds, search.costs(), texts[len(found) :]),
    }
