"""The header of a trace: who is there, on what machine, and what the author says.

Everything is checked where it stands; complaints are collected. Longer than other modules, as it
has a short method for each kind of line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from harness.dsl.causes import SOURCES, first_word
from harness.dsl.complaints import Complaints
from harness.dsl.nodes import CLASSES, Event, Header, Name, Statement, Verdict, fits
from harness.dsl.syntax import HEADER_WORDS
from harness.errors import nearest, one_of
from harness.model import ARCHITECTURES, architecture
from harness.model.base import Architecture
from harness.model.catalogue import Catalogue, KernelError
from harness.model.names import commit_mistake
from harness.model.world import World

_MESSAGE_ID = re.compile(r"[^\s<>@]+@[^\s<>@]+")
# A list archive's address of a mail: .../all/ID/, .../r/ID, .../list/ID/T/#u
_ARCHIVE = re.compile(
    r"https?://[^/\s]+/(?:[^\s?#]*/)?([^/\s]+(?:@|%40)[^/\s]+?)(?:/[Tt]?/?(?:#.*)?)?"
)
_DATE = re.compile(r"(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_MOST_NAMES = 1000  # tasks, vcpus and VMs in one trace


class HeaderChecker(Complaints):
    """What is known of a file so far, and what is wrong with it."""

    def __init__(self, path: str, trace_id: str) -> None:
        super().__init__(path)
        self.id = trace_id
        self.arch: Architecture | None = None
        self.once: dict[str, int] = {}
        self.fields: dict[str, Any] = {}
        self.about: list[str] = []
        self.links: list[str] = []
        self.recordings: list[str] = []
        self.mails: list[tuple[str, str, str]] = []
        self.commits: list[tuple[str, str]] = []
        self.modes: tuple[str, ...] = ()
        self.settings: dict[str, tuple[int, int]] = {}
        self.words: dict[str, tuple[str, ...]] = {}
        self.tasks: dict[str, int] = {}
        self.unborn: dict[str, int] = {}
        self.vcpus: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.vm_of: dict[str, int] = {}
        self.vms: set[str] = set()
        self.needs: list[str] = []
        self.budget: dict[str, int] = {}
        self.verdicts: list[Verdict] = []
        self.judged: dict[tuple[str, str | None], int] = {}
        self.body: list[Statement] = []
        self.last_event: Event | None = None
        self.snapshots: set[str] = set()

    _world: tuple[tuple[int, int, int], World] | None = None

    def world(self) -> World:
        """Who is there so far. Asked for with every register, so it is kept."""
        known = len(self.tasks), len(self.unborn), len(self.vcpus)
        if self._world is None or self._world[0] != known:
            vcpus = tuple((n, t, f) for n, (t, f) in self.vcpus.items())
            tasks, unborn = tuple(self.tasks.items()), tuple(self.unborn)
            vms = tuple(self.vm_of[name] for name in self.vcpus)
            self._world = known, World(self.settings, tasks, unborn, vcpus, self.words, vms)
        return self._world[1]

    # Header --------------------------------------------------------------------

    def header(self, node: Header) -> None:
        if node.key in SOURCES:
            self.causes.sourced = True
        if self.body:
            self.wrong(node.line, 1, f"`{node.key}` belongs before the first event")
            if node.key in ("task", "vm"):
                self.quietly(node)
            return
        if node.key in ("trace", "class", "machine", "budget"):
            if node.key in self.once:
                first = self.once[node.key]
                self.wrong(node.line, 1, f"a second `{node.key}`, the first is in line {first}")
                return
            self.once[node.key] = node.line
        known = len(self.complaints)
        getattr(self, "_" + node.key)(node)
        if node.key == "machine" and len(self.complaints) > known:
            self.causes.machine = True

    def quietly(self, node: Header) -> None:
        """Know what a line declares about which there is a complaint already."""
        known = len(self.complaints)
        getattr(self, "_" + node.key)(node)
        del self.complaints[known:]

    def _trace(self, node: Header) -> None:
        if not node.operands[0].strip():
            self.wrong(node.line, 1, "the title is empty; say what the trace shows")
        self.fields["trace"] = node.operands[0]

    def _about(self, node: Header) -> None:
        self.about.append(node.operands[0])

    def _class(self, node: Header) -> None:
        (name,) = node.operands
        if name.text not in CLASSES:
            hint = nearest(name.text, CLASSES)
            self.wrong_name(
                node.line, name, f"unknown class {name.text!r}{hint}: {one_of(CLASSES)}"
            )
        self.fields["class"] = name.text

    def class_agrees(self) -> None:
        """Complain if the verdicts contradict the class."""
        shows = self.fields.get("class")
        if shows is None or not self.verdicts:
            return
        for verdict in self.verdicts:
            if not fits(shows, verdict.violates):
                said = f"line {verdict.line} says that {verdict.kernel} {verdict}"
                kinds = [v.violates for v in self.verdicts]
                fitting = [c for c in CLASSES if all(fits(c, k) for k in kinds)]
                message = f"class {shows} means that {CLASSES[shows]}; {said}"
                message += f" (fitting: class {one_of(fitting)})" if fitting else ""
                self.wrong(self.once["class"], 1, message, len("class"))
                return
        if shows != "rule" and all(v.holds for v in self.verdicts):
            message = (
                f"class {shows}: every verdict says `holds`. One that violates something is "
                "missing, or it is class rule"
            )
            self.wrong(self.once["class"], 1, message, len("class"))

    def _link(self, node: Header) -> None:
        text, column = node.operands
        found = _ARCHIVE.fullmatch(text)
        message_id = unquote(found[1]) if found else text
        if not _MESSAGE_ID.fullmatch(message_id):
            hint = "expected, for example, user-1@host.example"
            if _MESSAGE_ID.fullmatch(text.strip("<>")):
                hint = f"write it without < >: {text.strip('<>')}"
            elif "://" in text:
                hint = (
                    "the address of a mail in a list's archive ends in its Message-ID; a mail "
                    'without one is: mail "2025-01-21" "who" "subject"'
                )
            width = len(text) + 2
            self.wrong(node.line, column, f"{text!r} is not a Message-ID; {hint}", width)
            return
        self.links.append(message_id)

    def _mail(self, node: Header) -> None:
        date, sender, subject, column = node.operands
        if not _DATE.fullmatch(date):
            self.wrong(
                node.line, column, f"{date!r} is not a date: write YYYY-MM-DD", len(date) + 2
            )
            return
        self.mails.append((date, sender, subject))

    def _commit(self, node: Header) -> None:
        commit, title, column = node.operands
        why = commit_mistake(commit)
        if not why and len(commit) < 12:
            catalogues = self._catalogues()
            known = {each for catalogue in catalogues for each in catalogue.known_commits(commit)}
            if len(known) == 1:
                (commit,) = known
            else:
                why = (
                    f"only {len(commit)} digits, which other commits can share; write 12 to 40, as "
                    "`git log --abbrev=12` prints them"
                )
        if why:
            self.wrong(node.line, column, f"{commit[:50]!r}: {why}", len(commit) + 2)
            return
        titles = (catalogue.title(commit[:12]) for catalogue in self._catalogues())
        known_as = next(filter(None, titles), title)
        if title != known_as:
            message = f"{commit[:12]} has another title: {known_as!r}"
            self.wrong(node.line, column, message, len(commit) + 2)
        self.commits.append((commit[:12], title))

    def _catalogues(self) -> Iterator[Catalogue]:
        """The catalogue of the architecture that the file names, then those of the others."""
        machine = next((line.split() for line in self.lines if first_word(line) == "machine"), [])
        for name in sorted(ARCHITECTURES, key=lambda name: name not in machine[1:2]):
            yield architecture(name).catalogue

    def _recording(self, node: Header) -> None:
        self.recordings.append(node.operands[0])

    def _machine(self, node: Header) -> None:
        arch, modes, settings = node.operands
        if arch.text not in ARCHITECTURES:
            hint = nearest(arch.text, ARCHITECTURES)
            known = one_of(ARCHITECTURES)
            self.wrong_name(node.line, arch, f"unknown architecture {arch.text!r}{hint}: {known}")
            return
        self.arch = architecture(arch.text)
        good = []
        for mode in modes:
            if mode.text not in self.arch.modes:
                hint = nearest(mode.text, self.arch.modes)
                message = f"unknown mode {mode.text!r}{hint}: {one_of(self.arch.modes)}"
                self.wrong_name(node.line, mode, message)
            elif mode.text in good:
                self.wrong_name(node.line, mode, f"mode {mode.text} is named twice")
            else:
                good.append(mode.text)
        self.modes = tuple(good)
        for name, *values in settings:
            if not self._settable(node.line, name, listed=isinstance(values[0], tuple)):
                continue
            if isinstance(values[0], tuple):
                self._listing(node.line, name, values[0])
            else:
                self._setting(node.line, name, *values)
        why = self.arch.impossible(self.settings, self.words)
        if why and not any(d.at.line == node.line for d in self.complaints):
            self.wrong(node.line, 1, why, len(node.key))

    def _settable(self, line: int, name: Name, listed: bool) -> bool:
        """Whether a machine has such a setting, or else a complaint."""
        assert self.arch is not None
        numbers, words = self.arch.settings, self.arch.words
        if name.text in self.settings or name.text in self.words:
            message = f"{name.text} is set twice"
        elif name.text not in numbers and name.text not in words:
            known = [*numbers, *words]
            hint = nearest(name.text, known)
            message = f"unknown setting {name.text!r}{hint}: {one_of(known)}"
        elif listed and name.text not in words:
            message = f"{name.text} is a number: expected `{name.text} N` or `{name.text} N..M`"
        elif not listed and name.text not in numbers:
            message = f"{name.text} is a list of words: {one_of(words[name.text])}"
        else:
            return True
        self.wrong_name(line, name, message)
        return False

    def _listing(self, line: int, name: Name, words: tuple[Name, ...]) -> None:
        assert self.arch is not None
        known = self.arch.words[name.text]
        good: list[str] = []
        for word in words:
            if word.text not in known:
                hint = nearest(word.text, known)
                message = f"{name.text} has no {word.text!r}{hint}: {one_of(known)}"
                self.wrong_name(line, word, message)
            elif word.text in good:
                self.wrong_name(line, word, f"{word.text} is listed twice")
            else:
                good.append(word.text)
        self.words[name.text] = tuple(good)

    def _setting(self, line: int, name: Name, low: int, high: int) -> None:
        assert self.arch is not None
        lowest, highest, _, power = self.arch.settings[name.text]
        if not lowest <= low <= high <= highest:
            message = f"{name.text} {low}..{high}: expected a range within {lowest}..{highest}"
            self.wrong_name(line, name, message)
            return
        for length in (low, high):
            if power and length & (length - 1):
                message = f"{name.text}: {length} is not a power of two"
                self.wrong_name(line, name, message)
                return
        self.settings[name.text] = (low, high)

    def taken(self, line: int, name: Name) -> bool:
        """Complain if `name` cannot be given to something new."""
        text = name.text
        if text in HEADER_WORDS:
            self.wrong_name(line, name, f"{text!r} begins a header line: take another name")
        elif re.fullmatch(r"cpu[0-9]+|idle[0-9]*", text):
            self.wrong_name(line, name, f"{text!r} is the name of a CPU or of its idle task")
        elif text in self.tasks or text in self.unborn or text in self.vcpus or text in self.vms:
            self.wrong_name(line, name, f"{text!r} is named already")
        elif self._named() >= _MOST_NAMES:
            message = f"tasks, vcpus and VMs: {_MOST_NAMES} are allowed in one trace"
            self.wrong_name(line, name, message)
            self.complain()  # all that comes after it would need the name
        else:
            return False
        return True

    def _named(self) -> int:
        return len(self.tasks) + len(self.unborn) + len(self.vcpus) + len(self.vms)

    def before_machine(self, node: Header) -> None:
        """Complain of a line that needs the machine, once if there is none anywhere."""
        self.causes.lost(self.lines[node.line - 1])
        if not self.causes.missing:
            message = f"`{node.key}` belongs after the machine line"
            self.wrong(node.line, 1, message, len(node.key))

    def _task(self, node: Header) -> None:
        if "machine" not in self.once:
            self.before_machine(node)
            return
        for name, where in node.operands:
            if self.taken(node.line, name):
                continue
            cpu = 0 if where is None and not self.tasks else -1
            if where is not None and where.text != "none":
                cpu = self._cpu(node.line, where)
                if cpu >= 0 and cpu in self.tasks.values():
                    self.wrong_name(node.line, where, f"{where.text} has a task already")
            self.tasks[name.text] = cpu

    def _cpu(self, line: int, name: Name) -> int:
        cpus = self.settings.get("cpus", (1, 1))[1]
        match = re.fullmatch(r"cpu(0|[1-9][0-9]{0,2})", name.text)
        if not match or int(match[1]) >= cpus:
            last = f"cpu0 to cpu{cpus - 1}" if cpus > 1 else "cpu0 only"
            self.wrong_name(line, name, f"no CPU {name.text!r}: this machine has {last}")
            return -1
        return int(match[1])

    def _vm(self, node: Header) -> None:
        if "machine" not in self.once:
            self.before_machine(node)
            return
        vm, vcpus = node.operands
        if not self.taken(node.line, vm):
            self.vms.add(vm.text)
        for name, thread, features in vcpus:
            if thread.text not in self.tasks:
                self.unknown(node.line, thread, "task", self.tasks)
            if self.taken(node.line, name):
                continue
            for feature in features:
                self._feature(node.line, name, feature)
            self.vcpus[name.text] = (thread.text, tuple(f.text for f in features))
            self.vm_of[name.text] = len(self.vms) - 1

    def _feature(self, line: int, vcpu: Name, feature: Name) -> None:
        if self.arch is None:
            return  # there is a complaint about the machine line
        if feature.text not in self.arch.features:
            hint = nearest(feature.text, self.arch.features)
            self.wrong_name(line, feature, f"unknown vcpu feature {feature.text!r}{hint}")
            return
        why = self.arch.lacks(feature.text, self.world())
        if why:
            self.wrong_name(line, feature, f"{vcpu.text} cannot have {feature.text}: {why}")

    def _needs(self, node: Header) -> None:
        if self.arch is None:
            if "machine" not in self.once:
                self.before_machine(node)
            return
        fixes = self.arch.catalogue.fixes
        for name in node.operands:
            if name.text not in fixes:
                self.wrong_name(
                    node.line, name, f"unknown fix {name.text!r}{nearest(name.text, fixes)}"
                )
            elif name.text in self.needs:
                self.wrong_name(node.line, name, f"{name.text} is named twice")
            self.needs.append(name.text)

    def _budget(self, node: Header) -> None:
        if self.arch is None:
            if "machine" not in self.once:
                self.before_machine(node)
            return
        for name, most in node.operands:
            if name.text not in self.arch.counters:
                self.unknown(node.line, name, "counter", self.arch.counters)
            elif name.text in self.budget:
                self.wrong_name(node.line, name, f"{name.text} is named twice")
            self.budget[name.text] = most

    def _verdict(self, node: Header) -> None:
        kernel, mode, violates = node.operands
        if self.arch is None:
            if "machine" not in self.once:
                self.before_machine(node)
            return
        try:
            self.arch.catalogue.kernel(kernel.text)
        except KernelError as error:
            self.wrong_name(node.line, kernel, str(error))
        if mode is not None and mode.text not in self.modes:
            message = f"mode {mode.text!r} is not on the machine line"
            self.wrong_name(node.line, mode, message)
        names = [name.text for name in violates]
        for n, name in enumerate(violates):
            if name.text in names[:n]:
                self.wrong_name(node.line, name, f"{name.text} is named twice")
            if name.text not in self.arch.invariants:
                known = self.arch.invariants
                hint = nearest(name.text, known) or f": {one_of(sorted(known))}"
                message = f"unknown invariant {name.text!r}{hint}"
                self.wrong_name(node.line, name, message)
        verdict = Verdict(
            kernel.text,
            mode.text if mode else None,
            tuple(sorted({v.text for v in violates})),
            node.line,
            kernel.column,
        )
        first = self.judged.setdefault((verdict.kernel, verdict.mode), node.line)
        if first != node.line:
            self.wrong_name(node.line, kernel, f"{kernel.text} is judged in line {first} already")
        self.verdicts.append(verdict)
