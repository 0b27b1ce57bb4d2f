"""KTAP and JUnit of the whole corpus, held against what others read them by. Run by hand.

    python -m tests.report.compare_formats linux/tools/testing/kunit junit-10.xsd

The first is a folder of a kernel tree, the second Jenkins' schema (jenkinsci/xunit-plugin); it
needs lxml. The rules that both were found to follow are in test_formats.py.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RUNS: tuple[tuple[str, ...], ...] = ((), ("--kernel", "v6.6"), ("--kernel", "v7.2+sme-guest"))


def run(*args: str) -> str:
    """What `kvm-replay run` prints."""
    command = [sys.executable, "-m", "harness", "run", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def ktap(folder: Path, text: str) -> str:
    """What the kernel's own parser counts. Raises ValueError if it finds an error."""
    sys.path.insert(0, str(folder))
    parser: Any = __import__("kunit_parser")
    printer: Any = __import__("kunit_printer")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        test = parser.parse_run_tests(text.splitlines(), printer.Printer(said))
    if wrong := [line for line in said.getvalue().splitlines() if "[ERROR]" in line]:
        raise ValueError("\n".join(wrong[:5]))
    return str(test.counts)


def main(kunit: str, xsd: str) -> None:
    """Print what was read; end with a traceback where something is not as it must be."""
    etree: Any = __import__("lxml.etree", fromlist=["etree"])
    schema = etree.XMLSchema(etree.parse(xsd))
    for args in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "junit.xml")
            text = run("--ktap", "--junit", str(file), *args)
            print(" ".join(args) or "run", "KTAP:", ktap(Path(kunit), text))
            root = etree.parse(str(file))
            schema.assertValid(root)
            print("  JUnit:", dict(root.getroot().attrib))


if __name__ == "__main__":
    main(*sys.argv[1:])
