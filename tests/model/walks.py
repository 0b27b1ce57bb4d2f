"""Random walks on machines of every architecture and mode."""

from __future__ import annotations

from typing import Any, NamedTuple

from harness.model import architecture
from harness.model.world import World
from tests.model.arm64 import walk as arm64
from tests.model.riscv import walk as riscv

_ALL, _DEBUG = arm64.world(True, True, True), arm64.world(True, False, True, debug=True)
WORLDS: dict[str, dict[str, World]] = {
    "arm64": {"sme": _ALL, "debug": _DEBUG, "plain": arm64.world(False, False, False)},
    "riscv": {name: riscv.WORLDS[name] for name in ("all", "much", "two equal hosts")},
}
SPECS = {"arm64": ("v4.16", "v5.19", "v6.6", "v7.3"), "riscv": ("v6.2", "v6.12", "v7.3")}


class Setup(NamedTuple):
    """A machine: two of one setup differ in nothing but what has happened on them."""

    arch: str
    spec: str
    mode: str
    world: World

    def machine(self) -> Any:
        kernel = architecture(self.arch).catalogue.kernel(self.spec)
        return architecture(self.arch).machine(kernel, self.mode, self.world, False)

    def walk(self, seed: int, steps: int) -> Any:
        """A walk on such a machine, so many steps on if there is anybody left to take them."""
        if self.arch == "arm64":
            way: Any = arm64.Walk(self.spec, self.mode, self.world, seed)
        else:
            way = riscv.Walk(self.spec, self.world, seed)
        for _ in range(steps):
            way.step()
        return way

    def alphabet(self) -> Any:
        return (arm64 if self.arch == "arm64" else riscv).alphabet(self.world)

    def fill(self, event: Any, step: int) -> Any:
        return (arm64 if self.arch == "arm64" else riscv).fill(event, step)


def _setups() -> dict[str, Setup]:
    found = {}
    for arch, worlds in WORLDS.items():
        it = architecture(arch)
        for mode in it.modes:
            for spec in SPECS[arch]:
                for name, world in worlds.items():
                    if not it.unsupported(it.catalogue.kernel(spec), mode, world):
                        found[f"{mode} {spec} {name}"] = Setup(arch, spec, mode, world)
    return found


SETUPS = _setups()
