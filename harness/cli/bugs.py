"""What `run` says of a kernel that was asked about: its bugs, and whether they fail the run."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.archs import bad_backports, having
from harness.cli.term import many
from harness.errors import HarnessError
from harness.golden import Result
from harness.model import architecture
from harness.reading import read_regular
from harness.resources import display

if TYPE_CHECKING:
    from harness.search.bugs import Finding

_MOST = 64 << 20  # bytes of a baseline
_SCHEMAS = ("kvm-replay/run/1", "kvm-replay/run-image/1")
_OTHERS = {
    "feature": "kernels differ here, and none is wrong",
    "cost": "it does more than it may",
    "vmm": "the VMM's fault",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--fail-on` and `--baseline`."""
    parser.add_argument(
        "--fail-on",
        choices=("bug", "new", "none"),
        default="none",
        help="with --kernel or --kernel-image: exit with 1 if it has a bug, or a new one: one "
        "that --baseline does not have, or K where K+FIX is judged (default: none)",
    )
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        help="the bugs that are known: what `run --json` has printed of a kernel",
    )


Known = dict[str, set[tuple[str, str, str]]]
"""Trace, mode and invariant of each known bug, by kernel."""


class Gate:
    """Which bugs make the run fail."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.fail_on: str = args.fail_on
        self.known = None if args.baseline is None else _read(Path(args.baseline))
        if not args.kernel and args.kernel_image is None:
            for option in ("fail_on", "baseline"):
                if getattr(args, option) not in (None, "none"):
                    name = option.replace("_", "-")
                    raise HarnessError(f"--{name} belongs to --kernel or --kernel-image")
        if self.known is None and self.fail_on == "new" and not all(map(_edited, args.kernel)):
            raise HarnessError(
                "--fail-on new: expected --baseline FILE, or a kernel such as v6.6+FIX, whose "
                "bugs are held against those of v6.6"
            )
        if self.known is None and self.fail_on == "new" and args.kernel_image is not None:
            raise HarnessError("--fail-on new: --kernel-image needs --baseline FILE")

    def new(self, found: Finding) -> frozenset[str] | None:
        """The invariants that are new in a bug; None if there is nothing to hold it against."""
        if self.known is None:
            return found.new
        name = found.kernel.name
        known = self.known.get(name)
        if known is None:
            if len(self.known) > 1:
                raise HarnessError(f"--baseline: it has {', '.join(self.known)}, not {name}")
            known = next(iter(self.known.values()), set())
        return frozenset(
            kind
            for mode, kinds in found.kinds.items()
            for kind in kinds
            if kind != "cost" and (found.trace.id, mode, kind) not in known
        )

    def fails(self, found: Finding) -> bool:
        """Whether it makes the run fail."""
        if not found.bug or self.fail_on == "none":
            return False
        return self.fail_on == "bug" or bool(self.new(found))

    def tolerated(self, found: Iterable[Finding]) -> list[Finding]:
        """The bugs that were there before, where only new ones count."""
        return [f for f in found if f.bug and self.fail_on == "new" and not self.new(f)]

    def tally(self, found: Iterable[Finding]) -> str:
        """How many bugs there are, and on how many of them the run would fail."""
        bugs = [f for f in found if f.bug]
        text = f"{many(len(bugs), 'trace')} show{'s' if len(bugs) == 1 else ''} a bug"
        if bugs and all(self.new(f) is not None for f in bugs):
            text += f", {sum(bool(self.new(f)) for f in bugs)} a new one"
        fails = sum(map(self.fails, bugs))
        if self.fail_on == "none":
            return f"{text}; --fail-on bug would fail" if bugs else text
        return f"{text}: --fail-on {self.fail_on} counts {fails}"


def _edited(spec: str) -> bool:
    """Whether `spec` is a kernel with something changed. Raises KernelError."""
    catalogues = (architecture(name).catalogue for name in having(spec))
    return all(c.origin(c.kernel(spec)) is not None for c in catalogues)


def _read(path: Path) -> Known:
    """The bugs in a file that `run --json` has written. Raises HarnessError."""
    where = f"--baseline {display(path)}"
    try:
        tree = json.loads(read_regular(path, _MOST))
    except OSError as error:
        raise HarnessError(f"{where}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise HarnessError(f"{where}: expected what `run --json` prints") from None
    schema = tree.get("schema") if isinstance(tree, dict) else None
    if schema not in _SCHEMAS:
        expected = " or ".join(_SCHEMAS)
        raise HarnessError(f"{where}: its schema is {schema!r:.60}, expected {expected}")
    known: Known = {}
    try:
        for kernel in _strings(tree["kernels"]):
            known[kernel] = set()
        for found in tree["findings"]:
            if found["class"] == "bug":
                for mode, kinds in found["violates"].items():
                    some = {(found["trace"], mode, kind) for kind in _strings(kinds)}
                    known[found["kernel"]] |= some
    except (KeyError, TypeError, AttributeError):
        raise HarnessError(f"{where}: it has no findings; give --json with --kernel K") from None
    return known


def _strings(value: Any) -> list[str]:
    """A list of text. Raises TypeError for anything else."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError
    return value


def lines(
    spec: str, grouped: Iterable[tuple[str, list[Result]]], found: list[Finding], gate: Gate
) -> Iterator[str]:
    """What is known of one kernel: its bugs and what would end each, then what is no bug."""
    judgements = [
        [r.judgement for r in results if r.judgement.case.kernel.name == spec]
        for _, results in grouped
    ]
    judged = sum(any(j.outcome is not None for j in group) for group in judgements)
    unbuilt = sum(any(not j.case.built for j in group) for group in judgements)
    bugs = [f for f in found if f.bug]
    aside = f"; {unbuilt} are not built there" if unbuilt else ""
    yield f"{spec}: {len(bugs)} of {judged} traces show a bug{aside}"
    for name in sorted({group[0].case.trace.arch for group in judgements if group}):
        catalogue = architecture(name).catalogue
        yield from (f"  {s}" for s in bad_backports(catalogue, catalogue.kernel(spec)))
    for each in bugs:
        yield f"  {_row(each, gate.new(each) or frozenset())}"
    yield from _others(spec, found)


def _row(found: Finding, new: frozenset[str]) -> str:
    """`arm64/a (nvhe): leak, stale; it lacks b`: the modes are said where they are not all."""
    modes = "" if len(found.kinds) == len(found.judged) else f" ({' '.join(found.kinds)})"
    kinds = ", ".join(f"{kind} (new)" if kind in new else kind for kind in found.invariants)
    return f"{found.trace.id}{modes}: {kinds}; {found.ended_by}"


def _others(spec: str, found: Iterable[Finding]) -> Iterator[str]:
    """What is violated and no bug of the kernel, by class."""
    for shows, what in _OTHERS.items():
        names = [f.trace.id for f in found if f.shows == shows]
        if names:
            yield f"{spec}: {many(len(names), 'trace')} of class {shows} ({what}):"
            yield from textwrap.wrap(
                ", ".join(names),
                80,
                initial_indent="  ",
                subsequent_indent="  ",
                break_on_hyphens=False,
                break_long_words=False,
            )
