"""Lines of a recording: tracefs `trace`, or `trace-cmd report` with and without -R.

A recording is read once, line by line, plain or compressed, whatever a mail, a web page or
grep has put around its lines. What is odd about it (a torn line, a clock that steps back,
events that were lost) is kept with its line number: nothing is dropped without a word.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from harness.capture.foreign import GRAPH, by_magic, by_text, counted, graph
from harness.capture.unpack import unpacked
from harness.errors import HarnessError

# `comm-pid [cpu] flags time: event: text`; a comm may hold any bytes, these signs too.
# tracefs has the flags, trace-cmd only in newer versions; `(tgid)` only with record-tgid.
_HEAD = re.compile(r"\s*(.{0,80}?)-(\d{1,19})\s+(?:\(\s*[-\d]+\)\s+)?$", re.S)
_EVENT = re.compile(
    r"\s*(.{0,80}?)-(\d{1,19})\s+(?:\(\s*[-\d]+\)\s+)?\[(\d+)\]"
    r"(\s+(?:[.\w#]{4,7}\s+)?\d+(?:\.\d+)?:\s+\S.*)",
    re.S,
)
_LOST = re.compile(r"CPU:?\s*\d+\s*\[?(?:LOST )?(?:(\d{1,19}) EVENTS|EVENTS DROPPED|LOST)")
_LOST_CPU = re.compile(r"\d+")
# What trace-cmd prints around its events.
_AROUND = re.compile(
    r"cpus=\d+|version = \d+|CPU \d+ is empty|CPU: \d+|\S+\.dat:|```\w*"
    r"|(?:entries|overrun|commit overrun|bytes|oldest event ts|now ts|dropped events|read events)"
    r": +[\d.]+"
)
# What others put before each line: mail, grep -n, grep of several files, trace-cmd report of
# several buffers, dmesg.
_PREFIX = re.compile(
    r"(?:>[ >]?|\d+[:-]|\s*[\w+./-]*\w\.(?:txt|dat|log|trace|out)[:-] ?|<\d+>"
    r"|\[ *\d+\.\d+\] ?|\[ *[TC]\d+\] ?)+"
)
_COLOUR = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&amp;", "&"))
# `name+0x0/0x12c [module] <address>`: tracefs's options sym-offset and sym-addr, and modules.
_WHERE = r"(?:\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?)?(?: \[[\w-]+\])?(?: <[0-9a-f]+>)?"
# With func-args: `name(argument=value, ...)`.
_FUNCTION = re.compile(
    rf"([A-Za-z_$][\w.$]*){_WHERE}(?:\(.*\))? +<--? ?([\w.$]+){_WHERE}(?: \(.*\))?"
)
_RAW = re.compile(rf"ip=([A-Za-z_$][\w.$]*){_WHERE},? parent_ip=([\w.$]+){_WHERE}(?: .*)?")
_VALUE = r"(?:-?(?:0x)?[0-9a-f]+|\([a-z]+\)|\"[^\"]*\"|\{[^{}]*\})"
_PROBED = re.compile(
    rf"(?:\([\w.$]+[^()]*\)|__probe_ip=\w+|__probe_func=\w+ __probe_ret_ip=\w+)"
    rf"(?: [\w.]+={_VALUE})*"
)
# What the text of an event is, for those that are read.
_TEXTS = {
    "sched_switch": re.compile(
        r"prev_comm=.*? prev_pid=\d+ .*?prev_state=\S+ (?:==> )?next_comm=.*? next_pid=\d+"
        r" next_prio=-?\d+|.*:\d+ \[-?\d+\] \S+ ==> .*:\d+ \[-?\d+\]",
        re.S,
    ),
    "sched_process_fork": re.compile(r".*comm=.*pid=\d+ .*?child_comm=.* child_pid=\d+", re.S),
    "sys_enter": re.compile(r"NR -?\d+ \([0-9a-f, ]*\)|id=-?\w+,? args=(?:ARRAY\[)?[\w, ]*\]?"),
    "sys_exit": re.compile(r"NR -?\d+ = -?\w+|id=-?\w+,? ret=-?\w+"),
    "kvm_entry": re.compile(r".*\w"),
    "kvm_exit": re.compile(r".*\w.*"),
}
_PIECES = ("sched_switch", "sched_process_fork")  # whose text may hold a line break: a comm's
_FLAGS = re.compile(r"[.\w#]{4,7}")
_SECONDS = re.compile(r"\d+\.\d+")
_WIDTH = 16  # what a comm is padded to
MAX_CPUS = 4096  # CONFIG_NR_CPUS can be that
MAX_LINE = 1 << 16
_SAMPLE = 1 << 16


class Line(NamedTuple):
    """One event: who recorded it, where and when, what it is called, and its text.

    `flags` are ftrace's latency flags, "" where the recording has none. `name` is
    the event's, or for a function traced the function's; then `text` is its caller
    with `<-` before it.
    """

    number: int
    comm: str
    pid: int
    cpu: int
    flags: str
    time: float
    name: str
    text: str


class Oddity(NamedTuple):
    """Something wrong with the recording itself, and in which line."""

    number: int
    kind: str
    text: str


class Recording:
    """A file of events. Iterate over `lines()`; then look at what was odd.

    `odd` holds the first hundred oddities, `odd_kinds` counts all. Raises
    HarnessError if the file cannot be read, or is no recording.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.number = 0
        self.events = 0
        self.odd: list[Oddity] = []
        self.odd_kinds: Counter[str] = Counter()
        self.called: set[str] = set()  # the names of functions, traced or probed
        self._file: IO[bytes] | None = None
        self._raw: io.BufferedReader | None = None
        self._size = 0
        self._escaped = self._prefixed = False  # what is around its lines
        self._shapes: dict[str, Counter[int]] = {}  # how many fields the lines of a probe have
        self._last = 0  # the last event's line

    @property
    def progress(self) -> float:
        """How much of the file has been read, 0.0 to 1.0."""
        if self._raw is None or self._size == 0:
            return 0.0
        try:
            return min(1.0, self._raw.tell() / self._size)
        except (OSError, ValueError):
            return 0.0

    def _open(self) -> Callable[[], bytes]:
        """What gives a line at a time, once it is known that this may be a recording."""
        self._size = 0
        file: IO[bytes] = sys.stdin.buffer
        if self.path != "-":
            try:
                file = self._raw = open(self.path, "rb")  # noqa: SIM115 - lines() closes it
                self._size = Path(self.path).stat().st_size
            except OSError as error:
                raise HarnessError(f"{self.path}: {error.strerror}") from None
            file = unpacked(self._raw)
        self._file = file
        sample = file.read(_SAMPLE)
        sample += file.readline(MAX_LINE) if sample[-1:] != b"\n" else b""
        if what := by_magic(sample, self.path):
            raise HarnessError(f"{self.path}: {what}")
        if sample.startswith((b"\xff\xfe", b"\xfe\xff")):  # Windows's idea of text
            rest = io.BytesIO(sample + file.read())
            wide = io.TextIOWrapper(rest, "utf-16", errors="backslashreplace", newline="\n")
            sample = wide.read(_SAMPLE).encode() + wide.readline().encode()
            further: Callable[[], bytes] = lambda: wide.readline().encode()  # noqa: E731
        else:
            further = lambda: file.readline(MAX_LINE)  # noqa: E731
        sample = sample.removeprefix(b"\xef\xbb\xbf")
        self._look(sample)
        first = io.BytesIO(sample)
        return lambda: first.readline(MAX_LINE) or further()

    def _look(self, sample: bytes) -> None:
        """What is put around the lines. Raises HarnessError for what is another tool's."""
        lines = _COLOUR.sub(b"", sample).decode("utf-8", "backslashreplace").split("\n")
        text = "\n".join(lines)
        self._escaped = "&lt;" in text or "&gt;" in text
        if self._escaped:
            lines = [_unescaped(line) for line in lines]
        lines = [line for line in lines if line.strip()]
        self._prefixed = sum(_PREFIX.match(line) is not None for line in lines) > len(lines) * 0.9
        self._prefixed = self._prefixed or (
            sum("dat: " in line[:40] for line in lines) > len(lines) * 0.9
        )
        if self._prefixed:
            lines = [_PREFIX.sub("", line, count=1) for line in lines]
        found = [parts for line in lines if (parts := _parts(line))]
        wrapped = sum(line.startswith("{") for line in lines) * 2 > len(lines)
        if wrapped or len(found) * 10 < len(lines):
            what = by_text(text) or by_text("\n".join(lines))
            if what:
                raise HarnessError(f"{self.path}: {what}")
        counts = sum("." not in parts[3].split(":", 1)[0].split()[-1] for parts in found)
        if counts > len(found) / 2:
            raise HarnessError(f"{self.path}: {counted()}")

    def lines(self) -> Iterator[Line]:
        """Every event of the recording, in the order of the file."""
        try:
            yield from self._lines(self._open())
        except (lzma.LZMAError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise HarnessError(f"{self.path}: line {self.number}: {error}") from None
        except OSError as error:
            raise HarnessError(f"{self.path}: {error.strerror or error}") from None
        finally:
            if self._file is not None and self._file is not sys.stdin.buffer:
                self._file.close()
            if self._raw is not None:
                self._raw.close()
        if not self.events:
            raise HarnessError(
                f"{self.path}: no line of it is an event of tracefs or `trace-cmd report`"
            )
        for name, shapes in self._shapes.items():
            cut = shapes.total() - shapes.most_common(1)[0][1]
            if cut:
                self.number = self._last
                self._odd("torn", f"{cut} lines of {name} with other fields than the rest", cut)

    def _lines(self, readline: Callable[[], bytes]) -> Iterator[Line]:
        heads: dict[str, tuple[str, int]] = {}
        last: dict[int, float] = {}
        good: set[str] = {""}  # flags
        newest = 0.0
        number = 0
        make = Line._make
        shapes, called = self._shapes, self.called
        piece = ""  # what may be the beginning of a comm with a line break in it
        whole: tuple[tuple[str, int], str, str] | None = None  # likewise, in its text
        plain = not (self._escaped or self._prefixed)
        while True:
            raw = readline()
            if not raw:
                break
            number += 1
            self.number = number
            if 0x1B in raw:
                raw = _COLOUR.sub(b"", raw)
            line = raw.decode("utf-8", "backslashreplace")
            if not plain:
                line = self._bare(line)
            head, found, rest = line.partition(" [")
            cpu_text, _, body = rest.partition("]")
            who = heads.get(head)
            if who is None:
                match = _HEAD.match(head + " ") if found else None
                if match is None or not cpu_text.isdecimal():
                    parts = _parts(line)
                    if parts is None:
                        if whole is not None:
                            who, cpu_text, body = whole
                            body += "\n" + line
                            line = ""
                        else:
                            if self._uncommon(line):
                                piece = line.rstrip("\n")
                            continue
                    else:
                        comm, pid, cpu_text, body = parts
                        who = comm, int(pid)
                else:
                    who = match[1], int(match[2])
                    if len(heads) < 100_000:
                        heads[head] = who
            if whole is not None:
                if line:
                    self._torn(whole[2])
                whole = None
            if piece:
                if len(piece) + 1 + len(who[0]) == _WIDTH:
                    self._mend()
                    who = f"{piece.strip()}\n{who[0]}", who[1]
                piece = ""
            parsed = self._event(cpu_text, body, good)
            if parsed is None and line and (parts := _parts(line)) is not None:
                # What was taken for the end of the comm was in it.
                who, cpu_text, body = (parts[0], int(parts[1])), parts[2], parts[3]
                parsed = self._event(cpu_text, body, good)
            if parsed is None:
                self._torn(line or body)
                continue
            cpu, flags, time, name, text = parsed
            form = _TEXTS.get(name)
            if form is not None and not form.fullmatch(text):
                if name in _PIECES and body.count("\n") < 4:
                    whole = who, cpu_text, body.removesuffix("\n")
                else:
                    self._torn(line or body)
                continue
            if text[:1] == "(" or text[:8] == "__probe_":
                if not _PROBED.fullmatch(text):
                    self._torn(line)
                    continue
                shape = shapes.get(name)
                if shape is None:
                    shape = shapes[name] = Counter()
                    called.add(name)
                shape[text.count("=")] += 1
            elif text[:2] == "<-":
                called.add(name)
            if name in GRAPH:
                raise HarnessError(f"{self.path}: {graph()}")
            previous = last.get(cpu, 0.0)
            if time < previous:
                kind = "clock" if time < newest - 1.0 else "reordered"
                self._odd(kind, f"cpu{cpu}'s time goes back from {previous:.6f} to {time:.6f}")
            last[cpu] = time
            if time > newest:
                newest = time
            self.events += 1
            self._last = number
            yield make((number, who[0], who[1], cpu, flags, time, name, text))
        if whole is not None:
            self._torn(whole[2])

    def _event(
        self, cpu_text: str, body: str, good: set[str]
    ) -> tuple[int, str, float, str, str] | None:
        """CPU, flags, time, name and text; None for what is not a whole event."""
        try:
            cpu = int(cpu_text)
            word, after = body.split(None, 1)
            flags = ""
            if word[-1] != ":":
                flags = word
                if flags not in good:
                    if not _FLAGS.fullmatch(flags):
                        return None
                    good.add(flags)
                word, after = after.split(None, 1)
            if word[-1] != ":" or not 0 <= cpu < MAX_CPUS or not _SECONDS.fullmatch(word[:-1]):
                return None
            time = float(word[:-1])
            if after[0] == "(" and after[1] in "+-":  # trace-cmd report --ts-diff
                after = after.split(None, 1)[1]
            after = after.rstrip()
            name, colon, text = after.partition(":")
            if colon and name.isidentifier():
                if text[:1] not in (" ", ""):  # trace-cmd with the event's system before it
                    system, colon, rest = text.partition(":")
                    if colon and system.isidentifier():
                        name, text = system, rest
                text = text.strip()
                if name != "function":
                    return cpu, flags, time, name, text
                match = _RAW.fullmatch(text) or _FUNCTION.fullmatch(text)
            else:
                name, arrow, text = after.partition(" <-")
                if arrow and name.isidentifier() and text.isidentifier():
                    return cpu, flags, time, name, "<-" + text
                match = _FUNCTION.fullmatch(after)
        except (ValueError, IndexError):
            return None
        return None if match is None else (cpu, flags, time, match[1], "<-" + match[2])

    def _bare(self, line: str) -> str:
        """A line without what others have put around it."""
        if self._escaped and "&" in line:
            line = _unescaped(line)
        return _PREFIX.sub("", line, count=1) if self._prefixed else line

    def _uncommon(self, line: str) -> bool:
        """Whether a line that is not an event's should be one."""
        stripped = line.strip()
        if not stripped or stripped[0] == "#" or _AROUND.fullmatch(stripped):
            return False
        lost = _LOST.match(stripped)
        if lost:
            cpu = _LOST_CPU.search(stripped)
            which = cpu[0] if cpu else "?"
            self._odd("lost", f"cpu{which}: events were lost here", int(lost[1] or 1))
            return False
        self._odd("torn", f"not an event: {stripped[:60]!r}")
        return True

    def _torn(self, line: str) -> None:
        self._odd("torn", f"not a whole event: {line.strip()[:60]!r}")

    def _mend(self) -> None:
        """What was taken for torn is the beginning of a comm."""
        self.odd_kinds["torn"] -= 1
        if not self.odd_kinds["torn"]:
            del self.odd_kinds["torn"]
        if self.odd and self.odd[-1].number == self.number - 1:
            self.odd.pop()

    def _odd(self, kind: str, text: str, times: int = 1) -> None:
        self.odd_kinds[kind] += times
        if len(self.odd) < 100:
            self.odd.append(Oddity(self.number, kind, text))


def _parts(line: str) -> tuple[str, str, str, str] | None:
    """The comm, pid, CPU and the rest of an event, by its whole form."""
    match = _EVENT.match(line)
    return None if match is None else (match[1], match[2], match[3], match[4])


def _unescaped(line: str) -> str:
    for entity, sign in _ENTITIES:
        line = line.replace(entity, sign)
    return line
