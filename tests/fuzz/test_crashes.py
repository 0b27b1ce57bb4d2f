"""Every input that has broken something once, and the good ones that fuzzing begins with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import CRASHES, TARGETS, seeds


@pytest.mark.parametrize("path", sorted(CRASHES.iterdir()), ids=lambda p: p.name)
def test_an_input_that_broke_something(path: Path) -> None:
    """It gets an answer or a clear error now. Its kind is the first word of its name."""
    TARGETS[path.name.split("-")[0]](path.read_bytes())


@pytest.mark.parametrize("kind", TARGETS)
def test_the_driver_works(kind: str) -> None:
    """Its first good input is taken, and so is that with its end cut off."""
    seed = next(seeds(kind))
    TARGETS[kind](seed)
    TARGETS[kind](seed[: len(seed) * 2 // 3])
