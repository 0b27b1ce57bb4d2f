"""A search that was stopped, at any moment and in any way, goes on from its last checkpoint.

The file has one line of JSON (what is searched, how far), then the states as they were
found, then a digest of all that. It is written as a whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from harness import __version__
from harness.errors import HarnessError
from harness.files import replacing
from harness.reading import open_regular
from harness.resources import display
from harness.search.bounds import Bounds
from harness.search.explore import Search
from harness.search.play import way_of
from harness.search.sources import digest, patches
from harness.search.visited import Visited

MAGIC = "kvm-replay explore 3"
MAX_HEAD = 16 << 20  # bytes of the first line
_DIGEST = 32  # bytes
_TALLY = ("transitions", "depth", "start", "at", "end", "seconds")
_COLUMNS = "QIH"  # the table of fingerprints; of each state, the one before, the event


def _what(search: Search) -> dict[str, object]:
    """What is searched: a checkpoint of something else is of no use."""
    bounds: Bounds = search.bounds
    fixes = [sorted(k.fixes) for k in (bounds.kernel, bounds.other) if k is not None]
    events = repr((search.explorer.events, fixes, bounds.world))
    return {
        "version": __version__,
        "sources": digest(),
        "patches": patches(),
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
        "tally": {name: getattr(tally, name) for name in _TALLY},
        "found": [(parent, event) for _, parent, event in tally.found.values()],
        "costs": [(parent, event) for _, parent, event in tally.costs.values()],
    }
    line = json.dumps(head).encode() + b"\n"
    whole = hashlib.blake2b(line, digest_size=_DIGEST)
    with replacing(path) as file:
        file.write(line)
        for column in (tree.visited.table, tree.parents, tree.ways):
            whole.update(column)
            file.write(memoryview(column).cast("B"))
        file.write(whole.digest())


class _Damaged(Exception):
    """A checkpoint that does not say what one can say."""


def _need(true: bool, what: str) -> None:
    if not true:
        raise _Damaged(what)


def resumed(search: Search, path: Path) -> bool:
    """Go on from a checkpoint; False if there is none.

    Raises HarnessError for one that is damaged, of another search or of another model.
    """
    shown = display(path)
    try:
        with open_regular(path) as file:
            head, columns = _read(search, file)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HarnessError(f"{shown}: {error.strerror}") from None
    except _Other as other:
        raise HarnessError(f"{shown}: {other}") from None
    except (_Damaged, ValueError, KeyError, TypeError, EOFError, RecursionError) as error:
        why = f" ({error})" if isinstance(error, _Damaged) else ""
        raise HarnessError(f"{shown}: no checkpoint of kvm-replay explore{why}") from None
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


class _Other(Exception):
    """A checkpoint of another search, or of another model."""


def _read(search: Search, file: BinaryIO) -> tuple[dict[str, Any], list[array[int]]]:
    """The head and the columns of a checkpoint that this search can go on from.

    Nothing is taken from the file before the digest is right, and nothing is believed that
    would make the search endless.
    """
    size = os.fstat(file.fileno()).st_size
    line = file.readline(MAX_HEAD)
    head = json.loads(line)
    _need(isinstance(head, dict) and str(head.get("is", "")).startswith(MAGIC[:-1]), "not one")
    if head["is"] != MAGIC:
        raise _Other(f"a checkpoint of another version of kvm-replay explore: {head['is']!r:.40}")
    lengths = head["lengths"]
    _need(_counts(lengths) and len(lengths) == len(_COLUMNS), "lengths")
    sizes = [n * array(c).itemsize for n, c in zip(lengths, _COLUMNS, strict=True)]
    _need(len(line) + sum(sizes) + _DIGEST == size, "its length is wrong")
    if size > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise _Other("a checkpoint larger than this machine's memory")
    whole = hashlib.blake2b(line, digest_size=_DIGEST)
    columns = []
    for code, many in zip(_COLUMNS, lengths, strict=True):
        column = array(code)
        column.fromfile(file, many)
        whole.update(column)
        columns.append(column)
    _need(file.read() == whole.digest(), "damaged: its digest is wrong")
    _compare(search, head["what"])
    _check(search, head, columns)
    return head, columns


def _compare(search: Search, theirs: dict[str, object]) -> None:
    mine = _what(search)
    if theirs["patches"] != mine["patches"]:
        raise _Other("a checkpoint of another model: the --model files were others; start anew")
    if theirs["sources"] != mine["sources"]:
        raise _Other(
            "a checkpoint of another model: kvm-replay itself has changed since; start anew"
        )
    for name, value in mine.items():
        if theirs.get(name) != value:
            raise _Other(
                f"a checkpoint of another search: {name} was {theirs.get(name)}, is {value}"
            )


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and n >= 0 for n in values)


def _check(search: Search, head: dict[str, Any], columns: list[array[int]]) -> None:
    """Whatever made the file: the search must be able to go on from it, and to end."""
    table, parents, ways = columns
    many, events = len(parents), len(search.explorer.events)
    slots = len(table)
    _need(many > 0 and len(ways) == many, "no states")
    _need(slots & (slots - 1) == 0 and many * 3 <= slots * 2, "its table is too small")
    _need(slots - table.count(0) == many, "its table is of other states")
    _need(all(parent < n for n, parent in enumerate(parents) if n), "a way without a beginning")
    _need(parents[0] == 0 and max(ways) < events, "an event that does not exist")
    tally = head["tally"]
    _need(set(tally) == set(_TALLY), "tally")
    _need(_counts([tally[name] for name in _TALLY if name != "seconds"]), "tally")
    _need(type(tally["seconds"]) in (int, float) and 0 <= tally["seconds"] < 1e12, "seconds")
    _need(tally["start"] <= tally["at"] <= tally["end"] <= many, "tally")
    for name in ("found", "costs"):
        for pair in head[name]:
            _need(_counts(pair) and len(pair) == 2, name)
            _need(pair[0] < many and pair[1] < events, name)
