"""What came of a trace on a kernel before: it is the same on each that answers alike.

A bisection, a matrix or an audit judges a trace on hundreds of kernels. It is replayed for each
set of answers to what it asks them (`model/asked.py`) once.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from harness.dsl.nodes import Trace
from harness.engine.judge import Case, Judgement, judge
from harness.errors import SourceError
from harness.model import patch
from harness.model.asked import Answers
from harness.model.catalogue import Kernel

CANNOT = "an event cannot happen"
TRACES = 1024  # that are remembered; the one that was asked for longest ago is forgotten


class Recalled(NamedTuple):
    """What came of a trace.

    `kinds` are the invariants that are violated, in order, None where the trace cannot be judged.
    `wrong` has the line, the kind and the text of each violation, `text` says it in words.
    """

    kinds: tuple[str, ...] | None
    wrong: tuple[tuple[int, str, str], ...]
    text: str


_KNOWN: OrderedDict[tuple[int, str], tuple[Trace, Answers[Recalled]]] = OrderedDict()
_made_of = [0]  # of which patches of the model


def forget() -> None:
    """Replay everything again: the model has changed."""
    _KNOWN.clear()
    _made_of[0] = patch.changes()


def recall(trace: Trace, kernel: Kernel, mode: str) -> Recalled:
    """What comes of `trace` there. The trace is the object that was asked for before, not a like.

    Such an object is kept alive here, so that another one cannot come to have its address.
    """
    if _made_of[0] != patch.changes():
        forget()
    key = id(trace), mode
    if key not in _KNOWN:
        _KNOWN[key] = trace, Answers()
        if len(_KNOWN) > TRACES:
            _KNOWN.popitem(last=False)
    _KNOWN.move_to_end(key)
    answers = _KNOWN[key][1]
    found = answers.of(
        kernel.fixes, lambda fixes: _judged(Case(trace, Kernel(kernel.name, fixes), mode, None))
    )
    if found.text:
        return found
    case = Case(trace, kernel, mode, None)  # the reason can name the kernel
    return found._replace(text=Judgement(case, None, case.unsupported or "").text)


def _judged(case: Case) -> Recalled:
    try:
        judgement = judge(case)
    except SourceError:
        return Recalled(None, (), CANNOT)
    outcome = judgement.outcome
    if outcome is None:
        return Recalled(None, (), "")
    wrong = tuple((line, v.kind, v.text) for line, v in outcome.violations)
    return Recalled(outcome.kinds, wrong, judgement.text)
