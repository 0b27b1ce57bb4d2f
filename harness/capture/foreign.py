"""What a file is that holds no recording, and what to do about it.

People attach what they have: the output of another tool, another format of the same
tool, an archive. A refusal names it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_RECORD = "record with the script that `kvm-replay probes` prints"
_PLAIN = "record again after `echo nolatency-format > trace_options`"


class Foreign(NamedTuple):
    """Something that is not a recording: how to tell, its name, and what to do."""

    pattern: re.Pattern[str]
    name: str
    advice: str


# The first bytes of a file (or what its compression holds): offset, bytes, name, advice.
_MAGIC = (
    (0, b"\x17\x08Dtra", "a trace.dat", "`trace-cmd report -i {path}` makes text of it"),
    (0, b"PERFILE2", "perf's perf.data", _RECORD),
    (0, b"PK\x03\x04", "a zip archive", "`unzip -p {path}` gives what is in it"),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd", "`zstd -d {path}` first"),
    (0, b"\x04\x22\x4d\x18", "compressed by lz4", "`lz4 -d {path}` first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (0, b"\x7fELF", "an ELF image", "`kvm-replay identify {path}` reads it"),
    (257, b"ustar", "a tar archive", "`tar -xf {path}` gives what is in it"),
)

_TEXT = (
    Foreign(
        re.compile(r"^# tracer: function_graph|^ *(?:[\d.]+ +\| +)?\d+\) +.*\| ", re.M),
        "output of the function_graph tracer",
        "it has no callers: record with `echo function > current_tracer`",
    ),
    Foreign(
        re.compile(r"Dumping ftrace buffer", re.M),
        "an ftrace dump in a kernel log",
        "it is in the latency format: record with `cat /sys/kernel/tracing/trace`",
    ),
    Foreign(
        re.compile(r"\[[0-9a-f]{8}\] \d+\.\d+ms \([+-]?\d+\.\d+ms\):", re.M),
        "in the verbose format of tracefs",
        "record again after `echo noverbose > trace_options`",
    ),
    Foreign(
        re.compile(r"^# .*latency trace v\d|-\d+ +\d+[^\s\d]\S{2,6} +\d+us ?[-+!#*@$]* ?:", re.M),
        "in the latency format of tracefs",
        _PLAIN,
    ),
    Foreign(
        re.compile(r"-\d+ +\d+[.dDbBX]\S{3,5} +\d+\.\d{6,9}: ", re.M),
        "output of `trace-cmd report -l`",
        "`trace-cmd report` without -l prints what is read",
    ),
    Foreign(re.compile(r"^Attach(?:ing|ed) \d+ probes?", re.M), "output of bpftrace", _RECORD),
    Foreign(
        re.compile(
            r"^ *\S.{0,40}? +-?\d+(?:/-?\d+)? +(?:\[\d+\] +)?\d+\.\d{6,9}: +(?:\d+ +)?"
            r"[\w-]+:[\w-]+:",
            re.M,
        ),
        "output of `perf script`",
        _RECORD,
    ),
    Foreign(
        re.compile(r"^\[\d\d:\d\d:\d\d\.\d{9}\] \([+?].*?\) ", re.M),
        "output of babeltrace (LTTng)",
        _RECORD,
    ),
    Foreign(
        re.compile(r'^\s*[\[{]\s*(?:\{\s*)?"', re.M),
        "JSON",
        "expected the text of `cat /sys/kernel/tracing/trace`",
    ),
    Foreign(
        re.compile(
            r"^(?:\[pid +\d+\] |\d+ +)?(?:[\d:.]+ )?[a-z_]\w*\(.*(?:\) += |<unfinished)", re.M
        ),
        "output of strace",
        _RECORD,
    ),
    Foreign(
        re.compile(r"^(?:<\d+>)?\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? \S", re.M),
        "a kernel log",
        _RECORD,
    ),
)
_COUNTED = (
    "in ticks of a clock that is not in seconds",
    "record again after `echo mono > trace_clock`",
)
GRAPH = ("funcgraph_entry", "funcgraph_exit")


def by_magic(start: bytes, path: str) -> str:
    """What a file is by its first bytes; "" for what may be text."""
    for at, magic, name, advice in _MAGIC:
        if start[at : at + len(magic)] == magic:
            return f"this is {name}; {advice.format(path=path)}"
    return ""


def by_text(sample: str) -> str:
    """What text is of which no line is an event; "" for what is not known."""
    for foreign in _TEXT:
        if foreign.pattern.search(sample):
            return f"this is {foreign.name}; {foreign.advice}"
    return ""


def graph() -> str:
    """The refusal of function_graph in `trace-cmd report`."""
    return f"this is {_TEXT[0].name}; {_TEXT[0].advice}"


def counted() -> str:
    """The refusal of time stamps that are not seconds."""
    return f"its time stamps are {_COUNTED[0]}; {_COUNTED[1]}"
