"""From a trace back to the lines of its header. What happens is written by `write`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from harness.dsl.nodes import Event, Header, Trace
from harness.dsl.syntax import LineError, code_of, parse_line
from harness.model.catalogue import RELEASES

_KNOWN = (
    *("trace", "about", "link", "mail", "commit", "recording", "machine", "needs", "budget"),
    *("verdict", "task", "vm", "class"),
)


def settings(spans: Mapping[str, tuple[int, int]], words: Mapping[str, tuple[str, ...]]) -> str:
    """What a machine has, as it stands in its braces."""
    parts = [
        f"{name} {low}" if low == high else f"{name} {low}..{high}"
        for name, (low, high) in spans.items()
    ]
    return "; ".join([*parts, *(f"{name} {' '.join(those)}" for name, those in words.items())])


def header(trace: Trace) -> list[str]:
    """The header lines of a trace, without its verdicts and its class, which speaks of them.

    A line of another kind than those that stand here is taken over as it is.
    """
    lines = [f'trace "{trace.title}"']
    lines += [f'about "{text}"' for text in trace.about]
    lines += [f'link "{link}"' for link in trace.links]
    lines += [f'mail "{date}" "{who}" "{subject}"' for date, who, subject in trace.mails]
    lines += [f'commit "{commit}" "{title}"' for commit, title in trace.commits]
    lines += [f'recording "{name}"' for name in trace.recordings]
    before, after = _others(trace)
    lines += before
    machine = settings(trace.settings, trace.words)
    lines.append(f"machine {trace.arch} {' '.join(trace.modes)} {{ {machine} }}")
    lines += after
    if trace.needs:
        lines.append(f"needs {', '.join(trace.needs)}")
    if trace.budget:
        lines.append(f"budget {', '.join(f'{name} {most}' for name, most in trace.budget.items())}")
    lines.append(f"verdict {RELEASES[0]} holds")  # a trace has to have one
    lines.append(
        "task " + ", ".join(_task(n, name, cpu) for n, (name, cpu) in enumerate(trace.tasks))
    )
    if trace.vcpus:
        members: dict[int, list[str]] = {}
        for (n, t, f), vm in zip(trace.vcpus, trace.vms or (0,) * len(trace.vcpus), strict=True):
            members.setdefault(vm, []).append(f"vcpu {' '.join((n, 'in', t, *f))}")
        free = _vm_names(trace)
        lines += [f"vm {next(free)} {{ {'; '.join(vcpus)} }}" for vcpus in members.values()]
    return lines


def _others(trace: Trace) -> tuple[list[str], list[str]]:
    """The header lines of other kinds, before the machine line and after it."""
    before: list[str] = []
    after: list[str] = []
    now = before
    for line in trace.source:
        try:
            node = parse_line(line)
        except LineError:  # a source that is no trace
            return [], []
        if isinstance(node, Event):
            break
        if isinstance(node, Header) and node.key == "machine":
            now = after
        elif isinstance(node, Header) and node.key not in _KNOWN:
            now.append(code_of(line).strip())
    return before, after


def _vm_names(trace: Trace) -> Iterator[str]:
    names = {n for n, _ in trace.tasks} | {*trace.unborn, *(v[0] for v in trace.vcpus)}
    every = itertools.chain(("V", "W"), (f"VM{n}" for n in itertools.count()))
    return (name for name in every if name not in names)


def _task(n: int, name: str, cpu: int) -> str:
    if cpu < 0:
        return f"{name} on none" if n == 0 else name
    return name if n == 0 and cpu == 0 else f"{name} on cpu{cpu}"
