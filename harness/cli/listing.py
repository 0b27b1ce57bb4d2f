"""`kvm-replay kernels` and `kvm-replay fixes`: what the model knows."""

from __future__ import annotations

import argparse
import json
import textwrap

from harness.cli.term import Terminal
from harness.errors import HarnessError
from harness.model import ARCHITECTURES, architecture
from harness.model.catalogue import COMMIT, RELEASES, Fix, releases_with_changes


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    kernels = commands.add_parser(
        "kernels",
        help="list the kernels, and what landed in each",
        description="List the releases in which a fix of the catalogue landed. Every release "
        f"from {RELEASES[0]} to {RELEASES[-1]} can be named, with fixes added (v6.12+FIX) or taken "
        "away (v6.14-FIX). Below them: distributions' kernels, each with what it has beyond its "
        "base and the source that says so.",
    )
    kernels.add_argument("--json", action="store_true", help="print JSON")
    kernels.add_argument("--arch", default=ARCHITECTURES[0], choices=ARCHITECTURES)
    kernels.set_defaults(command=list_kernels)
    fixes = commands.add_parser(
        "fixes",
        help="list the fixes: commit, title, release, link",
        description="List every fix of the catalogue, or the ones named (by id or commit).",
    )
    fixes.add_argument("ids", nargs="*", metavar="FIX", help="an id, or a commit of 12 hex digits")
    fixes.add_argument("--kernel", metavar="K", help="only fixes that K has")
    fixes.add_argument("--json", action="store_true", help="print JSON")
    fixes.add_argument("--arch", default=ARCHITECTURES[0], choices=ARCHITECTURES)
    fixes.set_defaults(command=list_fixes)


def list_kernels(args: argparse.Namespace, out: Terminal) -> int:
    catalogue = architecture(args.arch).catalogue
    rows = {
        release: [f.id for f in catalogue.fixes.values() if f.landed == release]
        for release in releases_with_changes(catalogue)
    }
    if args.json:
        tree = {
            r: {"landed": new, "fixes": sorted(catalogue.landed_by(r))} for r, new in rows.items()
        }
        hybrids = {
            h.name: {
                "base": h.base,
                "backports": {b.fix: b.source for b in h.backports},
                "fixes": sorted(catalogue.named(h.name)),
            }
            for h in catalogue.hybrids.values()
        }
        whole = {"schema": "kvm-replay/kernels/1", "kernels": tree, "hybrids": hybrids}
        out.line(json.dumps(whole, indent=1, sort_keys=True))
        return 0
    older = ", ".join(f.id for f in catalogue.fixes.values() if f.landed not in (None, *RELEASES))
    if older:
        out.line(f"older      {older}")
    for release, new in rows.items():
        head = f"{release:<7}{len(catalogue.landed_by(release)):>3}  "
        gone = [
            f"{f.id} reverted" for f in catalogue.fixes.values() if f.gone and release == f.gone[0]
        ]
        back = [
            f"{f.id} again" for f in catalogue.fixes.values() if f.gone and release == f.gone[1]
        ]
        text = ", ".join(new + gone + back) or "-"
        lines = textwrap.wrap(text, 80 - len(head), break_on_hyphens=False)
        out.line(head + f"\n{'':{len(head)}}".join(lines))
    for hybrid in catalogue.hybrids.values():
        out.line(f"{hybrid.name}  {len(catalogue.named(hybrid.name))}, on {hybrid.base}")
        for source in dict.fromkeys(b.source for b in hybrid.backports):
            names = ", ".join(b.fix for b in hybrid.backports if b.source == source)
            for text in (f"+ {names}", f"  ({source})"):
                lines = textwrap.wrap(text, 70, break_on_hyphens=False, subsequent_indent="  ")
                out.line("\n".join("        " + line for line in lines))
    for kind, says in _UNLANDED.items():
        names = ", ".join(f.id for f in catalogue.fixes.values() if f.kind == kind)
        out.line(textwrap.fill(f"{says}: {names}", 80, break_on_hyphens=False))
    return 0


_UNLANDED = {"variant": "never merged", "stable": "in stable trees alone"}


def list_fixes(args: argparse.Namespace, out: Terminal) -> int:
    catalogue = architecture(args.arch).catalogue
    fixes = list(catalogue.fixes.values())
    if args.ids:
        fixes = [_find(name, fixes, catalogue.suggest(name)) for name in args.ids]
    if args.kernel:
        have = catalogue.kernel(args.kernel).fixes
        fixes = [f for f in fixes if f.id in have]
    if args.json:
        tree = [_plain(f) for f in fixes]
        out.line(
            json.dumps({"schema": "kvm-replay/fixes/1", "fixes": tree}, indent=1, sort_keys=True)
        )
        return 0
    for n, fix in enumerate(fixes):
        if n:
            out.line()
        landed = f"{fix.landed}, {fix.kind}" if fix.landed else _UNLANDED[fix.kind]
        if fix.gone:
            landed += f"; reverted in {fix.gone[0]}, again in {fix.gone[1]}"
        out.line(f"{out.paint(fix.id, 'bold')}  {landed}")
        for commit in fix.commits:
            # Never wrapped: it is copied into mails and searched for.
            out.line(f'  {commit.id} ("{commit.title}")')
        for line in textwrap.wrap(fix.what, 76, break_on_hyphens=False):
            out.line(f"  {line}")
        for name, value in (
            ("Fixes", ", ".join(fix.repairs)),
            ("Needs", ", ".join(fix.requires)),
            ("Link", fix.link or ""),
        ):
            if value:
                out.line(f"  {name}: {value}")
    return 0


def _find(name: str, fixes: list[Fix], hint: str) -> Fix:
    for fix in fixes:
        commit = name[:12] if COMMIT.fullmatch(name) else None
        if fix.id == name or any(commit == c.id for c in fix.commits):
            return fix
    raise HarnessError(f"unknown fix {name[:40]!r}{hint}")


def _plain(fix: Fix) -> dict[str, object]:
    return {
        "id": fix.id,
        "kind": fix.kind,
        "landed": fix.landed,
        "gone": list(fix.gone) if fix.gone else None,
        "what": fix.what,
        "commits": [{"id": c.id, "title": c.title} for c in fix.commits],
        "requires": list(fix.requires),
        "repairs": list(fix.repairs),
        "link": fix.link,
    }
