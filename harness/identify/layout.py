"""Where things lie in an image: the structs and symbols that matter, and the model's fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.image import Image
from harness.model.evidence import Field

Tree = dict[str, Any]


def layout(
    image: Image, structs: Iterable[str], fields: Iterable[Field], symbols: Iterable[str] = ()
) -> Tree:
    """The size and members of each struct, the place of each field and of each symbol."""
    tree: Tree = {"structs": {}, "fields": {}, "symbols": {}}
    for name in structs:
        struct = image.struct(name)
        if struct is None:
            continue
        tree["structs"][name] = {
            "size": struct.size,
            "members": {
                m.name: {"at": m.at, "bits": m.size, "type": m.type}
                for m in struct.members.values()
            },
        }
    for field in fields:
        for path in field.paths:
            member = image.member(path)
            if member is not None:
                tree["fields"][field.model] = {
                    "kernel": path,
                    "at": member.at,
                    "bits": member.size,
                    "type": member.type,
                }
                break
    for name in symbols:
        symbol = image.symbols.get(name)
        if symbol is not None:
            tree["symbols"][name] = {
                "address": symbol.address,
                "size": symbol.size,
                "section": symbol.section,
            }
    return tree


def differences(one: Tree, other: Tree) -> Tree:
    """What differs between two layouts: for each thing, what it is in the one and in the other."""
    found: Tree = {}
    for name in dict.fromkeys((*one["structs"], *other["structs"])):
        a, b = one["structs"].get(name), other["structs"].get(name)
        if a is None or b is None:
            found[name] = [a and a["size"], b and b["size"]]
            continue
        if a["size"] != b["size"]:
            found[name] = [a["size"], b["size"]]
        for member in dict.fromkeys((*a["members"], *b["members"])):
            pair = [side["members"].get(member) for side in (a, b)]
            if pair[0] != pair[1]:
                found[f"{name}.{member}"] = pair
    for name in dict.fromkeys((*one["fields"], *other["fields"])):
        pair = [side["fields"].get(name) for side in (one, other)]
        if pair[0] != pair[1]:
            found[f"model: {name}"] = pair
    return found
