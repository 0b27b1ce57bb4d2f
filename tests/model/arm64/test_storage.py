"""The memory that SVE state is saved to: how much there is, and what is written beyond it."""

from __future__ import annotations

import pytest

from harness.model import architecture
from harness.model.arm64.host.fpsimd import zeroed
from harness.model.arm64.host.state import SveState, sve_sig_regs_size
from harness.model.arm64.machine import Machine
from harness.model.values import Bank, Val
from harness.model.world import World

ARM64 = architecture("arm64")
CHUNK = Val(0xFFFF)


def machine(spec: str = "v7.2", *, sme: bool = False) -> Machine:
    settings = {"cpus": (1, 1), "sve": (16, 64)} | ({"sme": (16, 64)} if sme else {})
    world = World(settings, (("A", 0), ("B", -1)), (), ())
    m = ARM64.machine(ARM64.catalogue.kernel(spec), "vhe", world, False)
    assert isinstance(m, Machine)
    return m


@pytest.mark.parametrize(("vq", "size"), [(1, 546), (2, 1092), (4, 2184), (16, 8736)])
def test_size(vq: int, size: int) -> None:
    """SVE_SIG_REGS_SIZE(): 32 Z of 16 vq bytes, 16 P and the FFR of 2 vq."""
    assert sve_sig_regs_size(vq) == size


def test_a_save_beyond_the_end() -> None:
    """Planted: a buffer for less than is saved."""
    m = machine()
    m.apply("A", "write", (("z", 1), (0xA1,)))
    m.tasks["A"].sve_size = 546
    m.apply("cpu0", "switch", ("A", "B"))
    assert [v.key for v in m.violations] == [("overflow", "A", "sve_state")]


@pytest.mark.parametrize("sme", [False, True])
def test_storage_follows_the_lengths(sme: bool) -> None:
    """It fits the larger of the two lengths, whichever way they change, and a child's too."""
    m = machine(sme=sme)
    for vl in (16, 64, 32):
        m.apply("A", "prctl", ("PR_SVE_SET_VL", vl))
        m.apply("A", "write", (("z", 1), (vl,)))
        task = m.tasks["A"]
        assert task.sve_size == sve_sig_regs_size(max(vl // 16, 2 if sme else 1))
        m.apply("cpu0", "switch", ("A", "B"))
        m.apply("cpu0", "switch", ("B", "A"))
        assert not m.violations


def test_memset_by_bytes() -> None:
    """What a size that is too small leaves: registers, parts of one, parts of a quadword."""
    ones = Val((1 << 128) - 1)
    banks = (
        Bank(dict.fromkeys(range(32), (ones,) * 4)),
        Bank(dict.fromkeys(range(17), (CHUNK,) * 4)),
    )
    state = SveState(*banks)
    z, p = zeroed(state, 546, 4)
    assert [z.get(7, quad).bits for quad in range(4)] == [0] * 4
    assert [z.get(8, quad).bits for quad in range(2)] == [0, 0]
    assert z.get(8, 2).bits == ones.bits & ~0xFFFF
    assert z.get(8, 3) == ones
    assert p.same(state.p)
    z, p = zeroed(state, 32 * 64 + 8 + 2, 4)
    assert not any(val.bits for quads in z.regs.values() for val in quads)
    assert [p.get(1, quad).bits for quad in range(4)] == [0, 0xFFFF, 0xFFFF, 0xFFFF]
    assert zeroed(state, 2184, 4) == SveState()
