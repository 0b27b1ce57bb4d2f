"""`kvm-replay kernels` and `kvm-replay fixes`: what the model knows."""

from __future__ import annotations

import argparse
import json
import textwrap

from harness.cli.archs import add_option, bad_backports, chosen, having, left_out
from harness.cli.term import Terminal
from harness.errors import HarnessError, nearest
from harness.model import architecture
from harness.model.catalogue import (
    EARLIER,
    LATER,
    RELEASES,
    Catalogue,
    Fix,
    releases_with_changes,
)
from harness.model.names import COMMIT


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    kernels = commands.add_parser(
        "kernels",
        help="list the kernels, and what landed in each",
        description="List the releases in which a fix of the catalogue landed. Every release "
        f"from {RELEASES[0]} to {RELEASES[-1]} can be named, with fixes added (v6.12+FIX) or taken "
        "away (v6.14-FIX). Below them: distributions' kernels, each with what it has beyond its "
        "base and the source that says so.",
    )
    kernels.add_argument("--json", action="store_true", help="print JSON")
    add_option(kernels)
    kernels.set_defaults(command=list_kernels)
    fixes = commands.add_parser(
        "fixes",
        help="list the fixes: commit, title, release, link",
        description="List every fix of every catalogue, or the ones named (by id or commit). With "
        "--kernel: the fixes that a kernel has, and which of them are in its tree but not built.",
    )
    fixes.add_argument(
        "ids", nargs="*", metavar="FIX", help="an id, or a commit (7 to 40 hex digits)"
    )
    fixes.add_argument("--kernel", metavar="K", help="only fixes that K has")
    fixes.add_argument("--json", action="store_true", help="print JSON")
    add_option(fixes)
    fixes.set_defaults(command=list_fixes)


def list_kernels(args: argparse.Namespace, out: Terminal) -> int:
    names = chosen(args)
    if args.json:
        trees = {name: _kernels_tree(architecture(name).catalogue) for name in names}
        out.line(_document("kernels", trees, args.arch))
        return 0
    for n, name in enumerate(names):
        if len(names) > 1:
            out.line("\n" * bool(n) + out.paint(name, "bold"))
        _print_kernels(architecture(name).catalogue, out)
    return 0


def _document(what: str, trees: dict[str, dict[str, object]], arch: str | None) -> str:
    """JSON of one architecture by itself, or of all by name."""
    if arch is not None:
        whole = {"schema": f"kvm-replay/{what}/1", **trees[arch]}
    else:
        whole = {"schema": f"kvm-replay/{what}/2", "architectures": trees}
    return json.dumps(whole, indent=1, sort_keys=True)


def _landed(catalogue: Catalogue) -> dict[str, list[str]]:
    """What landed in each release that brought anything."""
    return {
        release: [f.id for f in catalogue.fixes.values() if f.landed == release]
        for release in releases_with_changes(catalogue)
    }


def _kernels_tree(catalogue: Catalogue) -> dict[str, object]:
    tree = {
        r: {"landed": new, "fixes": sorted(catalogue.landed_by(r)), **_state(catalogue, r)}
        for r, new in _landed(catalogue).items()
    }
    hybrids = {
        h.name: {
            "base": h.base,
            "backports": {b.fix: b.source for b in h.backports},
            "fixes": sorted(catalogue.named(h.name)),
            **_state(catalogue, h.name),
        }
        for h in catalogue.hybrids.values()
    }
    return {"kernels": tree, "hybrids": hybrids}


def _state(catalogue: Catalogue, name: str) -> dict[str, object]:
    """What is in a kernel's tree and not built, and what it has without what it needs."""
    kernel = catalogue.kernel(name)
    return {
        "not_built": sorted(catalogue.not_built(kernel)),
        "bad_backports": [list(pair) for pair in catalogue.bad_backports(kernel)],
    }


def _print_kernels(catalogue: Catalogue, out: Terminal) -> None:
    older = ", ".join(f.id for f in catalogue.fixes.values() if f.landed in EARLIER)
    if older:
        out.line(f"older      {older}")
    for release, new in _landed(catalogue).items():
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
        if catalogue.unbuilt(catalogue.landed_by(release)):
            out.line(f"{'':{len(head)}}{_unbuilt(catalogue, release)}")
    newer = ", ".join(f.id for f in catalogue.fixes.values() if f.landed in LATER)
    if newer:
        out.line(f"newer      {newer}")
    for hybrid in catalogue.hybrids.values():
        out.line(f"{hybrid.name}  {len(catalogue.named(hybrid.name))}, on {hybrid.base}")
        for source in dict.fromkeys(b.source for b in hybrid.backports):
            names = ", ".join(b.fix for b in hybrid.backports if b.source == source)
            for text in (f"+ {names}", f"  ({source})"):
                lines = textwrap.wrap(text, 70, break_on_hyphens=False, subsequent_indent="  ")
                out.line("\n".join("        " + line for line in lines))
        if catalogue.unbuilt(catalogue.named(hybrid.name)):
            out.line(f"        {_unbuilt(catalogue, hybrid.name)}")
        for sentence in bad_backports(catalogue, catalogue.kernel(hybrid.name)):
            out.line(textwrap.indent(textwrap.fill(sentence, 70, break_on_hyphens=False), " " * 8))
    for kind, says in _UNLANDED.items():
        names = ", ".join(f.id for f in catalogue.fixes.values() if f.kind == kind)
        if not names:
            continue
        out.line(textwrap.fill(f"{says}: {names}", 80, break_on_hyphens=False))


