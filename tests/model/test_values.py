"""Register banks."""

from __future__ import annotations

from harness.model.values import EMPTY, Bank, Origin, Val, first_difference


def quads(*bits: int) -> tuple[Val, ...]:
    return tuple(Val(b, Origin("A", 1)) for b in bits)


def test_limit_cuts_every_register() -> None:
    """Cut to one quadword, a bank of Z is a bank of V."""
    z = Bank({0: quads(1, 2, 3, 4), 5: quads(0, 7)})
    v = z.limit(1)
    assert v.get(0, 0).bits == 1
    assert v.get(0, 1).bits == 0
    assert 5 not in v.regs


def test_limit_of_what_fits_is_the_same_object() -> None:
    """A save of what is there already costs nothing."""
    v = Bank({0: quads(1)})
    assert v.limit(1) is v
    assert v.limit(4) is v


def test_equality_is_of_bits() -> None:
    """Origins never tell two banks apart."""
    a = Bank({0: (Val(1, Origin("A", 1)),)})
    b = Bank({0: (Val(1, Origin("B", 9)),)})
    assert a.same(b)
    assert a.key == b.key


def test_zero_is_absent() -> None:
    """A register written with zero is as one never written."""
    assert EMPTY.set(3, quads(0, 0)).same(EMPTY)
    assert Bank({3: quads(1)}).set(3, quads(0)).same(EMPTY)


def test_over_keeps_the_high_quadwords() -> None:
    """Laying V over Z changes the lowest quadwords alone."""
    z = Bank({0: quads(1, 2), 1: quads(3)})
    merged = z.over(Bank({0: quads(9), 2: quads(8)}))
    assert [v.bits for v in merged.regs[0]] == [9, 2]
    assert 1 not in merged.regs
    assert merged.get(2).bits == 8


def test_first_difference_names_register_and_quadword() -> None:
    """The lowest register that differs, and the quadword in it."""
    found = first_difference(Bank({1: quads(1, 2)}), Bank({1: quads(1, 3)}))
    assert found is not None
    assert (found[0], found[1], found[2].bits, found[3].bits) == (1, 1, 2, 3)
    assert first_difference(EMPTY, EMPTY) is None
