"""Which calls of the model a recorded event can be."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from harness.capture.arm64.follow import QUIET
from harness.capture.arm64.probe import Call, Point

# What the model calls otherwise.
_CALLED = {
    "fpsimd_sync_to_effective_state_zeropad": "sve_sync_from_fpsimd_zeropad",
    "sve_set_vector_length": "vec_set_vector_length",
    "fpsimd_save_user_state": "fpsimd_save",
}
# The world switch is in two parts, before and after the guest.
_PARTS = {
    Call("__kvm_vcpu_run", False): (
        Call("__kvm_vcpu_run_vhe", False),
        Call("__kvm_vcpu_run", False),
    ),
    Call("__kvm_vcpu_run", True): (Call("__guest_exit", True),),
}
# Callers of the same file, into which GCC has a function inlined that others call.
_INLINED = {
    ("change_live_vector_length", "fpsimd_sync_from_effective_state"),
    ("change_live_vector_length", "sve_sync_to_fpsimd"),
}


def recorded(event: str) -> Call:
    """The call that a recorded event shows."""
    stem = event.removesuffix("_ret")
    return Call(stem, stem != event)


@functools.cache
def observed(event: str) -> tuple[Call, tuple[Call, ...]]:
    """The same without the compiler's suffix, and what the model can have called there."""
    stem, ret = recorded(event)
    call = Call(stem.partition(".")[0], ret)
    return call, _in_model(call)


def _in_model(call: Call) -> tuple[Call, ...]:
    """What the model can have called there."""
    return _PARTS.get(call) or (Call(_CALLED.get(call.name, call.name), call.ret),)


def shown_by(names: Iterable[str]) -> frozenset[Call]:
    """The model's calls that a recording with these event names shows."""
    calls = (call for call in map(recorded, names) if call.name not in QUIET)
    return frozenset(made for call in calls for made in _in_model(call))


def inlined(p: Point) -> bool:
    """Whether this call is one that GCC may have inlined."""
    return (p.caller, p.call.name) in _INLINED
