"""Bounds that are small enough to be searched in a test."""

from __future__ import annotations

from typing import Any

from harness.model import architecture
from harness.model.world import World
from harness.search.bounds import Bounds

VECTORS: dict[str, tuple[str, ...]] = {"isa": ("f", "d", "v", "zicboz")}
SVE = {"sve": (16, 64)}
SME = {**SVE, "sme": (16, 64)}


def world(
    cpus: int = 1,
    tasks: int = 2,
    vcpus: int = 1,
    features: tuple[str, ...] = (),
    settings: dict[str, tuple[int, int]] | None = None,
    words: dict[str, tuple[str, ...]] | None = None,
) -> World:
    names = "ABCDEF"[:tasks]
    first = tuple((name, 0 if n == 0 else -1) for n, name in enumerate(names))
    machines = tuple((f"v{n}", names[n % tasks], features) for n in range(vcpus))
    return World({"cpus": (cpus, cpus)} | (settings or {}), first, (), machines, words or {})


def bounds(spec: str, mode: str, w: World, depth: int, **more: Any) -> Bounds:
    arch = architecture(more.pop("arch", "arm64"))
    if "other" in more:
        more["other"] = arch.catalogue.kernel(more["other"])
    explorable = arch.explorable
    assert explorable is not None
    groups = more.pop("groups", explorable.usual)
    if "other" not in more:
        more.setdefault(
            "noted", tuple(n for n in explorable.waste if n not in more.get("budget", ()))
        )
    return Bounds(arch.name, arch.catalogue.kernel(spec), mode, w, groups, depth, **more)
