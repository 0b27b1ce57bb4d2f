"""Mutants of what stands above the modelled kernel: each must be noticed by some test.

    python -m tests.long.mutants                       # 60 of them, about 15 minutes
    python -m tests.long.mutants --quick               # without the tests that notice least
    python -m tests.long.mutants --seed 7 --count 20
    python -m tests.long.mutants --files 'riscv/stimuli/sbi.py:4[0-9]$' --count 1000

A mutant is one small change of one file: a comparison turned around, `and` for `or`, a `not` left
out, a condition that is always true or always false, a statement left out, another number or text,
a declaration without one of its arguments. All of them are found, and some are drawn. `--files` is
an expression that is looked for in `path:line`.

The tree is copied to a temporary folder, and there one mutant after the other is put in its place
and tested: by every trace first, then by the tests that concern the layer, from quick to slow,
until one fails. A run that takes much longer than it does without a mutant fails too. Each mutant
is printed with what has noticed it. One that nothing notices is equivalent, or a test is missing.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BELOW = ("test_losses.py", "cpu")
LAYER = (
    *(f"harness/model/{name}.py" for name in ("shared", "places", "verbs", "operands")),
    *(f"harness/model/{name}.py" for name in ("exploring", "anatomy", "states", "saving")),
    "harness/model/observing.py",
    *(
        f"harness/model/{arch}/{name}.py"
        for arch in ("arm64", "riscv")
        for name in ("program", "registers", "machine", "exploring", "settings", "stimuli/*")
    ),
)
# Those that notice most, from quick to slow; the others, for what is left; and what neither has:
# tests of the kernel's functions, and of the processor.
TESTS = (
    *("tests/test_docs.py", "tests/search/test_groups.py", "tests/dsl/test_causes.py"),
    *("tests/dsl/test_check.py", "tests/model/test_shapes.py", "tests/search/test_touches.py"),
    *("tests/model/test_observed.py", "tests/model/test_settling.py"),
    *("tests/model/test_written.py", "tests/model/riscv/test_accepted.py"),
    *("tests/model/test_refused.py", "tests/search/test_counts.py"),
)
MORE = (
    *("tests/dsl", "tests/engine", "tests/model", "tests/search/test_onereg.py"),
    *(f"--ignore=tests/model/{arch}/{name}" for arch in ("arm64", "riscv") for name in BELOW),
)
# What tests of the other architecture are called.
OTHERS = {"arm64": "not riscv and not rv64", "riscv": "not arm64 and not vhe and not protected"}
TURNED: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: ">=",
    ast.GtE: "<",
    ast.Gt: "<=",
    ast.LtE: ">",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
NEXT_TO: dict[type[ast.cmpop], str] = {ast.Lt: "<=", ast.GtE: ">", ast.Gt: ">=", ast.LtE: "<"}
DECLARED = ("actors", "leads", "optional", "reads", "several", "touches", "tries", "when", "where")
SLACK = 30  # seconds that a run may take longer than three times what it takes without a mutant


class Mutant(NamedTuple):
    """A change of one file: what stands in it from `start` to `end`, in bytes, becomes `text`."""

    path: str
    line: int
    what: str
    start: int
    end: int
    text: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]

    def diff(self, source: bytes) -> Iterator[str]:
        """The lines that it changes, before and after."""
        first = source.rfind(b"\n", 0, self.start) + 1
        last = source.find(b"\n", self.end)
        tail = source[self.end : last].decode()
        for sign, text in (("-", source[self.start : self.end].decode()), ("+", self.text)):
            for line in (source[first : self.start].decode() + text + tail).splitlines():
                yield f"    {sign} {line.strip()}"


class Finder:
    """Every mutant of a file."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source = path, source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.found: list[Mutant] = []
        self._visit(ast.parse(source))

    def _at(self, line: int | None, column: int | None) -> int:
        assert line is not None
        assert column is not None
        return self.starts[line - 1] + column

    def _add(self, node: ast.expr | ast.stmt | ast.keyword, what: str, text: str) -> None:
        start = self._at(node.lineno, node.col_offset)
        end = self._at(node.end_lineno, node.end_col_offset)
        if isinstance(node, ast.keyword):  # with its comma
            before = self.source[:start].rstrip()
            if before.endswith(b","):
                start = len(before) - 1
            else:
                end += len(self.source[end:]) - len(self.source[end:].lstrip(b", "))
        mutant = Mutant(self.path, node.lineno, what, start, end, text)
        try:
            compile(mutant.apply(self.source), self.path, "exec")
        except SyntaxError:
            return
        self.found.append(mutant)

    def _visit(self, node: ast.AST) -> None:
        match node:
            case ast.FunctionDef():
                for decorator in node.decorator_list:
                    self._visit(decorator)
                self._visit_all(node.args.defaults + node.args.kw_defaults)
                self._visit_all(node.body)
                return
            case ast.ClassDef():
                if not any("Protocol" in ast.unparse(base) for base in node.bases):
                    self._visit_all(node.decorator_list)
                    self._visit_all(node.body)
                return
            case ast.Assign(targets=[ast.Name(id=name)]) if name in ("__slots__", "__all__"):
                return
            case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar"))) | ast.Assert():
                return
            case ast.AnnAssign():
                self._visit_all([node.value])
                return
            case ast.Expr(value=ast.Constant()):  # a docstring
                return
            case ast.JoinedStr():
                self._add(node, "text", self._text(node) + ' "x"')
                self._visit_all(v for v in node.values if isinstance(v, ast.FormattedValue))
                return
            case ast.FormattedValue():  # its parts are misplaced until Python 3.12
                return
        self._mutate(node)
        self._visit_all(ast.iter_child_nodes(node))

    def _visit_all(self, nodes: object) -> None:
        for node in nodes:  # type: ignore[attr-defined]
            if node is not None:
                self._visit(node)

    def _text(self, node: ast.expr | ast.stmt) -> str:
        return ast.get_source_segment(self.source.decode(), node) or ""

    def _part(self, node: ast.expr) -> str:
        """Its text as an operand."""
        return (
            self._text(node) if isinstance(node, ast.Name | ast.Call) else f"({self._text(node)})"
        )

    def _mutate(self, node: ast.AST) -> None:
        match node:
            case ast.Compare(ops=[op]):
                for what, table in (("comparison", TURNED), ("boundary", NEXT_TO)):
                    if type(op) in table:
                        sides = map(self._part, (node.left, node.comparators[0]))
                        self._add(node, what, f" {table[type(op)]} ".join(sides))
            case ast.BoolOp():
                other = " or " if isinstance(node.op, ast.And) else " and "
                self._add(node, "and/or", f"({other.join(map(self._part, node.values))})")
            case ast.UnaryOp(op=ast.Not()):
                self._add(node, "not", self._text(node.operand))
            case ast.If() | ast.IfExp() | ast.While():
                self._always(node.test)
            case ast.comprehension():
                for test in node.ifs:
                    self._always(test)
            case ast.Constant(value=bool(yes)):
                self._add(node, "constant", str(not yes))
            case ast.Constant(value=int(number)):
                self._add(node, "constant", str(number + 1))
            case ast.Constant(value=str(text)):
                self._add(node, "text", repr(text + "x"))
            case ast.keyword() if node.arg in DECLARED:
                self._add(node, "argument", "")
            case ast.Raise() | ast.AugAssign() | ast.Continue() | ast.Break():
                self._add(node, "statement", "pass")
            case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
                self._add(node, "statement", "pass")
            case ast.Return(value=None):
                self._add(node, "statement", "pass")
            case ast.Assign() if not all(isinstance(t, ast.Name) for t in node.targets):
                self._add(node, "statement", "pass")

    def _always(self, test: ast.expr) -> None:
        for value in ("True", "False"):
            self._add(test, "condition", value)


