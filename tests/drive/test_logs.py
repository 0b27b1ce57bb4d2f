"""What real kernels answered when traces were driven on them: `tests/drive/logs`.

The logs are of `kvm-replay rig arm64 --kernel SERIES --mode MODE -o DIR arm64`: every trace that
can be driven, on Debian's kernels, each on the CPU that it needs. The model of a kernel must give
every answer in its logs, and a model without some fix must not.
"""

from __future__ import annotations

import pytest

from harness.model.catalogue import Kernel
from tests.drive.table import CATALOGUE, NAMES, PAGE, held, log_of, of, with_table

# The bugs of these kernels that a program can see by itself.
NOT_OK = {
    ("debian-6.12.118", "vhe"): {"prctl-vl-loses-v", "prctl-vl-resurrects-stale-v"},
    ("debian-6.12.118", "nvhe"): {"prctl-vl-resurrects-stale-v"},
}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_of_debian_answers_as_the_model_says(name: str) -> None:
    kernel, _ = of(name)
    log, tests = log_of(name), held(name, kernel)
    assert log.whole
    assert log.release.startswith(kernel.name.removeprefix("debian-").rsplit(".", 1)[0])
    assert [(test.ran.id, test.held.differs) for test in tests if test.held.differs] == []
    assert not any(test.ran.lost for test in tests)
    assert all(test.held.compared for test in tests)


@pytest.mark.parametrize("kernel", sorted({of(name)[0].name for name in NAMES}))
def test_what_programs_have_not_got_is_what_is_known(kernel: str) -> None:
    for mode in ("vhe", "nvhe", "hvhe", "protected"):
        logs = [name for name in NAMES if name.startswith(f"{kernel}-{mode}-")]
        wrong = {t.id.split("/")[1] for name in logs for t in log_of(name).tests if t.unentitled}
        assert wrong == NOT_OK.get((kernel, mode), set()), mode


def seen(kernel: Kernel, logs: list[str]) -> set[str]:
    """The fixes of a kernel without which the model would not answer as the logs have it."""
    found = set()
    for fix in CATALOGUE.fixes.values():
        if fix.id not in kernel.fixes or not fix.switch:
            continue
        other = CATALOGUE.without(kernel, fix.id)
        if any(test.held.differs for name in logs for test in held(name, other)):
            found.add(fix.id)
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    ("kernel", "least"), [("debian-7.3.4", 55), ("debian-6.12.118", 30), ("debian-6.1.192", 20)]
)
def test_a_model_without_a_fix_is_noticed(kernel: str, least: int) -> None:
    """A quiet log means something: so many fixes show in what programs and guests read."""
    logs = [name for name in NAMES if name.startswith(f"{kernel}-vhe-")]
    assert len(seen(CATALOGUE.kernel(kernel), logs)) >= least


def test_the_table_is_of_these_logs() -> None:
    """`python -m tests.drive.table` makes it anew."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page
