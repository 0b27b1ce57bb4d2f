"""`kvm-replay rig`: boot a kernel under QEMU, run scripts on it, and bring back their logs."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from harness import files
from harness.cli.rig_traces import run_traces, traces_of
from harness.cli.term import Terminal, aside, many
from harness.errors import HarnessError, one_of
from harness.model import architecture
from harness.model.catalogue import KernelError
from harness.rig.boot import Job, Outcome, boot, names, verdict
from harness.rig.debian import NEWEST, SUITES, busybox, fetch, known, newer, of_files
from harness.rig.emulator import emulator
from harness.rig.emulator import fetch as fetch_qemu
from harness.rig.initramfs import initramfs
from harness.rig.kernels import Kernel, bare
from harness.rig.machine import DEFAULT_CPU, MODES, Cpu, read_cpu
from harness.rig.programs import programs

_ARCHS = ("arm64",)
_TIMEOUT = 600  # seconds


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "rig",
        help="run traces on a real kernel under QEMU",
        description="Boot one of Debian's kernels under QEMU, and run traces on it. What programs "
        "and guests read there is compared with the model. Or run scripts one after the other, "
        "and put the log of each into a folder, with the machine's console. Kernels, and a "
        "newer QEMU where the CPU needs one, are fetched by apt into the cache folder, without "
        "root. The command fails if another kernel, mode or CPU has booted than you asked for. "
        "Exit status: 0 if every log is whole, 1 if one has a `not ok` or the kernel complains (an "
        "oops, a warning), 2 if a log is not whole or the machine cannot be booted.",
    )
    parser.add_argument("arch", choices=_ARCHS, metavar="ARCH", help="arm64")
    # With nargs="*" options could not stand before the scripts.
    parser.add_argument(
        "scripts",
        nargs="+",
        type=Path,
        default=[],
        metavar="TRACE|SCRIPT",
        help="traces, each of which runs on the machine that it needs, and is held against the "
        "model; or scripts of `kvm-replay drive`",
    )
    parser.add_argument(
        "--kernel",
        action="append",
        metavar="K",
        help=f"a series ({one_of(SUITES)}), a Debian package, .deb files (one --kernel each) or a "
        f"kernel image (default: {NEWEST})",
    )
    parser.add_argument(
        "--mode", choices=tuple(MODES), default="vhe", help="the mode of KVM (default: vhe)"
    )
    parser.add_argument(
        "--as",
        dest="held",
        metavar="K",
        help="the kernel of the catalogue to hold traces against (default: that version, or the "
        "release)",
    )
    parser.add_argument(
        "--cpu",
        metavar="SETTINGS",
        help="for scripts, as on a machine line: sve A..B, sme A..B, sme2, fa64, fpmr; or none "
        "(default: sve 16..64)",
    )
    parser.add_argument(
        "--qemu", metavar="PROGRAM", help="default: the system's, if it has what the CPU needs"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=_TIMEOUT,
        metavar="SECONDS",
        help="for the whole boot (default: 600)",
    )
    parser.add_argument(
        "--probes", type=Path, metavar="FILE", help="record the kernel, as `kvm-replay probes` says"
    )
    parser.add_argument(
        "--runner", type=Path, metavar="DIR", help="a folder with the runner, already built"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="where the logs are put"
    )
    parser.add_argument(
        "--update", action="store_true", help="fetch a newer kernel, if Debian has one"
    )
    parser.add_argument("--list", action=_Alone, help="print the series of kernels, then end")
    parser.add_argument("--fetch-qemu", action=_Alone, help="fetch a newer QEMU, then end")
    parser.add_argument("--json", action="store_true", help="of traces: print JSON")
    parser.set_defaults(command=run)


class _Alone(argparse.Action):
    """A flag that takes no scripts."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=False, help=help)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, True)
        for action in parser._actions:
            if action.dest == "scripts":
                action.required = False


