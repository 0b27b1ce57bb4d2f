"""What a snapshot can have, as `expect` may ask of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.dsl import read_trace
from harness.engine import Replay
from harness.engine.judge import cases
from harness.model import architecture
from harness.model.base import Shape
from harness.model.observing import observed_state, unknown_place
from harness.resources import folder

TRACES = sorted(folder("traces").rglob("*.trace"))
SHAPE: Mapping[str, Shape] = {
    "current": None,
    "henvcfg": ("pmm", "adue"),
    "regs": re.compile(r"v\d+"),
    "data": {"fp_owner": None},
    "fwft.misaligned": None,
}


def strange(shape: Shape, node: Any, path: tuple[str, ...] = ()) -> list[str]:
    """The places of a snapshot that its shape does not know."""
    if isinstance(node, dict) and not (isinstance(shape, Mapping) and not node):
        here = [(name, below) for name, below in node.items()]
        found = []
        for name, below in here:
            if unknown_place(shape, (name,)):
                found.append(".".join((*path, name)))
            elif isinstance(shape, Mapping):
                found += strange(shape[name], below, (*path, name))
        return found
    if isinstance(node, str) and isinstance(shape, tuple):
        names = [word.partition("=")[0] for word in node.split() if "=" in word]
        return [".".join((*path, name)) for name in names if name not in shape]
    return []


@pytest.mark.parametrize("path", TRACES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_snapshot_is_of_the_shape_that_expect_goes_by(path: Path) -> None:
    trace = read_trace(path)
    shown = architecture(trace.arch).shown
    vcpus = {name for name, *_ in trace.vcpus}
    for case in cases(trace):
        if case.unsupported:
            continue
        replay = Replay(trace, case.kernel, case.mode)
        for _ in replay.steps():
            pass
        for name, tree in replay.model.snapshot().items():
            kind = "cpu" if name.startswith("cpu") else "vcpu" if name in vcpus else "task"
            assert strange(shown[kind], tree, (name,)) == [], case.label


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("current", ""),
        ("henvcfg.pmm", ""),
        ("regs.v3", ""),
        ("data.fp_owner", ""),
        ("fwft.misaligned", ""),
        ("curent", "there is no 'curent' (did you mean 'current'?)"),
        ("henvcfg.pnm", "there is no field 'pnm': expected pmm or adue"),
        ("henvcfg.pmm.x", "there is no field 'pmm'"),
        ("regs.q3", "there is no 'q3' in regs"),
        ("data.owner", "there is no 'owner'"),
        ("current.x", "there is no 'x' in current"),
    ],
)
def test_a_place_that_there_is_not(path: str, says: str) -> None:
    said = unknown_place(SHAPE, path.split("."))
    assert said.startswith(says) if says else said == ""


@pytest.mark.parametrize(
    ("path", "want", "holds"),
    [
        ("cpu0.henvcfg.pmm", "0", True),
        ("cpu0.henvcfg.adue", "1", True),
        ("cpu0.henvcfg.adue", "0", False),
        ("cpu0.henvcfg.adue", "nothing", False),
        ("cpu0.hedeleg", "0", True),
        ("cpu0.hedeleg", "nothing", True),
        ("cpu0.zcr", "nothing", True),
        ("cpu0.zcr", "0", True),
        ("cpu0.hedeleg", "1", False),
    ],
)
def test_nothing_is_zero(path: str, want: str, holds: bool) -> None:
    snapshot = {"cpu0": {"henvcfg": "adue=0b1", "zcr": "0x0"}}
    assert (observed_state(snapshot, tuple(path.split(".")), want) == "") is holds
