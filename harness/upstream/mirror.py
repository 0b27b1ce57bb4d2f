"""Which kernel files the model mirrors: the first line of a module's docstring says so.

A paragraph that begins with `Also` names more, of which it has a part.

`arch/arm64/kernel/fpsimd.c, its CONFIG_EFI part: ...` names a file; `arch/arm64/kvm/guest.c,
reset.c and sys_regs.c` three of one folder; `asm/vector.h` is the architecture's header;
`vcpu_sbi_*.c` stands for several.
"""

from __future__ import annotations

import ast
import fnmatch
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import harness.model
from harness.errors import HarnessError

_FILE = re.compile(r"(?<![\w/.])((?:[\w.-]+/)*[\w*.-]+\.[chS])\b")
_TOP = ("arch", "drivers", "fs", "include", "kernel", "mm", "virt")


@dataclass(slots=True)
class Mirror:
    """A kernel file (or a pattern of files), the modules that mirror it, and their functions."""

    path: str
    modules: list[str] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)

    def matches(self, path: str) -> bool:
        return fnmatch.fnmatchcase(path, self.path)


def mirrors(arch: str) -> dict[str, Mirror]:
    """The files that the model of `arch` mirrors, by path. Raises HarnessError without sources."""
    found: dict[str, Mirror] = {}
    root = Path(harness.model.__file__).parent / arch
    for module in sorted(root.rglob("*.py")):
        try:
            tree = ast.parse(module.read_text(encoding="utf-8"))
        except OSError as error:
            raise HarnessError(f"{module}: {error.strerror}") from None
        first, *more = (ast.get_docstring(tree) or "").split("\n\n")
        paths = named(arch, first)
        paths += [path for also in more if also.startswith("Also ") for path in named(arch, also)]
        functions = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_on_")
        }
        for path in dict.fromkeys(paths):
            mirror = found.setdefault(path, Mirror(path))
            mirror.modules.append(module.relative_to(root).with_suffix("").as_posix())
            mirror.functions |= functions
    return found


def named(arch: str, text: str) -> list[str]:
    """The kernel files that a docstring names, as paths in the kernel's tree."""
    paths: list[str] = []
    for name in _FILE.findall(text.replace("\n", " ")):
        top = name.split("/")[0]
        if top in _TOP:
            paths.append(name)
        elif top == "asm":
            paths.append(f"arch/{arch}/include/{name}")
        elif "/" not in name and paths:
            paths.append(str(PurePosixPath(paths[-1]).parent / name))
    return list(dict.fromkeys(paths))
