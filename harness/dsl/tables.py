"""The tables of the LALR parser as JSON, so that they need not be made anew each time.

Lark's own cache is a pickle, which runs whatever code is in it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import lark
from lark import Lark, Transformer
from lark.grammar import Rule
from lark.lexer import TerminalDef

from harness import cache

NAME = "trace.json"
MAX_BYTES = 8 << 20
_OPTIONS = {"parser": "lalr", "lexer": "contextual", "maybe_placeholders": True}
_PAIRS = "pairs of a mapping whose keys are numbers"


def load(grammar: str, build: Transformer[Any, Any]) -> Lark:
    """The parser of a grammar, from the cache if its tables are there."""
    head, _, body = (cache.read(NAME, MAX_BYTES) or b"").partition(b"\n")
    if head == _head(grammar, body):
        try:
            # What the parsers that Lark writes as Python files call.
            known: Any = Lark._load_from_dict
            kept: Lark = known(**_back(json.loads(body)), transformer=build)
            return kept
        except Exception:  # it is rubbish in one of many ways, and there is another source
            pass
    made = Lark(grammar, transformer=build, **_OPTIONS)
    try:
        body = json.dumps(_plain(_tables(made)), separators=(",", ":")).encode()
    except (AttributeError, TypeError):  # another Lark than we know
        return made
    cache.write(NAME, _head(grammar, body) + b"\n" + body)
    return made


def _head(grammar: str, body: bytes) -> bytes:
    """A digest of tables, and of all that they are made from."""
    said = json.dumps([grammar, lark.__version__, sys.version_info[:2], _OPTIONS])
    return hashlib.blake2b(said.encode() + b"\0" + body, digest_size=32).hexdigest().encode()


def _tables(made: Lark) -> dict[str, Any]:
    data, memo = made.memo_serialize([TerminalDef, Rule])
    options = data["options"]
    keep = {name: value for name, value in options.items() if name in _OPTIONS or _simple(value)}
    return {"data": data | {"options": keep}, "memo": memo}


def _simple(value: object) -> bool:
    return value is None or isinstance(value, str | int | list | dict)


def _plain(value: Any) -> Any:
    """As JSON can have it."""
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {str(key): _plain(item) for key, item in value.items()}
        return {_PAIRS: [[key, _plain(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(type(value).__name__)


def _back(value: Any) -> Any:
    if isinstance(value, dict):
        if _PAIRS in value:
            return {key: _back(item) for key, item in value[_PAIRS]}
        return {key: _back(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_back(item) for item in value]
    return value
