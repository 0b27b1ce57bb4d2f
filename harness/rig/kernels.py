"""A kernel to boot: its image and the modules that the rig needs, out of Debian's packages."""

from __future__ import annotations

import gzip
import lzma
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from harness import files
from harness.errors import HarnessError
from harness.rig.apt import scratch
from harness.rig.tools import call

# What the rig cannot do without: the shared folder.
_NEEDED = ("virtio_mmio", "9pnet_virtio", "9p")
# AF_ALG with SHA-256 makes the kernel use the FP registers. Names differ between releases.
_WANTED = ("af_alg", "algif_hash", "sha256", "sha256_generic", "sha256_arm64", "sha2_ce")
_DEPENDS = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")  # in a module's section .modinfo
_MOST = 64 << 20  # bytes of a module


class Kernel(NamedTuple):
    """What is booted."""

    image: Path
    modules: tuple[Path, ...] = ()  # in the order in which they can be loaded
    release: str | None = None  # what `uname -r` must say
    package: str | None = None
    version: str | None = None


def bare(image: Path) -> Kernel:
    """An image alone: what the rig needs must be built in."""
    try:
        with open(image, "rb") as file:
            head = file.read(64)
    except OSError as error:
        raise HarnessError(f"{image}: cannot be read: {error.strerror}") from None
    kind = head[56:60] == b"ARMd" or head[4:8] == b"zimg" or head[:2] == b"\x1f\x8b"
    if not kind:
        raise HarnessError(
            f"{image}: is not an arm64 kernel image: expected Image, Image.gz or vmlinuz"
        )
    return Kernel(image)


def unpack(debs: Iterable[Path], target: Path) -> Kernel:
    """Put the kernel of these packages into a new folder, as a whole or not at all."""
    with scratch(target.parent) as place:
        tree, kept = Path(place) / "tree", Path(place) / "kept"
        (kept / "modules").mkdir(parents=True)
        package = version = None
        for deb in debs:
            if not deb.is_file():
                raise HarnessError(f"{deb}: no such file")
            fields = call(["dpkg-deb", "--show", "--showformat=${Package}\n${Version}\n", str(deb)])
            name, its_version = fields.decode().split()[:2]
            if package is None or name.startswith(("linux-image-", "linux-binary-")):
                package, version = name, its_version
            call(["dpkg-deb", "--extract", str(deb), str(tree)])
        release, image = _image(tree)
        shutil.copyfile(image, kept / "vmlinuz")
        for name, path in _extras(tree, release).items():
            shutil.copyfile(path, kept / name)
        folder = next((f for f in _module_folders(tree) if f.name == release), None)
        for number, module in enumerate(_modules(folder)):
            data = read_module(module)
            (kept / "modules" / f"{number:02}-{stem(module)}.ko").write_bytes(data)
        files.write(kept / "about", f"{release}\n{package}\n{version}\n")
        try:
            os.rename(kept, target)
        except OSError as error:
            if not (target / "about").exists():  # another process may have been faster
                raise HarnessError(f"{target}: cannot be written: {error.strerror}") from None
    return opened(target)


def opened(folder: Path) -> Kernel:
    """The kernel in a folder that `unpack` has made."""
    try:
        release, package, version = (folder / "about").read_text().splitlines()
        modules = tuple(sorted((folder / "modules").iterdir()))
    except (OSError, ValueError):
        raise HarnessError(f"{folder}: is damaged: remove it and try again") from None
    return Kernel(folder / "vmlinuz", modules, release, package, version)


def load_order(
    needed: Iterable[str],
    wanted: Iterable[str],
    builtin: Iterable[str],
    found: Mapping[str, Path],
    depends: Callable[[Path], Iterable[str]],
) -> list[Path]:
    """Modules with all that they depend on, each after what it depends on.

    What is built in is left out, and so is what is only wanted and does not exist.
    """
    order: dict[str, Path] = {}
    within = set(builtin)

    def add(name: str, chain: tuple[str, ...], strict: bool) -> None:
        if name in order or name in within or name in chain:
            return
        if name not in found:
            if strict:
                why = f" (for {chain[-1]})" if chain else ""
                raise HarnessError(f"the kernel packages have no module {name}{why}")
            return
        for other in depends(found[name]):
            add(other, (*chain, name), True)
        order[name] = found[name]

    for name in needed:
        add(name, (), True)
    for name in wanted:
        add(name, (), False)
    return list(order.values())


def stem(path: Path | str) -> str:
    """A module's name: the kernel takes - and _ for the same."""
    return os.path.basename(path).partition(".ko")[0].replace("-", "_")


def read_module(path: Path) -> bytes:
    """A module, decompressed. (Only newer kernels can load a compressed one.)"""
    try:
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        elif path.suffix == ".gz":
            data = gzip.decompress(data)
        elif path.suffix == ".zst":
            data = call(["zstd", "-dcq"], data=data)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise HarnessError(f"{path.name}: cannot be read: {error}") from None
    if len(data) > _MOST or not data.startswith(b"\x7fELF"):
        raise HarnessError(f"{path.name}: is not a kernel module")
    return data


def depends(data: bytes) -> list[str]:
    """What a module says that it depends on. (modules.dep is only made at an installation.)"""
    found = _DEPENDS.search(data)
    names = found[1].decode("ascii", "replace") if found else ""
    return [stem(name) for name in names.split(",") if name]


def _modules(folder: Path | None) -> list[Path]:
    found = {stem(path): path for path in folder.rglob("*.ko*")} if folder else {}
    if folder is None or not found:
        raise HarnessError(
            "the packages have no modules: expected linux-modules-* beside linux-binary-*"
        )
    try:
        builtin = [stem(line) for line in (folder / "modules.builtin").read_text().split()]
    except OSError:
        builtin = []
    return load_order(_NEEDED, _WANTED, builtin, found, lambda path: depends(read_module(path)))


def _image(tree: Path) -> tuple[str, Path]:
    """The release and the image, of Debian's older packages or of those since v7."""
    for path in sorted(tree.glob("boot/vmlinuz-*")):
        return path.name.removeprefix("vmlinuz-"), path
    for folder in _module_folders(tree):
        if (folder / "vmlinuz").is_file():
            return folder.name, folder / "vmlinuz"
    raise HarnessError(
        "the packages have no vmlinuz: expected linux-image-*, or linux-binary-* and "
        "linux-modules-*, of arm64"
    )


def _module_folders(tree: Path) -> list[Path]:
    return [*sorted(tree.glob("lib/modules/*")), *sorted(tree.glob("usr/lib/modules/*"))]


def _extras(tree: Path, release: str) -> dict[str, Path]:
    """What helps those who look at the kernel: its configuration and System.map."""
    extras = {}
    for name in ("config", "System.map"):
        for path in (
            tree / "boot" / f"{name}-{release}",
            tree / "lib/modules" / release / name,
            tree / "usr/lib/modules" / release / name,
        ):
            if path.is_file() and path.stat().st_size > 4096:  # some are only a note
                extras[name] = path
    return extras
