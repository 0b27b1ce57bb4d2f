"""The commands that record: a shell script for tracefs, or for trace-cmd.

They follow Documentation/trace/ftrace.rst, kprobetrace.rst and events.rst, and
trace-cmd-record(1). A script needs a POSIX shell (dash and busybox will do), grep, cat,
uname, dmesg and, for state, taskset.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from harness.capture.probes import Plan
from harness.capture.state import Probe, State
from harness.model.probing import Probing

EVENTS = (
    "sched:sched_switch",
    "sched:sched_process_fork",
    "sched:sched_process_exec",
    "sched:sched_process_exit",
    "signal:signal_deliver",
    "raw_syscalls:sys_enter",
    "raw_syscalls:sys_exit",
)
BUFFER_KB = 65536
MARK = "kvm-replay:"


class Stateful(NamedTuple):
    """What `--state` adds: the probes, their state, and the CPUs whose state it is.

    `anchor` and `offsets` are addresses in the image: of the symbol that tells how far
    the kernel was moved, and of each area's array of offsets and start.
    """

    probes: list[Probe]
    state: State
    cpus: list[int]
    anchor: int
    areas: dict[str, tuple[int, int]]


def script(
    plan: Plan, probing: Probing, buffer_kb: int, stateful: Stateful | None, trace_cmd: bool
) -> list[str]:
    """The lines of what `sh record.sh COMMAND...` runs; it leaves `capture.txt`."""
    if trace_cmd and stateful is None:
        return _trace_cmd_alone(plan, probing, buffer_kb)
    undo = "echo > set_ftrace_filter"
    if stateful is not None:
        undo = 'for event in $events; do echo "-:kprobes/$event" >> kprobe_events; done'
    lines = [
        "#!/bin/sh",
        "# As root: sh record.sh COMMAND... runs COMMAND and records it in ./capture.txt",
        "set -eu",
        "out=$PWD/capture.txt tracefs=${TRACEFS:-/sys/kernel/tracing}",
        "skipped= events= status=0",
        '[ -e "$tracefs/trace" ] || mount -t tracefs nodev "$tracefs"',
        'cd "$tracefs"',
        "trap : INT # ends COMMAND alone",
        "trap cleanup EXIT",
        "cleanup() {",
        "    set +e",
        "    echo 0 > tracing_on",
        "    echo > set_event",
        "    echo nop > current_tracer",
        f"    {undo}",
        "}",
        f'fail() {{ echo "{MARK} $*" >&2; exit 2; }}',
        f'skip() {{ echo "{MARK} not traced: $*" >&2; skipped="$skipped $*"; }}',
        f'mark() {{ echo "{MARK} $*" > trace_marker; }}',
        'fact() { [ -z "$2" ] || mark $1 $2; }',
        "",
        "echo 0 > tracing_on",
        "echo nop > current_tracer",
        "echo > set_event",
        "echo > trace",
        "echo mono > trace_clock",
        f"echo {buffer_kb} > buffer_size_kb",
        "",
        *(_function_tracer(plan) if stateful is None else _kprobes(probing, stateful)),
        "",
    ]
    run = '"$@"'
    marks = ["mark kernel $(uname -r)"]
    marks += [f'fact {name} "$({command})"' for name, command in probing.facts]
    marks += ['[ -z "$skipped" ] || mark "not traced:$skipped"']
    if stateful is not None:
        # It is the state of these CPUs alone that is recorded.
        run = f"taskset -c {','.join(map(str, stateful.cpus))} {run}"
        marks += [f"mark layout {name}={at}" for name, at in stateful.state.layout]
    start, stop = _by_trace_cmd(probing, buffer_kb) if trace_cmd else _by_hand(probing, stateful)
    misses = [
        "! grep -v ' 0$' kprobe_profile ||",
        f"    echo '{MARK} calls were missed, as many as the last column says' >&2",
    ]
    return [
        *lines,
        *start,
        *marks,
        "mark begin",
        f'(cd "$OLDPWD"; {run}) || status=$?',
        "mark end",
        *stop,
        "! grep -H '^overrun: [^0]' per_cpu/cpu*/stats ||",
        f"    echo '{MARK} events were lost: the buffers were too small' >&2",
        *(misses if stateful is not None else ()),
        "exit $status",
    ]


def _by_hand(probing: Probing, stateful: Stateful | None) -> tuple[list[str], list[str]]:
    start = [
        *_over_lines(["for event in", *EVENTS, *probing.events]),
        "do",
        '    echo "$event" >> set_event || skip "$event"',
        "done",
    ]
    if stateful is not None:
        start.append("echo 1 > events/kprobes/enable")
    return [*start, "echo 1 > tracing_on"], ["echo 0 > tracing_on", 'cat trace > "$out"']


def _by_trace_cmd(probing: Probing, buffer_kb: int) -> tuple[list[str], list[str]]:
    words = ["trace-cmd start --no-filter", "-C mono", f"-b {buffer_kb}"]
    words += [f"-e {event}" for event in ("kprobes", *EVENTS, *probing.events)]
    report = ['trace-cmd extract -o "$out.dat"', 'trace-cmd report -i "$out.dat" > "$out"']
    return _over_lines(words), ["trace-cmd stop", *report]


def _trace_cmd_alone(plan: Plan, probing: Probing, buffer_kb: int) -> list[str]:
    # --no-filter: otherwise trace-cmd hides what its own threads do to the CPUs.
    words = ["trace-cmd record --no-filter", "-C mono", f"-b {buffer_kb}", "-p function"]
    words += [f"-l {f.symbol}" for f in plan.found]
    words += [f"-e {event}" for event in (*EVENTS, *probing.events)]
    return [*_over_lines([*words, "COMMAND..."]), "trace-cmd report > capture.txt"]


def _over_lines(words: list[str], indent: str = "    ") -> list[str]:
    """A command of many words, none of them broken, over several lines."""
    lines = textwrap.wrap(
        " ".join(word.replace(" ", "\0") for word in words),
        78,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines = [line.replace("\0", " ") for line in lines]
    return [line + " \\" for line in lines[:-1]] + lines[-1:]


def _function_tracer(plan: Plan) -> list[str]:
    return [
        "echo > set_ftrace_filter",
        *_over_lines(["for name in", *(f.symbol for f in plan.found)]),
        "do",
        '    echo "$name" >> set_ftrace_filter || skip "$name"',
        "done",
        "echo function > current_tracer",
    ]


# Numbers of a shell may have 63 bits and a sign: addresses are added by halves.
_ADDRESSES = """\
# What has to be known of this boot: where the kernel is, and each CPU's part of it.
# A per-CPU variable is at its address in the image, moved with the kernel, plus the
# CPU's offset. A probe reads the offsets, so it takes no CONFIG_KALLSYMS_ALL and no
# /proc/kcore.
zero=0000000000000000
sum() { # A + B - C
    lo=$((0x${1#????????} + 0x${2#????????} - 0x${3#????????}))
    hi=$((0x${1%????????} + 0x${2%????????} - 0x${3%????????} + (lo >> 32)))
    printf %08x%08x $((hi & 0xffffffff)) $((lo & 0xffffffff))
}
here=$(grep -m1 ' ANCHOR$' ${KALLSYMS:-/proc/kallsyms})
here=${here%% *}
[ "$here" != $zero ] || fail 'kallsyms hides addresses: expected root, kptr_restrict below 2'
moved() { sum "$1" "$here" IMAGE; }
value() { # NAME, as the probe has shown it
    v=${line##* "$1"=0x}
    v=$zero${v%% *}
    echo "${v#"${v%????????????????}"}"
}
"""
_READ_OFFSETS = """\
event=kprobes/kvm_replay_offsets
events=kvm_replay_offsets
echo "p:$event uptime_proc_showFIELDS" >> kprobe_events
echo 1 > events/$event/enable
echo 1 > tracing_on
cat /proc/uptime > /dev/null # a static function that a pointer names is never inlined
echo 0 > events/$event/enable
line=$(grep -m1 ' kvm_replay_offsets: ' trace) || true
echo 0 > tracing_on
echo "-:$event" >> kprobe_events
events=
[ "$line" ] || fail 'a probe at uptime_proc_show has shown nothing: are kprobes off?'
echo > trace
"""


def _kprobes(probing: Probing, stateful: Stateful) -> list[str]:
    """Definitions, after what finds the addresses in them."""
    areas = sorted({v.area for v in stateful.state.variables})
    fields = "".join(
        f" {_offset_name(area, cpu)}=@0x$(moved {stateful.areas[area][0] + 8 * cpu:016x}):x64"
        for area in areas
        for cpu in stateful.cpus
    )
    head = _ADDRESSES.replace("ANCHOR", probing.anchor)
    lines = head.replace("IMAGE", f"{stateful.anchor:016x}").splitlines()
    lines += _READ_OFFSETS.replace("FIELDS", fields).splitlines()
    lines += [
        "",
        "state=",
        "of_cpu() {",
        '    [ -e "per_cpu/cpu$1" ] || fail "this machine has no CPU $1: expected others (--cpus)"',
    ]
    for area in areas:
        name = _offset_name(area, "$1")
        lines.append(f'    [ "$(value {name})" != $zero ] || fail "the offset {name} is not there"')
    for variable in stateful.state.variables:
        start = stateful.areas[variable.area][1]
        offset = f'"$(value {_offset_name(variable.area, "$1")})"'
        if start:  # the area is not the image's: both addresses move together
            text = f"sum {variable.address:016x} {offset} {start:016x}"
        else:
            text = f'sum "$(moved {variable.address:016x})" {offset} $zero'
        lines.append(f"    {variable.name}=0x$({text})")
    lines += [f'    state="$state {text}"' for text in stateful.state.fields]
    lines += ["}", *(f"of_cpu {cpu}" for cpu in stateful.cpus)]
    lines += [
        "",
        "active=0 # as many calls at once as the kernel expects by default, at least 10",
        "for cpu in per_cpu/cpu*; do active=$((active + 2)); done",
        "[ $active -ge 10 ] || active=10",
        "probe() { # KIND EVENT FUNCTION FIELD...",
        "    kind=$1 event=$2",
        "    shift 2",
        '    if echo "$kind:kprobes/$event $*$state" >> kprobe_events',
        '    then events="$events $event"; else skip "$event"; fi',
        "}",
    ]
    for probe in stateful.probes:
        kind = "r$active" if probe.kind == "r" else probe.kind
        words = ["probe", kind, probe.event, probe.symbol, *(f"'{f}'" for f in probe.fields)]
        lines += _over_lines(words)
    return lines


def _offset_name(area: str, cpu: int | str) -> str:
    return f"{area or 'kernel'}_{cpu}"


def notes(plan: Plan, stateful: Stateful | None, absent_fields: list[str]) -> list[str]:
    """What is not recorded, why, and what of the recording tells of it instead."""
    recorded = plan.functions - len(plan.missing)
    lines = [f"{recorded} of the {plan.functions} functions of the model are recorded."]
    twins = [f.symbol for f in plan.found if f.twin]
    if twins:
        lines += ["", plan.twins]
        lines += _list(twins)
    parts = [f.symbol for f in plan.found if f.part]
    if parts:
        lines += ["", "Made anew by the compiler: what is inlined elsewhere stays unseen, and"]
        lines += ["arguments are not recorded:", *_list(parts)]
    if stateful is not None:
        if plain := [f for f in plan.found if f.no_kprobe]:
            lines += ["", "For the function tracer alone (without --state):"]
            for why in dict.fromkeys(f.no_kprobe for f in plain):
                lines += [f"  {why}", *_list([f.symbol for f in plain if f.no_kprobe == why], 4)]
        if stateful.state.missing:
            lines += ["", "State that this kernel does not have in one place:"]
            lines += [f"  {text}" for text in stateful.state.missing]
        if absent_fields:
            lines += ["", "Fields that this kernel does not have:", *_list(absent_fields)]
    if plan.missing:
        lines += ["", "Not recorded (and what shows it instead):"]
    for why in dict.fromkeys(m.why for m in plan.missing):
        lines += ["", *_wrap(f"{why}:", 2, 2)]
        for missing in (m for m in plan.missing if m.why == why):
            lines += _wrap(f"{missing.function}: {missing.instead}", 4, 8)
    return lines


def _list(names: list[str], indent: int = 2) -> list[str]:
    return _wrap(", ".join(names), indent, indent)


def _wrap(text: str, first: int, rest: int) -> list[str]:
    return textwrap.wrap(
        text,
        76,
        initial_indent=first * " ",
        subsequent_indent=rest * " ",
        break_on_hyphens=False,
        break_long_words=False,
    )
