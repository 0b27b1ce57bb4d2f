"""Machine states as values: going back to one, and telling whether two are equal."""

from __future__ import annotations

import hashlib

from harness.model.base import Model


def fingerprint(model: Model) -> bytes:
    """16 bytes that are equal for equivalent states, in any process.

    Names of tasks and vcpus, the origins of values, the number of steps and
    the counters of cost do not count: none of them decides what can happen
    next.
    """
    return hashlib.blake2b(repr(model.canonical()).encode(), digest_size=16).digest()