def _unbuilt(catalogue: Catalogue, name: str) -> str:
    """`not built: CONFIG_ARM64_SME, 22 fixes; see v6.13+sme-built`."""
    kernel = catalogue.kernel(name)
    (build,) = catalogue.unbuilt(kernel.fixes)
    count = len(catalogue.not_built(kernel))
    return f"not built: {build.option}, {count} fixes; see {name}+{build.built}"


_UNLANDED = {"variant": "never merged", "stable": "in stable trees alone"}
_UNTAGGED = {
    "none": "no commit (the message has no such tag)",
    "unseen": "unknown (the message has not been checked)",
    None: "",
}


def list_fixes(args: argparse.Namespace, out: Terminal) -> int:
    names = chosen(args)
    if args.kernel is not None:
        left_out([args.kernel], names)
        names = tuple(name for name in names if name in having(args.kernel))
    found = _find_all(args.ids, names) if args.ids else _all(names)
    if args.kernel is not None:
        for name, fixes in found.items():
            have = architecture(name).catalogue.kernel(args.kernel).fixes
            found[name] = [f for f in fixes if f.id in have]
    off = _not_built(args.kernel, names)
    if args.json:
        trees: dict[str, dict[str, object]] = {
            name: {"fixes": [_plain(f) | _built(f, off, args.kernel) for f in fixes]}
            for name, fixes in found.items()
        }
        out.line(_document("fixes", trees, args.arch))
        return 0
    shown = {name: fixes for name, fixes in found.items() if fixes}
    for n, (name, fixes) in enumerate(shown.items()):
        if len(shown) > 1:
            out.line("\n" * bool(n) + out.paint(name, "bold"))
        _print_fixes(fixes, off, out)
    return 0


def _not_built(spec: str | None, names: tuple[str, ...]) -> frozenset[str]:
    """The fixes that are in the tree of the kernel `spec` and not built."""
    catalogues = [architecture(name).catalogue for name in names if spec]
    return frozenset().union(*(c.not_built(c.kernel(spec or "")) for c in catalogues))


def _all(names: tuple[str, ...]) -> dict[str, list[Fix]]:
    return {name: list(architecture(name).catalogue.fixes.values()) for name in names}


def _find_all(ids: list[str], names: tuple[str, ...]) -> dict[str, list[Fix]]:
    """The fixes of these ids or commits, each in every architecture that has it."""
    found: dict[str, list[Fix]] = {name: [] for name in names}
    every = _all(names)
    for wanted in ids:
        where = [(name, fix) for name in names if (fix := _find(wanted, every[name])) is not None]
        if not where:
            hint = nearest(wanted, (fix.id for fixes in every.values() for fix in fixes))
            raise HarnessError(f"unknown fix {wanted[:40]!r}{hint}")
        for name, fix in where:
            found[name].append(fix)
    return found


def _built(fix: Fix, off: frozenset[str], spec: str | None) -> dict[str, object]:
    return {"built": fix.id not in off} if spec else {}


def _print_fixes(fixes: list[Fix], off: frozenset[str], out: Terminal) -> None:
    for n, fix in enumerate(fixes):
        if n:
            out.line()
        landed = f"{fix.landed}, {fix.kind}" if fix.landed else _UNLANDED[fix.kind]
        if fix.gone:
            landed += f"; reverted in {fix.gone[0]}, again in {fix.gone[1]}"
        if fix.id in off:
            landed += "; not built"
        out.line(f"{out.paint(fix.id, 'bold')}  {landed}")
        for commit in fix.commits:
            # Never wrapped: it is copied into mails and searched for.
            out.line(f'  {commit.id} ("{commit.title}")')
        for line in textwrap.wrap(fix.what, 76, break_on_hyphens=False):
            out.line(f"  {line}")
        for name, value in (
            ("Fixes", ", ".join(fix.repairs) or _UNTAGGED[fix.untagged]),
            ("Needs", ", ".join(fix.needs)),
            ("Link", fix.link or ""),
        ):
            if value:
                out.line(f"  {name}: {value}")


def _find(name: str, fixes: list[Fix]) -> Fix | None:
    for fix in fixes:
        if fix.id == name:
            return fix
    if not COMMIT.fullmatch(name):
        return None
    found = [fix for fix in fixes if any(c.id.startswith(name[:12]) for c in fix.commits)]
    return found[0] if len(found) == 1 else None


def _plain(fix: Fix) -> dict[str, object]:
    return {
        "id": fix.id,
        "kind": fix.kind,
        "landed": fix.landed,
        "gone": list(fix.gone) if fix.gone else None,
        "what": fix.what,
        "commits": [{"id": c.id, "title": c.title} for c in fix.commits],
        "requires": list(fix.requires),
        "asks": list(fix.asks),
        "repairs": list(fix.repairs),
        "untagged": fix.untagged,
        "link": fix.link,
    }
