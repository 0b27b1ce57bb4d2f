"""What is wrong with a document, by as much of JSON Schema (2020-12) as docs/schemas uses."""

from __future__ import annotations

from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = {
    *("$schema", "$id", "$defs", "$ref", "title", "description", "type", "const", "enum"),
    *("properties", "required", "additionalProperties", "items"),
}


def wrong(schema: Any, value: Any, whole: Any = None, where: str = "") -> list[str]:
    """Each place that does not fit, with what is wrong there."""
    whole = schema if whole is None else whole
    assert set(schema) <= _KNOWN, set(schema) - _KNOWN
    found: list[str] = []
    if "$ref" in schema:
        target = whole
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        found += wrong(target, value, whole, where)
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(_is(value, name) for name in names):
        return [f"{where}: {value!r} is not of the type {names}"]
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is not among {schema['enum']}")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        found += [f"{where}: no {name}" for name in schema.get("required", []) if name not in value]
        for name, each in value.items():
            if name in known:
                found += wrong(known[name], each, whole, f"{where}.{name}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{where}: {name} is not known")
    if isinstance(value, list) and "items" in schema:
        for n, each in enumerate(value):
            found += wrong(schema["items"], each, whole, f"{where}[{n}]")
    return found


def _is(value: object, name: str) -> bool:
    if name == "integer" and isinstance(value, bool):
        return False
    return isinstance(value, _TYPES[name])
