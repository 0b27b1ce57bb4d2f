"""A change that somebody proposes, as a fix of their own.

A file of Python says which architecture it is for (`ARCH`), has a row as the catalogue's
(`FIX`) and a class `Patch` with the model functions that it changes. From then on
`v7.2+ID` is a kernel like any other; where it has the fix the class stands in front of
the machine, so `super()` is the kernel without it.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, TypeVar

from harness.errors import HarnessError, PatchError, nearest, one_of
from harness.model.base import Refused
from harness.model.catalogue import Fix
from harness.model.operands import BadOperand
from harness.reading import read_regular

M = TypeVar("M")

MAX_BYTES = 1 << 20
_OF_ANY_CLASS = {"__module__", "__dict__", "__weakref__", "__doc__", "__slots__", "__qualname__"}


class Patch(NamedTuple):
    """What a file proposes, and the file itself."""

    arch: str
    fix: Fix
    mixin: type
    name: str
    source: str


_LOADED: list[Patch] = []
_changes = itertools.count(1)
_changed = [0]
_MIXED: dict[tuple[type, tuple[type, ...]], Any] = {}


def load(path: Path) -> Patch:
    """The patch in a file, known to its architecture's catalogue from now on.

    Raises HarnessError for a file that is none.
    """
    shown = str(path)[:80]
    if path.suffix != ".py" or not path.is_file():
        raise HarnessError(f"{shown}: no such file of Python")
    try:
        source = read_regular(path, MAX_BYTES).decode("utf-8")
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
    except (Exception, SystemExit) as error:  # whatever the user's file does
        raise _failed(shown, "the file", error) from error
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
    _changed[0] = next(_changes)
    return patch


def changes() -> int:
    """A number that is another one whenever a patch has been loaded or taken back."""
    return _changed[0]


def loaded() -> tuple[Patch, ...]:
    """The patches that have been loaded."""
    return tuple(_LOADED)


def forget() -> None:
    """Take all patches back."""
    from harness.model import architecture

    for patch in _LOADED:
        architecture(patch.arch).catalogue.remove(patch.fix)
    _LOADED.clear()
    _changed[0] = next(_changes)


def patched(arch: str, cls: type[M], fixes: frozenset[str]) -> type[M]:
    """`cls` with the patches that these fixes name in front of it."""
    if not _LOADED:
        return cls
    mixins = tuple(p.mixin for p in _LOADED if p.arch == arch and p.fix.id in fixes)
    if not mixins:
        return cls
    key = cls, mixins
    if key not in _MIXED:
        guarded = (_guarded(p) for p in reversed(_LOADED) if p.mixin in mixins)
        try:
            _MIXED[key] = type(cls.__name__, (*guarded, cls), {"__slots__": ()})
        except TypeError as error:
            raise HarnessError(f"class Patch cannot stand before the machine: {error}") from None
    found: type[M] = _MIXED[key]
    return found


def _failed(shown: str, function: str, error: BaseException) -> PatchError:
    """What is said of an exception out of a user's file: where, and which."""
    at, trace = shown, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == shown:
            at = f"{shown}:{trace.tb_lineno}"
        trace = trace.tb_next
    return PatchError(f"{at}: {function} raised {type(error).__name__}: {error}")


def _members(mixin: type) -> dict[str, Any]:
    """What a user's class and those that it is derived from define."""
    found: dict[str, Any] = {}
    for cls in mixin.__mro__[:-1]:
        found = {**vars(cls), **found}
    return {name: value for name, value in found.items() if name not in _OF_ANY_CLASS}


def _functions(mixin: type) -> dict[str, FunctionType]:
    members = _members(mixin).items()
    return {name: value for name, value in members if isinstance(value, FunctionType)}


def _guarded(patch: Patch) -> type:
    """The user's class; an exception that leaves it says which file and function it is of."""

    def guard(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except (HarnessError, Refused, BadOperand):
                raise
            except (Exception, SystemExit) as error:
                raise _failed(patch.name, f"Patch.{name}", error) from error

        return call

    members = {name: guard(name, function) for name, function in _functions(patch.mixin).items()}
    return type(patch.mixin.__name__, (patch.mixin,), {"__slots__": (), **members})


def idle(patch: Patch, model: set[str]) -> list[str]:
    """Sentences on what a patch defines without changing the model, which has these names.

    A function that the file itself uses somewhere is one of its own.
    """
    unknown = [
        _unknown(patch, name, model)
        for name in _functions(patch.mixin)
        if name not in model and len(re.findall(rf"\b{_plain(name)}\b", patch.source)) < 2
    ]
    if not unknown and not model & set(_members(patch.mixin)):
        return [f"{patch.name}: class Patch has no function of the model: it changes nothing"]
    return unknown


def _plain(name: str) -> str:
    """A name as it is written in the class: Python mangles those that begin with `__`."""
    return re.sub(r"^_[A-Za-z]\w*?(?=__)", "", name)


def _unknown(patch: Patch, name: str, model: set[str]) -> str:
    name = _plain(name)
    hint = nearest(name, model)
    text = f"{patch.name}: Patch.{name}: the model has no function of this name{hint}"
    return f"{text}: it changes nothing"