def run(args: argparse.Namespace, out: Terminal) -> int:
    if args.list or args.fetch_qemu:
        if args.scripts or args.output or (args.list and args.fetch_qemu):
            raise HarnessError(
                "rig: --list and --fetch-qemu cannot be combined, nor used with scripts or -o"
            )
        return _list(args, out) if args.list else _fetch_qemu(out)
    if args.output is None:
        raise HarnessError("rig: expected -o FOLDER, for the logs")
    if args.output.exists() and not args.output.is_dir():
        raise HarnessError(f"-o {args.output}: is not a folder")
    traces = traces_of(args.scripts)
    if args.json and not traces:
        raise HarnessError("--json is for traces; of a script each log tells what came of it")
    if traces and args.cpu is not None:
        raise HarnessError("--cpu is for scripts: traces say themselves what machine they need")
    for path in [*([] if traces else args.scripts), *([args.probes] if args.probes else [])]:
        if not path.is_file():
            raise HarnessError(f"{path}: no such file")
    if not traces:
        names(args.scripts)
    cpu = DEFAULT_CPU if args.cpu is None else read_cpu(args.cpu)
    built = programs(args.runner)
    emulator(args.qemu, cpu, _by_the_way)  # before a kernel is fetched
    with _kernel(args) as kernel:
        initrd = initramfs(kernel, busybox(), built)

        def boot_on(cpu: Cpu, scripts: list[Path], folder: Path) -> Outcome:
            job = Job(
                kernel=kernel,
                initrd=initrd,
                emulator=emulator(args.qemu, cpu, _by_the_way),
                mode=args.mode,
                cpu=cpu,
                scripts=scripts,
                probes=args.probes,
                timeout=args.timeout,
                folder=folder,
            )
            outcome = boot(job)
            if not args.json:
                _tell(outcome, job, args.arch, out)
            return outcome

        if traces:
            version = kernel.version or kernel.release or ""
            name = args.held or _modelled(args.arch, version)[0]
            if not name:
                raise HarnessError(f"{version}: the model has no such kernel; give --as K")
            return run_traces(args, out, traces, name, boot_on)
        return verdict(boot_on(cpu, args.scripts, args.output))


@contextlib.contextmanager
def _kernel(args: argparse.Namespace) -> Iterator[Kernel]:
    """The kernel that --kernel means."""
    asked = args.kernel or [NEWEST]
    paths = [Path(name) for name in asked]
    if all(name.endswith(".deb") for name in asked):
        with files.folder("kvm-replay-kernel-") as place:
            yield of_files(paths, Path(place))
    elif len(asked) > 1:
        raise HarnessError("--kernel: can be given several times only for .deb files")
    elif paths[0].is_file():
        yield bare(paths[0])
    elif "/" in asked[0]:
        raise HarnessError(f"--kernel {asked[0][:200]}: no such file")
    else:
        yield fetch(asked[0], args.update, _by_the_way)


def _tell(outcome: Outcome, job: Job, arch: str, out: Terminal) -> None:
    facts = outcome.facts
    of = f" (Debian {facts.version})" if facts.version else ""
    name, word = _modelled(arch, facts.version or facts.release)
    told = f"--kernel {name}{word}" if name else "the model has no such kernel"
    out.line(f"{facts.release}{of}: {told}")
    cpu = job.cpu
    if cpu.fpmr is None:
        cpu = cpu._replace(fpmr="fpmr" in facts.features)
    out.line(f"{facts.mode}, cpu {cpu}, {job.emulator}, {outcome.seconds:.0f} s")
    for name, log in outcome.logs.items():
        words = [f"{log.passed} ok", f"{log.failed} not ok", f"{log.skipped} skipped"]
        style = "red" if log.failed or log.lacks else "green"
        out.line(f"{name}: " + out.paint(", ".join(words), style))
        if log.lacks:
            aside(f"kvm-replay: {job.folder / name}.log is not whole: {log.lacks}")
    if outcome.trouble:
        count = many(len(outcome.trouble), "complaint")
        aside(f"kvm-replay: {count} from the kernel in {job.folder / 'console.log'}:")
        for line in outcome.trouble[:10]:
            aside(f"    {line[:200]}")


def _modelled(arch: str, version: str) -> tuple[str, str]:
    """The kernel of the model's catalogue, or the nearest with a word about it; '' for none."""
    upstream = version.partition(":")[2] or version
    number = upstream.partition("-")[0].partition("+")[0].partition("~")[0]
    catalogue = architecture(arch).catalogue
    for name, word in (
        (f"debian-{number}", ""),
        ("v" + ".".join(number.split(".")[:2]), ", the nearest; no entry has its backports"),
    ):
        try:
            return catalogue.kernel(name).name, word
        except KernelError:
            continue
    return "", ""


def _list(args: argparse.Namespace, out: Terminal) -> int:
    for series in SUITES:
        each = known(series, _by_the_way)
        for offer, word in ((each.cached, "cached"), (each.offered, "offered")):
            if offer is not None and (word == "cached" or newer(each)):
                model, _ = _modelled(args.arch, offer.version)
                out.line(f"{series:<5} {offer.package:<41} {offer.version:<16} {word:<8} {model}")
        if each.cached is None and each.offered is None:
            out.line(f"{series:<5} {'-':<41} {'-':<16} {'missing'}")
    return 0


def _fetch_qemu(out: Terminal) -> int:
    found = fetch_qemu()
    out.line(f"{found} is in the cache, and is used where the CPU needs it")
    return 0


def _by_the_way(text: str) -> None:
    aside(f"kvm-replay: {text}")


def _seconds(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:9]) <= 10**6:
        raise argparse.ArgumentTypeError(f"expected seconds, 1 to 1000000, not {text[:40]!r}")
    return int(text)
