"""A search that was stopped, at any moment and in any way, goes on from its last checkpoint.

The file has one line of JSON (what is searched, how far), then the states as they were
found. It is written as a whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from harness import __version__
from harness.errors import HarnessError
from harness.files import replacing
from harness.resources import display
from harness.search.bounds import Bounds
from harness.search.explore import Search
from harness.search.play import way_of
from harness.search.visited import Visited

MAGIC = "kvm-replay explore 2"
_COLUMNS = "QIH"  # the table of fingerprints; of each state, the one before, the event


def _what(search: Search) -> dict[str, object]:
    """What is searched: a checkpoint of something else is of no use."""
    bounds: Bounds = search.bounds
    fixes = [sorted(k.fixes) for k in (bounds.kernel, bounds.other) if k is not None]
    events = repr((search.explorer.events, fixes, bounds.world))
    return {
        "version": __version__,
        "arch": bounds.arch,
        "kernel": bounds.kernel.name,
        "other": bounds.other.name if bounds.other else None,
        "mode": bounds.mode,
        "groups": list(bounds.groups),
        "budget": list(bounds.budget),
        "noted": list(bounds.noted),
        "excepted": list(bounds.excepted),
        "symmetry": bounds.symmetry,
        "commuting": bounds.commuting,
        "every": search.every,
        "digest": hashlib.blake2b(events.encode(), digest_size=8).hexdigest(),
    }


def keep(path: Path, seconds: float) -> Callable[[Search], None]:
    """What writes a checkpoint, if the last one is so old."""
    last = time.monotonic()

    def after_batch(search: Search) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            save(search, path)
            last = time.monotonic()

    return after_batch


def save(search: Search, path: Path) -> None:
    """Write a checkpoint in place of the one before."""
    tally, tree = search.tally, search.tree
    head = {
        "is": MAGIC,
        "what": _what(search),
        "lengths": [len(tree.visited.table), len(tree), len(tree)],
        "tally": {
            name: getattr(tally, name)
            for name in ("transitions", "depth", "start", "at", "end", "seconds")
        },
        "found": [(parent, event) for _, parent, event in tally.found.values()],
        "costs": [(parent, event) for _, parent, event in tally.costs.values()],
    }
    with replacing(path) as file:
        file.write(json.dumps(head).encode() + b"\n")
        for column in (tree.visited.table, tree.parents, tree.ways):
            file.write(memoryview(column).cast("B"))


def resumed(search: Search, path: Path) -> bool:
    """Go on from a checkpoint; False if there is none. Raises HarnessError for another's."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HarnessError(f"{display(path)}: {error.strerror}") from None
    line, _, rest = data.partition(b"\n")
    try:
        head = json.loads(line)
        lengths, whole = head["lengths"], head["is"] == MAGIC
        sizes = [n * array(c).itemsize for n, c in zip(lengths, _COLUMNS, strict=True)]
    except (ValueError, KeyError, TypeError):
        whole, sizes = False, []
    if not whole or len(rest) != sum(sizes):
        raise HarnessError(f"{display(path)}: no checkpoint of kvm-replay explore")
    mine = _what(search)
    for name, value in head["what"].items():
        if mine.get(name) != value:
            raise HarnessError(
                f"{display(path)}: a checkpoint of another search: {name} was {value}, is "
                f"{mine.get(name)}"
            )
    columns = []
    for code, size in zip(_COLUMNS, sizes, strict=True):
        columns.append(array(code, rest[:size]))
        rest = rest[size:]
    search.tree.visited = Visited.of(columns[0])
    search.tree.parents, search.tree.ways = columns[1:]
    for name, value in head["tally"].items():
        setattr(search.tally, name, value)
    for parent, event in head["found"]:
        for violation in search.explorer.again(search.tree, parent, event)[0]:
            search.tally.found.setdefault(way_of(violation), (violation, parent, event))
    for parent, event in head["costs"]:
        for cost in search.explorer.again(search.tree, parent, event)[1]:
            search.tally.costs.setdefault(cost.what, (cost, parent, event))
    return True
