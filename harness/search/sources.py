"""A digest of all that decides what a search finds: the model, the search, the grammars."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import harness.model
from harness import __version__
from harness.model import ARCHITECTURES, home
from harness.model.patch import loaded
from harness.resources import folder


def _files() -> Iterator[tuple[str, Path]]:
    """Each file, by a name that is the same wherever kvm-replay is installed."""
    roots = [("model", Path(path)) for path in harness.model.__path__]
    roots.append(("search", Path(__file__).parent))
    for kind, root in roots:
        for path in sorted(root.rglob("*.py")):
            yield f"{kind}/{path.relative_to(root).as_posix()}", path
    for place in sorted(
        {folder("grammars"), *(folder("grammars", home(a)) for a in ARCHITECTURES)}
    ):
        for path in sorted(place.glob("*.lark")):
            yield f"grammars/{path.name}", path


@functools.cache
def digest() -> str:
    """What kvm-replay is here: its version and its sources."""
    found = hashlib.blake2b(__version__.encode(), digest_size=16)
    for name, path in _files():
        data = path.read_bytes()
        found.update(f"\0{name}\0{len(data)}\0".encode() + data)
    return found.hexdigest()


def patches() -> str:
    """The same of the `--model` files that have been loaded; '' if there are none."""
    if not loaded():
        return ""
    found = hashlib.blake2b(digest_size=16)
    for patch in loaded():
        data = patch.source.encode()
        found.update(f"\0{len(data)}\0".encode() + data)
    return found.hexdigest()
