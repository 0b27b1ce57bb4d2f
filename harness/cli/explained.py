"""What `kvm-replay explain` says, as a document for machines."""

from __future__ import annotations

from typing import Any, NamedTuple

from harness.dsl import Trace
from harness.engine import Step
from harness.model.catalogue import Kernel
from harness.model.values import Val
from harness.report.cause import Cause, Link
from harness.report.story import source_of
from harness.search.culprit import Cure
from harness.search.reach import spans


class Against(NamedTuple):
    """The kernel to compare with, how it was chosen, and what would end what goes wrong.

    `how` is `cure`, `header`, `asked` or, without a kernel, `none`.
    """

    kernel: Kernel | None
    how: str
    cures: tuple[Cure, ...]


def document(
    trace: Trace, kernel: Kernel, mode: str, against: Against, causes: list[Cause]
) -> dict[str, Any]:
    """The document, as docs/schemas/explain.1.json has it."""
    return {
        "schema": "kvm-replay/explain/1",
        "trace": trace.id,
        "title": trace.title,
        "kernel": kernel.name,
        "mode": mode,
        "against": None if against.kernel is None else against.kernel.name,
        "against_is": against.how,
        "violations": [_plain_cause(trace, cause) for cause in causes],
        "cures": [
            [
                {
                    "sign": sign,
                    "fix": fix.id,
                    "landed": fix.landed,
                    "commits": [{"id": c.id, "title": c.title} for c in fix.commits],
                }
                for sign, fix in cure.edits
            ]
            for cure in against.cures
        ],
        "sources": {
            "links": list(trace.links),
            "mails": [{"date": d, "who": w, "subject": s} for d, w, s in trace.mails],
            "commits": [{"id": commit, "title": title} for commit, title in trace.commits],
            "recordings": list(trace.recordings),
        },
        "releases": [
            {
                "first": span.first,
                "last": span.last,
                "built": span.built.lstrip("+"),
                "violates": None if span.what is None else list(span.what),
            }
            for span in spans(trace, mode)
        ],
    }


def _plain_cause(trace: Trace, cause: Cause) -> dict[str, Any]:
    violation, seen = cause.violation, cause.last_seen
    links = [_plain_link(trace, link) for link in cause.links]
    return {
        "number": cause.number,
        "line": cause.line,
        "event": _plain_event(trace, cause.step),
        "invariant": violation.kind,
        "who": violation.who,
        "what": violation.what,
        "text": violation.text,
        "against_violates": cause.shared,
        "proven": bool(links) and cause.proven,
        "cause": links[0] if links else None,
        "did": cause.did,
        "chain": links[1:],
        "inevitable": _plain_event(trace, cause.inevitable),
        "got": _plain_value(violation.got, cause.got_from),
        "want": _plain_value(violation.want, cause.want_from),
        "last_seen": None if seen is None else {"line": seen.line, "places": seen.places},
        "gone_after": _plain_event(trace, cause.gone_after),
    }


def _plain_link(trace: Trace, link: Link) -> dict[str, Any]:
    return {
        "event": _plain_event(trace, link.step),
        "differences": [
            {"place": d.place, "kernel": d.bad, "against": d.good} for d in link.differences
        ],
    }


def _plain_event(trace: Trace, step: Step | None) -> dict[str, Any] | None:
    if step is None:
        return None
    return {"line": step.event.line, "text": source_of(trace, step.event)}


def _plain_value(value: Val | None, origin: str) -> dict[str, Any] | None:
    return None if value is None else {"value": f"{value.bits:#x}", "from": origin}
