"""Recordings of real kernels: read, made into stimuli, held against the model."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from harness.errors import HarnessError


def of(arch: str) -> ModuleType:
    """What reads recordings of an architecture: `harness.capture.ARCH`.

    It has `survey()`, `Follower`, `Conformer`, `explain()`, `Cast`, `events()`, `body()`,
    `header()` and `Deriver`.
    """
    name = f"{__name__}.{arch}"
    if importlib.util.find_spec(name) is None:
        raise HarnessError(f"recordings of {arch} are not read yet")
    return importlib.import_module(name)
