"""The documented JSON schemas, and documents held against them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schemas"


@functools.cache
def validator(name: str) -> Draft202012Validator:
    """The schema of documents that call themselves `name`, such as `kvm-replay/run/1`."""
    file = name.removeprefix("kvm-replay/").replace("/", ".")
    schema = json.loads((FOLDER / f"{file}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def check(text: str) -> dict[str, Any]:
    """A document that was printed; it must be as its schema says."""
    tree: dict[str, Any] = json.loads(text)
    errors = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in validator(tree["schema"]).iter_errors(tree)
    ]
    assert errors == [], tree["schema"]
    return tree
