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
    "current": "",
    "hedeleg": "0",
    "zcr": "",
    "dirty": "no",
    "cptr": {"zen": ""},
    "henvcfg": ("pmm", "adue"),
    "regs": re.compile(r"v\d+"),
    "data": {"fp_owner": "FREE"},
    "fwft.misaligned": "",
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
    if isinstance(node, str) and isinstance(shape, tuple | Mapping):
        names = [word.partition("=")[0] for word in node.split() if "=" in word]
        return [".".join((*path, name)) for name in names if name not in shape]
    return []


@pytest.mark.one_in(6)
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
    assert (said or "").startswith(says) if says else said is None


SNAPSHOT = {
    "cpu0": {
        "henvcfg": "adue=0b1",
        "zcr": "0x0",
        "cptr": "zen=0b11",
        "regs": {"v0-v7": "0x6e (neon)", "z9": "0xa1 (A), 0xa2 (A)", "v8": "0xa1 (A) x4"},
        "flags": ["TIF_A", "TIF_B"],
    },
    "A": {"state": "dead"},
}


@pytest.mark.parametrize(
    ("path", "want", "holds"),
    [
        ("henvcfg.pmm", "0", True),
        ("henvcfg.adue", "1", True),
        ("henvcfg.adue", "0", False),
        ("henvcfg.adue", "nothing", False),
        ("hedeleg", "0", True),
        ("hedeleg", "nothing", True),
        ("hedeleg", "1", False),
        ("zcr", "nothing", True),
        ("zcr", "0", True),
        ("current", "0", False),
        ("current", "nothing", True),
        ("dirty", "no", True),
        ("dirty", "yes", False),
        ("data.fp_owner", "FREE", True),
        ("data.fp_owner", "0", False),
        ("cptr.zen", "3", True),
        ("cptr.zen", "0", False),
        ("regs.v3", "0x6e", True),
        ("regs.v3", "110", True),
        ("regs.v3", "0", False),
        ("regs.v9", "0xa1", True),
        ("regs.v9", "0", False),
        ("regs.v8", "x4", False),
        ("regs.v8", "0xA1", True),
        ("regs.v10", "0", True),
        ("flags", "TIF_B", True),
        ("flags", "TIF_C", False),
    ],
)
def test_what_is_left_out_is_zero_or_says_nothing(path: str, want: str, holds: bool) -> None:
    said = observed_state(SNAPSHOT, ("cpu0", *path.split(".")), want, SHAPE)
    assert (said is None) is holds


def test_a_dead_task_has_no_registers() -> None:
    assert observed_state(SNAPSHOT, ("A", "regs", "v0"), "0", SHAPE) == "A is dead"
    assert observed_state(SNAPSHOT, ("A", "state"), "dead", SHAPE) is None
