"""`kvm-replay identify --layout` and `--diff`: where the state lies in one image, or in two."""

from __future__ import annotations

import argparse
import json
from typing import Any

from harness.cli.imaged import Subject, ask
from harness.cli.term import Terminal
from harness.errors import HarnessError
from harness.identify.layout import differences, layout


def _places(subject: Subject) -> dict[str, Any]:
    evidence = subject.evidence
    return layout(subject.image, evidence.structs, evidence.fields, evidence.symbols)


def show_layout(subject: Subject, args: argparse.Namespace, out: Terminal) -> int:
    """Print where an image has the model's fields."""
    image, tree = subject.image, _places(subject)
    if not tree["structs"]:
        raise HarnessError(f"{image.name}: it has no type information (BTF or DWARF)")
    if args.json:
        whole = {"schema": "kvm-replay/layout/1", "image": image.name, **tree}
        out.line(json.dumps(whole, indent=1))
        return 0
    for name, struct in tree["structs"].items():
        out.line(out.paint(f"struct {name}: {struct['size']} bytes", "bold"))
        for member, at in struct["members"].items():
            out.line(f"  {at['at']:>6} {_size(at['bits']):>7}  {member:<28} {at['type']}")
        out.line()
    out.line(out.paint("the model's fields", "bold"))
    for name, at in tree["fields"].items():
        out.line(f"  {name:<32} {at['at']:>6} {_size(at['bits']):>7}  {at['kernel']}")
    out.line()
    for name, at in tree["symbols"].items():
        out.line(f"{name}: {at['address']:#x}, {at['size']} bytes in {at['section']}")
    return 0


def _size(bits: int | None) -> str:
    if bits is None:
        return "-"
    return f"{bits // 8}" if bits % 8 == 0 else f"{bits} bits"


def difference(one: Subject, other: Subject, args: argparse.Namespace, out: Terminal) -> int:
    """Print the fixes and the places in which two images differ."""
    if one.arch != other.arch:
        text = f"{one.image.name} is of {one.arch}, {other.image.name} of {other.arch}"
        raise HarnessError(f"--diff: {text}")
    states = [ask(subject).findings for subject in (one, other)]
    fixes = {
        fix: [side[fix].state for side in states]
        for fix in one.catalogue.fixes
        if states[0][fix].state != states[1][fix].state
    }
    places = differences(_places(one), _places(other))
    if args.json:
        tree = {
            "schema": "kvm-replay/image-diff/1",
            "images": [one.image.name, other.image.name],
            "fixes": fixes,
            "layout": places,
        }
        out.line(json.dumps(tree, indent=1))
        return 0
    out.line(f"{one.image.name} -> {other.image.name}")
    out.line(out.paint(f"{len(fixes)} fixes", "bold"))
    for fix, (a, b) in fixes.items():
        out.line(f"  {fix:<22} {a} -> {b}")
    out.line(out.paint(f"{len(places)} places", "bold"))
    for name, (was, now) in places.items():
        out.line(f"  {name:<44} {_place(was)} -> {_place(now)}")
    return 0


def _place(at: Any) -> str:
    if at is None:
        return "-"
    if isinstance(at, int):
        return f"{at} bytes"
    return f"{at['at']} ({_size(at['bits'])}, {at['type']})"
