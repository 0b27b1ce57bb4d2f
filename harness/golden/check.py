"""A judgement held against the author's verdict and the golden file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from harness.dsl.nodes import Trace
from harness.engine.judge import Judgement
from harness.files import write
from harness.golden.compare import differences
from harness.golden.store import MAX_BYTES, Golden, GoldenError, dump, load
from harness.resources import display


class Status(Enum):
    """What can come of one case; the names are what is printed."""

    OK = "ok"
    VERDICT = "wrong verdict"
    GOLDEN = "differs"
    MISSING = "no golden file"
    SKIPPED = "not judged"
    UNBUILT = "not built"

    @property
    def failed(self) -> bool:
        return self in (Status.VERDICT, Status.GOLDEN, Status.MISSING)

    @property
    def skipped(self) -> bool:
        """Whether there is no outcome to compare."""
        return self in (Status.SKIPPED, Status.UNBUILT)


@dataclass(slots=True)
class Result:
    """One case, its status, and lines that explain it."""

    judgement: Judgement
    status: Status
    found: list[str] = field(default_factory=list)

    @property
    def details(self) -> list[str]:
        return [self.judgement.unsupported] if self.status.skipped else self.found


def examine(judgements: list[Judgement], golden: Golden | None) -> list[Result]:
    """Hold the judgements of one trace against its verdicts and its golden file.

    A kernel that the author does not speak of is shown, not held against
    anything.
    """
    return [_examine(judgement, golden) for judgement in judgements]


def _examine(judgement: Judgement, golden: Golden | None) -> Result:
    case, outcome = judgement.case, judgement.outcome
    if not judgement.agrees:
        details = [f"line {case.verdict.line} says: {case.verdict}"] if case.verdict else []
        details.append(f"the model: {judgement.text}")
        details += (
            [f"  line {n}: {v.kind}: {v.text}" for n, v in outcome.violations] if outcome else []
        )
        return Result(judgement, Status.VERDICT, details)
    if outcome is None:
        return Result(judgement, Status.SKIPPED if case.built else Status.UNBUILT)
    if case.verdict is None:
        return Result(judgement, Status.OK)
    if golden is None or case.label not in golden:
        command = f"kvm-replay run --update {case.trace.path}"
        return Result(judgement, Status.MISSING, [f"no golden file yet: `{command}` writes it"])
    details = differences(golden[case.label], outcome.plain())
    return Result(judgement, Status.GOLDEN if details else Status.OK, details)


def update(trace: Trace, judgements: list[Judgement], path: Path, whole: bool) -> str | None:
    """Bring the golden file in `path` up to date; say what changed, None if nothing did.

    Unless the `whole` trace has been judged, cases that were not run keep what
    the file says of them. A file that is right already is not touched. The
    caller has seen to it that every verdict agrees.
    """
    old = load(path)
    ran = {
        j.case.label: j.outcome.plain()
        for j in judgements
        if j.outcome is not None and j.case.verdict is not None
    }
    new: Golden = ran if whole else {**(old or {}), **ran}
    text = dump(trace, new)
    if len(text) > MAX_BYTES:
        raise GoldenError(f"{display(path)}: would be larger than {MAX_BYTES >> 20} MiB")
    if old == new and path.read_text(encoding="utf-8") == text:
        return None
    write(path, text, parents=True)
    if old is None:
        return f"written, {len(new)} cases"
    changed = [label for label in new if old.get(label) != new[label]]
    gone = [label for label in old if label not in new]
    parts = [f"{len(changed)} changed: {', '.join(changed)}"] if changed else []
    parts += [f"{len(gone)} gone: {', '.join(gone)}"] if gone else []
    return "; ".join(parts) or "layout only"
