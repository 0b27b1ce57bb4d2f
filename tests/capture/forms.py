"""The forms in which people attach a recording: made of one, by functions of its text."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Callable

_EVENT = re.compile(r"^(\s*)(.+)-(\d+)(\s+)\[(\d+)\] (\S+)(\s+)([\d.]+): (.*)$")
_CALL = re.compile(r": ([\w.]+) <-(\w+)$", re.M)
Form = Callable[[str], str | bytes]


def _lines(change: Callable[..., str], head: bool = True) -> Form:
    """Each event changed; `change` is given its padding, comm, pid, ... and text."""

    def form(text: str) -> str:
        out = []
        for line in text.splitlines():
            match = _EVENT.match(line)
            if match:
                out.append(change(*match.groups()))
            elif head:
                out.append(line)
        return "\n".join(out) + "\n"

    return form


def _calls(change: str) -> Form:
    return lambda text: _CALL.sub(change, text)


def _each(before: str, after: str = "") -> Form:
    return lambda text: "".join(f"{before}{line}{after}\n" for line in text.splitlines())


def _colour(what: str) -> str:
    return f"\x1b[01;31m\x1b[K{what}\x1b[m\x1b[K"


def _zip(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("trace.txt", text)
    return file.getvalue()


def _tar(text: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        entry = tarfile.TarInfo("trace.txt")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
    return file.getvalue()


def _graph(
    _a: str, comm: str, pid: str, _s: str, cpu: str, _f: str, _b: str, t: str, x: str
) -> str:
    what = f"/* {x} */" if ": " in x else f"{x.split()[0]}();"
    return f"{t:>12} |   {int(cpu)})    {comm}-{pid:<6}  |   1.250 us    |  {what}"


def _perf(*parts: str) -> str:
    _, comm, pid, _, cpu, _, _, t, x = parts
    name, colon, rest = x.partition(": ")
    what = f"sched:{name}: {rest}" if colon else f"probe:{name.split()[0]}: (ffff800080012300)"
    return f"{comm:>16} {pid:>7} [{cpu}] {t}: {what}"


# They are read as the recording itself is.
READ: dict[str, Form] = {
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "bom": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "gz": lambda text: gzip.compress(text.encode()),
    "xz": lambda text: lzma.compress(text.encode()),
    "bz2": lambda text: bz2.compress(text.encode()),
    "coloured lines": lambda text: "".join(_colour(line) + "\n" for line in text.splitlines()),
    "coloured names": lambda text: re.sub(
        r"fpsimd_\w+|sched_switch", lambda m: _colour(m[0]), text
    ),
    "no flags": _lines(lambda a, c, p, s, cpu, f, b, t, x: f"{a}{c}-{p}{s}[{cpu}] {t}: {x}"),
    "no header": lambda text: "".join(
        line for line in text.splitlines(keepends=True) if line[0] != "#"
    ),
    "tgid": _lines(
        lambda a, c, p, s, cpu, f, b, t, x: f"{a}{c}-{p}{s} (    107) [{cpu}] {f}{b}{t}: {x}"
    ),
    "tgid unknown": _lines(
        lambda a, c, p, s, cpu, f, b, t, x: f"{a}{c}-{p}{s} (-------) [{cpu}] {f}{b}{t}: {x}"
    ),
    "sym-offset": _calls(r": \1+0x0/0x12c <-\2+0x3c/0xe0"),
    "sym-addr": _calls(r": \1 <ffff800008010000> <-\2 <ffff800008010abc>"),
    "both": _calls(r": \1+0x0/0x12c [kvm] <ffff800008010000> <-\2+0x3c/0xe0 [kvm] <ffff80000801>"),
    "module": _calls(r": \1 [kvm] <-\2 [kvm]"),
    "func-args": _calls(r": \1(vcpu=0xffff000002d2c100, cpu=0) <-\2"),
    "func-args of a module": _calls(r": \1 [kvm](vcpu=0xffff000002d2c100, s=(1)) <-\2 [kvm]"),
    "mail quote": _each("> "),
    "quote of a quote": _each("> > "),
    "indented": _each("    "),
    "tab": _each("\t"),
    "trailing space": _each("", "   "),
    "grep -n": lambda text: "".join(f"{n}:{line}\n" for n, line in enumerate(text.splitlines(), 1)),
    "grep of files": _each("trace.txt:"),
    "dmesg": _lines(
        lambda a, c, p, s, cpu, f, b, t, x: f"[   99.000010]{a}{c}-{p}{s}[{cpu}] {f}{b}{t}: {x}"
    ),
    "entities": lambda text: text.replace("<", "&lt;").replace(">", "&gt;"),
    "fence": lambda text: f"```\n{text}```\n",
    "systems": lambda text: text.replace(": sched_switch:", ": sched:sched_switch:"),
    "differences": lambda text: re.sub(r"(\d\.\d{6}: )", r"\1(+0.000012) ", text),
    "end": lambda text: text.rstrip("\n"),
}
# They are refused, by their names.
REFUSED: dict[str, tuple[Form, str]] = {
    "zip": (_zip, "a zip archive"),
    "tar": (_tar, "a tar archive"),
    "zst": (lambda text: b"\x28\xb5\x2f\xfd" + text.encode(), "compressed by zstd"),
    "lz4": (lambda text: b"\x04\x22\x4d\x18" + text.encode(), "compressed by lz4"),
    "trace.dat": (lambda text: b"\x17\x08Dtracing6\0" + bytes(99), "a trace.dat"),
    "perf.data": (lambda text: b"PERFILE2" + bytes(99), "perf.data"),
    "vmlinux": (lambda text: b"\x7fELF" + bytes(99), "an ELF image"),
    "latency": (
        _lines(lambda a, c, p, s, cpu, f, b, t, x: f"{c[:8]:>8}-{p:<7} {int(cpu)}{f} 12us+: {x}"),
        "in the latency format",
    ),
    "trace-cmd -l": (
        _lines(lambda a, c, p, s, cpu, f, b, t, x: f"{c[:8]:>8}-{p:<5} {int(cpu)}d...   {t}: {x}"),
        "output of `trace-cmd report -l`",
    ),
    "verbose": (
        _lines(
            lambda a, c, p, s, cpu, f, b, t, x: (
                f"{c:>16} {p} {int(cpu)} 0 00000000 00000000 [0010f447] 17.780ms (+0.000ms): {x}"
            )
        ),
        "in the verbose format",
    ),
    "counter": (
        _lines(
            lambda a, c, p, s, cpu, f, b, t, x: (
                f"{a}{c}-{p}{s}[{cpu}] {f}{b}{t.replace('.', '')}: {x}"
            )
        ),
        "time stamps are in ticks",
    ),
    "function_graph": (_lines(_graph), "output of the function_graph tracer"),
    "function_graph of trace-cmd": (
        _calls(r": funcgraph_entry:        1.040 us   |  \1();"),
        "output of the function_graph tracer",
    ),
    "perf script": (_lines(_perf, head=False), "output of `perf script`"),
    "bpftrace": (
        lambda text: "Attaching 9 probes...\n500000100 1 vmm 901 kvm_arch_vcpu_load\n",
        "output of bpftrace",
    ),
    "strace": (
        lambda text: 'openat(AT_FDCWD, "/dev/kvm", O_RDWR) = 3\nioctl(3, KVM_RUN, 0) = 0\n',
        "output of strace",
    ),
    "ftrace dump": (
        lambda text: "[   99.000002] Dumping ftrace buffer:\n[   99.000003] ---------\n",
        "an ftrace dump",
    ),
    "kernel log": (lambda text: "[   99.000002] kvm [1]: VHE mode\n", "a kernel log"),
    "json": (lambda text: '{"traceEvents":[{"name":"sched_switch"}]}\n', "JSON"),
    "json lines": (
        lambda text: "".join('{"MESSAGE":' + repr(t) + "}\n" for t in text.splitlines()),
        "JSON",
    ),
    "binary": (lambda text: bytes(2000), "no line of it is an event"),
}
# They are read, and what is not understood is too much.
TOO_LITTLE: dict[str, Form] = {
    "no callers": _calls(r": \1"),
    "wrapped": lambda text: "".join(
        f"{line[:76]}\n{line[76:]}\n" if len(line) > 76 else f"{line}\n"
        for line in text.splitlines()
    ),
    "other functions": _calls(r": f_\1 <-\2"),
    "no functions": lambda text: "".join(
        line for line in text.splitlines(keepends=True) if not _CALL.search(line)
    ),
}
