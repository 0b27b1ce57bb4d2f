"""A change that somebody proposes, as a fix of their own.

A file of Python says which architecture it is for (`ARCH`), has a row as the catalogue's
(`FIX`) and a class `Patch` with the model functions that it changes. From then on
`v7.2+ID` is a kernel like any other; where it has the fix the class stands in front of
the machine, so `super()` is the kernel without it.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from harness.errors import HarnessError, one_of
from harness.model.catalogue import Fix

M = TypeVar("M")


class Patch(NamedTuple):
    """What a file proposes, and the file itself."""

    arch: str
    fix: Fix
    mixin: type
    name: str
    source: str


_LOADED: list[Patch] = []
_MIXED: dict[tuple[type, tuple[type, ...]], Any] = {}


def load(path: Path) -> Patch:
    """The patch in a file, known to its architecture's catalogue from now on.

    Raises HarnessError for a file that is none.
    """
    shown = str(path)[:80]
    if path.suffix != ".py" or not path.is_file():
        raise HarnessError(f"{shown}: no such file of Python")
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{shown}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise HarnessError(f"{shown}: byte {byte:#x} is no UTF-8 text") from None
    return adopt(shown, source)


def adopt(shown: str, source: str) -> Patch:
    """The same of the file's text."""
    from harness.model import ARCHITECTURES, architecture

    module = ModuleType(f"kvm_replay_patch_{len(_LOADED)}")
    module.__file__ = shown
    try:
        exec(compile(source, shown, "exec"), module.__dict__)
    except Exception as error:  # whatever the user's file does
        raise HarnessError(f"{shown}: {type(error).__name__}: {error}") from None
    arch, fix, mixin = (getattr(module, name, None) for name in ("ARCH", "FIX", "Patch"))
    if arch not in ARCHITECTURES:
        raise HarnessError(f"{shown}: expected ARCH = {one_of(repr(a) for a in ARCHITECTURES)}")
    if not isinstance(fix, Fix) or fix.landed is not None:
        example = 'FIX = Fix("my-fix", "variant", None, "what was -> what is")'
        raise HarnessError(f"{shown}: expected {example}")
    if not isinstance(mixin, type):
        raise HarnessError(f"{shown}: expected a class `Patch` with what it changes")
    architecture(arch).catalogue.add(fix)
    patch = Patch(arch, fix, mixin, shown, source)
    _LOADED.append(patch)
    return patch


def loaded() -> tuple[Patch, ...]:
    """The patches that have been loaded."""
    return tuple(_LOADED)


def forget() -> None:
    """Take all patches back."""
    from harness.model import architecture

    for patch in _LOADED:
        architecture(patch.arch).catalogue.remove(patch.fix)
    _LOADED.clear()


def patched(arch: str, cls: type[M], fixes: frozenset[str]) -> type[M]:
    """`cls` with the patches that these fixes name in front of it."""
    if not _LOADED:
        return cls
    mixins = tuple(p.mixin for p in _LOADED if p.arch == arch and p.fix.id in fixes)
    if not mixins:
        return cls
    key = cls, mixins
    if key not in _MIXED:
        _MIXED[key] = type(cls.__name__, (*reversed(mixins), cls), {"__slots__": ()})
    found: type[M] = _MIXED[key]
    return found
