"""The observed lines, taken apart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent

# The rebuilt kernels as fix sets: 16 is that SVE stays on over system calls, 1
# that hyp saves the host's state lazily. What no fix set says is in kernels.py.
KERNELS = {
    "fixed": "debian-6.1.192",
    "fpbug16": "debian-6.1.192+load-by-type+sve-stays-on",
    "fpbug17": "v6.1+kvm-prepare+fp-type+to-save+load-by-type+sve-stays-on",
    "fpbug8": "debian-6.1.192",
    "fpbug7": "v6.1+smen-isb",  # the machine that was recorded needs no ISB
}

# Kinds of lines that nothing replays, and why.
LEFT_OUT: dict[str, str] = {}


class Line(NamedTuple):
    """`OBS KIND ...`: its number in the file, and what it says by name."""

    file: str
    number: int
    kind: str
    says: dict[str, str]
    text: str

    @property
    def id(self) -> str:
        return f"{self.file}:{self.number}"


def files() -> list[Path]:
    return sorted(HERE.glob("*.txt"))


def read(path: Path) -> list[Line]:
    """Every line that is no comment. `code` is the result code's name, `value` its value."""
    found = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if text.startswith("#"):
            continue
        match = re.fullmatch(r"OBS (\w+) (.*)", text)
        assert match, f"{path.name}:{number}: {text!r} is no observation"
        kind, rest = match.groups()
        says = dict(re.findall(r"(\w+)=(\S+)", rest))
        for name in list(says):
            if re.fullmatch(r"code\d", name):
                says |= {"code": name, "value": says.pop(name)}
        if kind == "compete":
            head = re.match(r"(\S+) +thread(\d)", rest)
            assert head, f"{path.name}:{number}: {text!r}"
            says |= {"name": head[1], "thread": head[2]}
        found.append(Line(path.stem, number, kind, says, text))
    return found


def of(kind: str) -> dict[str, list[Line]]:
    """The files that have lines of this kind, with those lines."""
    found = {p.stem: [x for x in read(p) if x.kind == kind] for p in files()}
    return {name: lines for name, lines in found.items() if lines}


def kernel(file: str) -> tuple[str, str]:
    """The kernel that a file is about, and the mode."""
    words = file.split("-")
    tag = next((w for w in words if w in KERNELS), "fixed")
    # With SME the rebuilt kernel has 375110ab51de too, which VHE needs.
    built = "+sme-reset-smen" if tag == "fixed" and "sme" in words else ""
    return KERNELS[tag] + built, "nvhe" if "nvhe" in words else "vhe"
