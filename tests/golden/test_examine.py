"""Judgements held against verdicts and golden files, and golden files brought up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.dsl import Trace
from harness.engine import Judgement, judge_all
from harness.golden import Status, examine, load, update
from tests.dsl.samples import SAMPLE, read

TWO = (
    SAMPLE.replace("verdict", "verdict v6.17 holds\nverdict")
    .replace("A sve;", "A;")
    .replace("B sve }", "B }")
)


def judged(folder: Path, text: str, kernels: tuple[str, ...] = ()) -> list[Judgement]:
    """The judgements of the trace that `text` is."""
    return judge_all(read(folder, text), kernels)


def golden_of(judgements: list[Judgement]) -> dict[str, dict[str, object]]:
    """A golden file's content that agrees with `judgements`."""
    return {j.case.label: j.outcome.plain() for j in judgements if j.outcome is not None}


def statuses(judgements: list[Judgement], golden: dict[str, dict[str, object]]) -> list[Status]:
    """What comes of `judgements` held against `golden`."""
    return [r.status for r in examine(judgements, golden)]


def test_as_expected(tmp_path: Path) -> None:
    """A case that shows what its golden file says is ok."""
    js = judged(tmp_path, SAMPLE)
    assert statuses(js, golden_of(js)) == [Status.OK, Status.OK]


def test_no_golden_file(tmp_path: Path) -> None:
    """Without a golden file a case is not as expected."""
    assert [r.status for r in examine(judged(tmp_path, SAMPLE), None)] == [Status.MISSING] * 2


def test_case_not_in_the_golden_file(tmp_path: Path) -> None:
    """A case that the golden file lacks is reported as such, the others are not."""
    js = judged(tmp_path, SAMPLE)
    golden = golden_of(js)
    del golden["v6.16 nvhe"]
    assert statuses(js, golden) == [Status.OK, Status.MISSING]


def test_difference(tmp_path: Path) -> None:
    """A case that shows something else than its golden file says differs, with the details."""
    js = judged(tmp_path, SAMPLE)
    golden = golden_of(js) | {"v6.16 vhe": {"counts": {"saves": 7}}}
    first, second = examine(js, golden)
    assert (first.status, second.status) == (Status.GOLDEN, Status.OK)
    assert first.details == ["counts: expected {saves: 7}, got nothing"]


def test_wrong_verdict_says_who_says_what(tmp_path: Path) -> None:
    """A verdict that the model does not share is shown with its line and the model's own."""
    js = judged(tmp_path, SAMPLE.replace("v6.16 holds", "v6.16 violates lost"))
    result = examine(js, golden_of(js))[0]
    assert result.status is Status.VERDICT
    assert result.details == ["line 4 says: violates lost", "the model: holds"]


def test_wrong_verdict_lists_the_violations(tmp_path: Path) -> None:
    """What the model found is listed under a verdict that denies it."""
    result = examine(judged(tmp_path, SAMPLE + "expect read v0 = 2\n"), None)[0]
    assert result.details[-1] == "  line 10: expect: `expect read v0 = 2`: it read 0x1"


def test_kernel_nobody_speaks_of(tmp_path: Path) -> None:
    """A kernel that no verdict names is held against nothing."""
    results = examine(judged(tmp_path, SAMPLE, ("v6.18",)), {})
    assert [r.status for r in results] == [Status.OK, Status.OK]


def test_kernel_that_cannot_run_it(tmp_path: Path) -> None:
    """A kernel that cannot run the trace is not judged, and says why."""
    (result, _) = examine(judged(tmp_path, SAMPLE, ("v4.15",)), {})
    assert result.status is Status.SKIPPED
    assert result.details == ["KVM has no SVE guests (until kvm-sve-guest)"]


@pytest.mark.parametrize("status", Status)
def test_failed(status: Status) -> None:
    """Only a case that was judged and is as expected, or was not judged, has not failed."""
    assert status.failed == (status is not Status.OK and not status.skipped)


# Update -----------------------------------------------------------------------------


def _update(folder: Path, text: str, kernels: tuple[str, ...] = ()) -> str | None:
    trace: Trace = read(folder, text)
    return update(trace, judge_all(trace, kernels), folder / "x.yaml", whole=not kernels)


def test_update_writes(tmp_path: Path) -> None:
    """A golden file that is not there is written."""
    assert _update(tmp_path, SAMPLE) == "written, 2 cases"
    assert set(load(tmp_path / "x.yaml") or {}) == {"v6.16 vhe", "v6.16 nvhe"}


def test_update_does_not_touch_what_is_right(tmp_path: Path) -> None:
    """A golden file that is right already keeps its inode."""
    _update(tmp_path, SAMPLE)
    before = (tmp_path / "x.yaml").stat()
    assert _update(tmp_path, SAMPLE) is None
    after = (tmp_path / "x.yaml").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_update_names_what_changed(tmp_path: Path) -> None:
    """Cases with another outcome are named."""
    _update(tmp_path, SAMPLE)
    assert _update(tmp_path, SAMPLE + 'snapshot "s"\n') == "2 changed: v6.16 vhe, v6.16 nvhe"


def test_update_names_what_is_new(tmp_path: Path) -> None:
    """Cases of a new verdict are named."""
    _update(tmp_path, SAMPLE)
    text = SAMPLE.replace("task", "verdict v6.18 vhe holds\ntask", 1)
    assert _update(tmp_path, text) == "1 changed: v6.18 vhe"


def test_update_names_what_is_gone(tmp_path: Path) -> None:
    """Cases of a verdict that was taken away are named, and leave the file."""
    _update(tmp_path, TWO)
    assert (
        _update(tmp_path, SAMPLE.replace("A sve;", "A;").replace("B sve }", "B }"))
        == "2 gone: v6.17 vhe, v6.17 nvhe"
    )
    assert set(load(tmp_path / "x.yaml") or {}) == {"v6.16 vhe", "v6.16 nvhe"}


def test_update_says_if_only_the_layout_changed(tmp_path: Path) -> None:
    """A golden file edited by hand without another meaning is laid out again."""
    _update(tmp_path, SAMPLE)
    path = tmp_path / "x.yaml"
    text = path.read_text()
    path.write_text(text + "\n# a note\n")
    assert _update(tmp_path, SAMPLE) == "layout only"
    assert path.read_text() == text


def test_update_of_some_kernels_keeps_the_others(tmp_path: Path) -> None:
    """Cases that were not run keep what the file says of them."""
    _update(tmp_path, TWO)
    changed = _update(tmp_path, TWO + 'snapshot "s"\n', ("v6.16",))
    golden = load(tmp_path / "x.yaml") or {}
    assert changed == "2 changed: v6.16 vhe, v6.16 nvhe"
    assert {label for label, outcome in golden.items() if "snapshots" in outcome} == {
        "v6.16 vhe",
        "v6.16 nvhe",
    }
    assert set(golden) == {f"{k} {m}" for k in ("v6.17", "v6.16") for m in ("vhe", "nvhe")}


def test_update_of_a_kernel_nobody_speaks_of(tmp_path: Path) -> None:
    """A kernel that no verdict names does not get into the golden file."""
    _update(tmp_path, SAMPLE)
    assert _update(tmp_path, SAMPLE, ("v6.16",)) is None
