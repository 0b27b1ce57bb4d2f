"""Lines of a recording: tracefs `trace`, or `trace-cmd report` with and without -R.

A recording is read once, line by line, plain or compressed. What is odd about
it (a torn line, a clock that steps back, events that were lost) is kept with
its line number: nothing is dropped without a word.
"""

from __future__ import annotations

import gzip
import lzma
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from harness.errors import HarnessError

# `comm-pid [cpu] flags time: event: text`; a comm may have spaces, dashes and brackets in it.
# tracefs has the flags, trace-cmd only in newer versions; `(tgid)` only with record-tgid.
_HEAD = re.compile(r"\s*(\S.{0,40}?|<\.\.\.>)-(\d+)\s+(?:\(\s*[-\d]+\)\s+)?$")
_LOST = re.compile(r"CPU:?\s*(\d+)\s*\[?(?:LOST )?(\d+ EVENTS|EVENTS DROPPED|LOST)")
_NAME = re.compile(r"[A-Za-z_][\w.:/]*")
MAX_CPUS = 4096  # CONFIG_NR_CPUS can be that
MAX_LINE = 1 << 16
FLAGS_WIDTH = (4, 5, 6)  # irqs-off need-resched hardirq/softirq preempt-depth migrate-disable


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
        self._file: BinaryIO | None = None
        self._raw: BinaryIO | None = None

    @property
    def progress(self) -> float:
        """How much of the file has been read, 0.0 to 1.0."""
        if self._raw is None or self._size == 0:
            return 0.0
        try:
            return min(1.0, self._raw.tell() / self._size)
        except (OSError, ValueError):
            return 0.0

    def _open(self) -> BinaryIO:
        if self.path == "-":
            self._size = 0
            return sys.stdin.buffer
        try:
            raw = open(self.path, "rb")  # noqa: SIM115 - lines() closes it
            self._size = Path(self.path).stat().st_size
        except OSError as error:
            raise HarnessError(f"{self.path}: {error.strerror}") from None
        self._raw = raw
        start = raw.peek(6)[:6]
        if start.startswith(b"\x1f\x8b"):
            return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
        if start.startswith(b"\xfd7zXZ\x00"):
            return cast(BinaryIO, lzma.LZMAFile(raw))
        if start.startswith(b"\x17\x08Dtra"):
            raw.close()
            raise HarnessError(
                f"{self.path}: this is a trace.dat; `trace-cmd report -i {self.path}` makes text "
                "of it"
            )
        return raw

    def lines(self) -> Iterator[Line]:
        """Every event of the recording, in the order of the file."""
        file = self._open()
        try:
            yield from self._lines(file)
        except (lzma.LZMAError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise HarnessError(f"{self.path}: line {self.number}: {error}") from None
        except OSError as error:
            raise HarnessError(f"{self.path}: {error.strerror or error}") from None
        finally:
            if file is not sys.stdin.buffer:
                file.close()
            if self._raw is not None:
                self._raw.close()
        if not self.events:
            raise HarnessError(
                f"{self.path}: no line of it is an event of tracefs or `trace-cmd report`"
            )

    def _lines(self, file: BinaryIO) -> Iterator[Line]:
        heads: dict[str, tuple[str, int]] = {}
        last: dict[int, float] = {}
        newest = 0.0
        readline = file.readline
        number = 0
        make = Line._make
        while True:
            raw = readline(MAX_LINE)
            if not raw:
                break
            number += 1
            self.number = number
            line = raw.decode("ascii", "backslashreplace")
            head, found, rest = line.partition(" [")
            cpu_text, _, body = rest.partition("]")
            who = heads.get(head)
            if who is None:
                # A comm may hold " [" itself; then the last one before the flags counts.
                match = _HEAD.match(head + " ") if found else None
                if match is None or not cpu_text.isdigit():
                    event = self._uncommon(line)
                    if event is None:
                        continue
                    comm, pid, cpu_text, body = event
                    who = comm, pid
                else:
                    who = match[1], int(match[2])
                    if len(heads) < 100_000:
                        heads[head] = who
            try:
                cpu = int(cpu_text)
                if not 0 <= cpu < MAX_CPUS:
                    raise ValueError
                fields = body.split(None, 3)
                word = fields[0]
                if word[-1] == ":":
                    flags, stamp, name = "", word, fields[1]
                    text = body.split(None, 2)[2].rstrip() if len(fields) > 2 else ""
                else:
                    flags, stamp, name = word, fields[1], fields[2]
                    text = fields[3].rstrip() if len(fields) > 3 else ""
                if stamp[-1] != ":":
                    raise ValueError
                time = float(stamp[:-1])
            except (ValueError, IndexError):
                self._odd("torn", f"not a whole event: {line.strip()[:60]!r}")
                continue
            if raw[-1] != 10:
                self._odd("torn", "a line without an end")
                continue
            if name[-1] == ":":
                name = name[:-1]
            if name == "function":  # trace-cmd: `NAME <-- CALLER`, with -R `ip=NAME parent_ip=...`
                name, _, caller = text.partition(" ")
                name = name.removeprefix("ip=")
                text = "<-" + caller.lstrip(" <-").removeprefix("parent_ip=")
            previous = last.get(cpu, 0.0)
            if time < previous:
                kind = "clock" if time < newest - 1.0 else "reordered"
                self._odd(kind, f"cpu{cpu}'s time goes back from {previous:.6f} to {time:.6f}")
            last[cpu] = time
            if time > newest:
                newest = time
            self.events += 1
            yield make((number, who[0], who[1], cpu, flags, time, name, text))

    def _uncommon(self, line: str) -> tuple[str, int, str, str] | None:
        """A line whose beginning is none of an event's, or one that is hard to tell."""
        stripped = line.strip()
        if not stripped or stripped[0] == "#" or stripped.startswith(("cpus=", "version =")):
            return None
        lost = _LOST.match(stripped)
        if lost:
            self._odd("lost", f"cpu{lost[1]}: events were lost here")
            return None
        at = line.rfind(" [", 0, 64)
        while at > 0:
            match = _HEAD.match(line[:at] + " ")
            cpu, bracket, body = line[at + 2 :].partition("]")
            if match and bracket and cpu.isdigit():
                return match[1], int(match[2]), cpu, body
            at = line.rfind(" [", 0, at)
        self._odd("torn", f"not an event: {stripped[:60]!r}")
        return None

    def _odd(self, kind: str, text: str) -> None:
        self.odd_kinds[kind] += 1
        if len(self.odd) < 100:
            self.odd.append(Oddity(self.number, kind, text))
