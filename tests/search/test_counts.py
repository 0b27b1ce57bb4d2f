"""How many states there are within small bounds: a change of the model's form leaves them alone.

    python -m tests.search.test_counts > tests/search/data/counts.tsv

writes the figures anew, after a change of what the model does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model import architecture
from harness.model.catalogue import RELEASES
from harness.search import canon, memo
from harness.search.bounds import Bounds
from harness.search.explore import Search
from tests.search.test_explore import SMALL

FILE = Path(__file__).parent / "data" / "counts.tsv"
# Beside the kernel that the bounds are for: before SVE in guests, and the newest.
KERNELS = {"arm64": ("v4.17", RELEASES[-1]), "riscv": ("v6.2", RELEASES[-1])}


def cases() -> Iterator[tuple[str, Bounds]]:
    for name, within in SMALL.items():
        arch = architecture(within.arch)
        kernels = [within.kernel]
        for spec in KERNELS[within.arch]:
            kernel = arch.catalogue.kernel(spec)
            if not arch.unsupported(kernel, within.mode, within.world):
                kernels.append(kernel)
        for kernel in kernels:
            yield f"{name} {kernel.name}", dataclasses.replace(within, kernel=kernel)


def counted(within: Bounds, plain: bool = False) -> str:
    """States, transitions, and each way in which something goes wrong or costs too much.

    Many of the steps that the search knows are compared with the model's.
    """
    search = Search(dataclasses.replace(within, plain=plain, verify=3), every=True)
    search.run()
    tally = search.tally
    ways = sorted(" ".join(map(str, way)) for way in tally.found)
    costs = sorted(tally.costs)
    return f"{len(search.tree)}\t{tally.transitions}\t{', '.join(ways)}\t{', '.join(costs)}"


PINNED = dict(line.split("\t", 1) for line in FILE.read_text(encoding="utf-8").splitlines())


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("name", "within"), [*cases()], ids=lambda v: v if isinstance(v, str) else ""
)
def test_as_many_states_as_before(name: str, within: Bounds) -> None:
    assert counted(within) == PINNED[name]


@pytest.mark.long
@pytest.mark.parametrize("name", ["two CPUs", "life", "riscv"])
def test_what_is_forgotten_is_asked_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a limit to what is known, of steps, of states and of parts of states."""
    whole = counted(SMALL[name])
    for module, limit in ((memo, "_LEAVES"), (memo, "_EXACT"), (canon, "_KEPT")):
        monkeypatch.setattr(module, limit, 40)
    assert counted(SMALL[name]) == whole


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", SMALL)
def test_what_is_known_is_what_the_model_does(name: str) -> None:
    """As much as where the model is run for every step, and two kernels side by side too."""
    within = SMALL[name]
    assert counted(within) == counted(within, plain=True)
    other = dataclasses.replace(within, other=within.kernel, depth=within.depth - 1)
    assert counted(other) == counted(other, plain=True)


def main() -> None:
    for name, within in cases():
        print(f"{name}\t{counted(within)}")


if __name__ == "__main__":
    main()
