"""The executable models, one package per architecture.

A model never prints, reads a file or knows a golden file. Nothing outside an
architecture's package knows what is in it: `architecture()` is the way in.
"""

from __future__ import annotations

import functools
import importlib
from typing import cast

from harness.model.base import Architecture

__all__ = ["ARCHITECTURES", "architecture"]

ARCHITECTURES = ("arm64",)


@functools.cache
def architecture(name: str) -> Architecture:
    """The architecture of this name (one of ARCHITECTURES)."""
    module = importlib.import_module(f"harness.model.{name}")
    return cast(Architecture, module.ARCHITECTURE)