def mutants(files: str) -> list[Mutant]:
    """Every mutant whose `path:line` has this expression, once."""
    found: dict[tuple[str, bytes], Mutant] = {}
    for pattern in LAYER:
        for path in sorted(ROOT.glob(pattern)):
            source, name = path.read_bytes(), str(path.relative_to(ROOT))
            for each in Finder(name, source).found:
                if re.search(files, f"{name}:{each.line}"):
                    found.setdefault((name, each.apply(source)), each)
    return list(found.values())


class Trial:
    """A copy of the tree, in which one file at a time is changed, and what is run there."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self.folder, self.quick = folder, quick
        shutil.copytree(
            ROOT, folder, ignore=shutil.ignore_patterns(".git", "__pycache__", ".*_cache")
        )
        self.takes: dict[tuple[str, ...], float] = {}

    def commands(self, path: str) -> Iterator[tuple[str, ...]]:
        """What is to notice a mutant of this file."""
        arch = next((arch for arch in OTHERS if f"/{arch}/" in path), None)
        every = [*map(str, sorted(self.folder.glob(f"traces/{arch or '*'}/*.trace")))]
        yield "harness", "run", "-q", *every[::8]
        yield "harness", "run", "-q", *every
        only = ("-k", OTHERS[arch]) if arch else ()
        yield "pytest", "-n0", "--long", "-x", "-q", *only, *TESTS
        if not self.quick:
            yield "pytest", "-n0", "--long", "-x", "-q", *only, *MORE

    def run(self, command: tuple[str, ...], **environment: str) -> str | None:
        """What fails, None if nothing does."""
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        known = self.takes.get(command)
        try:
            said, _ = process.communicate(timeout=None if known is None else 3 * known + SLACK)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"{command[0]}: a hang"
        self.takes.setdefault(command, time.monotonic() - begun)
        if process.returncode == 0:
            return None
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.M)
        if failed:
            return failed[1]
        return f"{' '.join(command[:2])}: {said.strip().splitlines()[-1][:100]}"

    def noticed(self, mutant: Mutant) -> str | None:
        """What notices a mutant, None if nothing does."""
        path = self.folder / mutant.path
        path.write_bytes(mutant.apply((ROOT / mutant.path).read_bytes()))
        try:
            for command in self.commands(mutant.path):
                failed = self.run(command, PYTHONDONTWRITEBYTECODE="1")
                if failed is not None:
                    return failed
            return None
        finally:
            shutil.copy2(ROOT / mutant.path, path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw mutants, and see what notices them.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--files", default="", help="looked for in path:line")
    parser.add_argument("--quick", action="store_true", help="without the slow tests")
    args = parser.parse_args()
    every = mutants(args.files)
    some = random.Random(args.seed).sample(every, min(args.count, len(every)))
    print(f"{len(every)} mutants, of which {len(some)} are drawn", flush=True)
    by: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        trial = Trial(Path(scratch) / "tree", args.quick)
        for command in dict.fromkeys(c for each in some for c in trial.commands(each.path)):
            failed = trial.run(command)
            if failed is not None:
                sys.exit(f"without a mutant: {failed}")
            print(f"{trial.takes[command]:.0f} s: {' '.join(command)[:70]}", flush=True)
        for n, each in enumerate(some, 1):
            failed = trial.noticed(each)
            print(f"{n} {each.path}:{each.line}: {each.what}: {failed or 'NOT NOTICED'}")
            print(*each.diff((ROOT / each.path).read_bytes()), sep="\n", flush=True)
            by["" if failed is None else failed.partition("::")[0].partition(":")[0]] += 1
    for name, count in by.most_common():
        print(f"{count:5} {name or 'not noticed'}")
    print(f"{len(some) - by['']} of {len(some)} are noticed")


if __name__ == "__main__":
    main()
