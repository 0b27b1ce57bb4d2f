"""What a VMM sets, tried with every kind of register and number: what was lost is found by that."""

from __future__ import annotations

import pytest

from harness.model.riscv.kvm.uapi import groups, known_names
from harness.model.riscv.settings import representatives, settings
from harness.search.explore import Search
from tests.search.worlds import bounds, world

WORDS: dict[str, tuple[str, ...]] = {"isa": (), "firmware": ("misaligned",)}
Words = dict[str, tuple[str, ...]]
LOST: dict[str, tuple[Words, set[str]]] = {
    "v6.18-hedeleg-init-early": (WORDS, {"hedeleg, misaligned"}),
    "v6.2-config-size-check": ({}, {"config.mvendorid", "config.marchid", "config.mimpid"}),
    "v6.12": ({"isa": ("zicbom",)}, {"config.zicbom_block_size"}),
    "v6.6": ({}, {"sbi_ext.time", "sbi_ext.hsm"}),
    "v6.19": ({}, {"aia.siselect"}),
}


def lost(spec: str, words: Words) -> set[tuple[str, str]]:
    within = bounds(
        *(spec, "rv64", world(1, 1, 1, words=words), 2), arch="riscv", groups=("run", "onereg")
    )
    search = Search(within, every=True)
    search.run()
    return set(search.tally.found)


@pytest.mark.long
@pytest.mark.parametrize("spec", LOST)
def test_what_a_setter_accepted_is_followed(spec: str) -> None:
    words, registers = LOST[spec]
    assert {what for kind, what in lost(spec, words) if kind == "set-lost"} >= registers


@pytest.mark.long
def test_the_newest_kernel_keeps_what_it_accepts() -> None:
    isa = ("f", "d", "v", "zicbom", "ssnpm", "smstateen", "ssaia", "sstc")
    assert not lost("v7.2", {"isa": isa, "firmware": ("misaligned",)})


def test_every_group_of_registers_is_tried() -> None:
    isa = known_names("isa_ext")
    tried = {name.partition(".")[0] for name in representatives(isa)}
    assert tried == set(groups())
    assert {f"isa_ext.{name}" for name in isa} <= set(representatives(isa))
    assert len({*settings(isa, 16)}) == len([*settings(isa, 16)]) > 400


@pytest.mark.long
@pytest.mark.parametrize("mode", ["vhe", "nvhe"])
def test_arm64_keeps_what_it_accepts(mode: str) -> None:
    """The same on arm64, where what is lost is `lost` or `stale`: each value has its origin."""
    machine = {"sve": (16, 64), "fpmr": (1, 1), "brps": (1, 1)}
    w = world(1, 1, 1, ("sve", "fpmr"), machine)
    search = Search(bounds("v7.2", mode, w, 3, groups=("run", "onereg", "vmm")), every=True)
    search.run()
    assert not search.tally.found
    assert {args[1][0] for _, verb, args in search.explorer.events if verb == "one_reg_set"} == {
        *("v", "fpsr", "fpcr", "fpmr", "cpacr_el1", "dbgbvr0_el1", "z", "p", "ffr", "zcr_el1")
    }
