"""Who imports whom: docs/design.md says which way, and there is no circle."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

# An import for types alone counts as well: who reads one module needs the other.
GRAPH = grimp.build_graph("harness", exclude_type_checking_imports=False)
# What may not be imported from where, also by way of others.
APART = [
    ("harness.model", ["harness.dsl", "harness.engine", "harness.search", "harness.cli"]),
    ("harness.dsl", ["harness.engine", "harness.search", "harness.cli", "harness.report"]),
    ("harness.engine", ["harness.golden", "harness.search", "harness.cli", "harness.report"]),
    ("harness.search", ["harness.golden", "harness.cli", "harness.report"]),
    ("harness.report", ["harness.cli"]),
    ("harness.model.arm64", ["harness.model.riscv"]),
    ("harness.model.riscv", ["harness.model.arm64"]),
    *(
        (f"harness.model.{arch}.{lower}", [f"harness.model.{arch}.{upper}" for upper in upper_ones])
        for arch in ("arm64", "riscv")
        for lower, upper_ones in (("cpu", ("host", "kvm")), ("host", ("kvm",)))
    ),
]


def test_no_circle() -> None:
    imports = {module: GRAPH.find_modules_directly_imported_by(module) for module in GRAPH.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(("lower", "uppers"), APART)
def test_a_layer_imports_what_stands_to_its_left(lower: str, uppers: list[str]) -> None:
    for upper in uppers:
        found = sorted(" -> ".join(chain) for chain in GRAPH.find_shortest_chains(lower, upper))
        assert found == []


@pytest.mark.parametrize("arch", ["arm64", "riscv"])
def test_the_kernel_knows_nothing_of_what_acts_on_it(arch: str) -> None:
    """host/ and kvm/ import from their own architecture each other and the CPU alone."""
    root = f"harness.model.{arch}"
    allowed = tuple(f"{root}.{layer}" for layer in ("cpu", "host", "kvm"))
    for module in GRAPH.modules:
        if module.startswith((f"{root}.host", f"{root}.kvm")):
            for other in GRAPH.find_modules_directly_imported_by(module):
                assert not other.startswith(root) or other.startswith(allowed), (module, other)
