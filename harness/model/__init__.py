"""The executable models, one package per architecture.

A model never prints, reads a file or knows a golden file. Nothing outside an
architecture's package knows what is in it: `architecture()` is the way in. Nobody
lists them: a package in this one is an architecture.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from pathlib import Path
from typing import cast

from harness.model.base import Architecture

__all__ = ["ARCHITECTURES", "architecture", "home"]

ARCHITECTURES = tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.ispkg))


@functools.cache
def architecture(name: str) -> Architecture:
    """The architecture of this name (one of ARCHITECTURES)."""
    module = importlib.import_module(f"harness.model.{name}")
    return cast(Architecture, module.ARCHITECTURE)


def home(name: str) -> Path:
    """The folder `harness` that the package of this architecture is in."""
    spec = importlib.util.find_spec(f"{__name__}.{name}")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[2]
