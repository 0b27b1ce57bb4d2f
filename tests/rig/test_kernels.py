"""The modules of a kernel in the order of loading, and packages that are not whole."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.rig.kernels import depends, load_order, read_module, stem, unpack

NEEDS = {
    "9p": ["9pnet", "netfs"],
    "9pnet_virtio": ["virtio", "9pnet", "virtio_ring"],
    "virtio_ring": ["virtio"],
    "loop_a": ["loop_b"],
    "loop_b": ["loop_a"],
    "broken": ["nowhere"],
}
FOUND = {name: Path(name) for name in (*NEEDS, "9pnet", "virtio", "netfs")}


def order(needed: list[str], wanted: list[str], builtin: list[str]) -> list[str]:
    paths = load_order(needed, wanted, builtin, FOUND, lambda path: NEEDS.get(path.name, []))
    return [path.name for path in paths]


def test_each_after_what_it_depends_on() -> None:
    assert order(["9pnet_virtio", "9p"], [], []) == [
        *("virtio", "9pnet", "virtio_ring", "9pnet_virtio", "netfs", "9p"),
    ]


def test_what_is_built_in_is_not_loaded() -> None:
    assert order(["9pnet_virtio"], [], ["virtio", "9pnet"]) == ["virtio_ring", "9pnet_virtio"]


def test_what_is_only_wanted_may_be_missing() -> None:
    assert order([], ["sha2_ce", "virtio"], []) == ["virtio"]


def test_a_circle_ends() -> None:
    assert order(["loop_a"], [], []) == ["loop_b", "loop_a"]


@pytest.mark.parametrize(
    ("needed", "says"), [("nowhere", "no module nowhere"), ("broken", "nowhere .for broken.")]
)
def test_what_is_needed_must_be_there(needed: str, says: str) -> None:
    with pytest.raises(HarnessError, match=says):
        order([needed], [], [])


MODULE = b"\x7fELF" + bytes(9) + b"license=GPL\0depends=virtio,sha256-arm64\0name=x\0"


def test_what_a_module_says() -> None:
    """Debian's packages have no modules.dep."""
    assert depends(MODULE) == ["virtio", "sha256_arm64"]
    assert depends(MODULE.replace(b"virtio,sha256-arm64", b"")) == []
    assert stem("kernel/fs/9p/9p-x.ko.xz") == "9p_x"


@pytest.mark.parametrize(
    ("suffix", "data"),
    [("", MODULE), (".xz", lzma.compress(MODULE)), (".gz", gzip.compress(MODULE))],
)
def test_compressed_modules(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"x.ko{suffix}"
    path.write_bytes(data)
    assert read_module(path) == MODULE


@pytest.mark.parametrize("suffix", ["", ".xz", ".gz"])
def test_a_module_that_is_damaged(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.ko{suffix}"
    path.write_bytes(b"nothing")
    with pytest.raises(HarnessError, match=rf"x\.ko{suffix}: "):
        read_module(path)


def package(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """A Debian package."""
    tree = folder / name
    files["DEBIAN/control"] = (
        f"Package: {name}\nVersion: 6.1.9-1\nArchitecture: arm64\n"
        "Maintainer: A <a@b.example>\nDescription: x\n"
    ).encode()
    for path, data in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
    deb = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--build", tree, deb], check=True, capture_output=True)
    return deb


def module(*names: str) -> bytes:
    return MODULE.replace(b"virtio,sha256-arm64", ",".join(names).encode())


needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is missing")


@needs_dpkg
@pytest.mark.parametrize("top", ["", "usr/"])
def test_a_kernel_out_of_packages(tmp_path: Path, top: str) -> None:
    """The image, and the modules by number; of older packages and of newer ones."""
    modules = f"{top}lib/modules/6.1.0-1-arm64"
    image = f"{modules}/vmlinuz" if top else "boot/vmlinuz-6.1.0-1-arm64"
    files = {
        image: b"an image",
        f"{modules}/modules.builtin": b"kernel/drivers/virtio/virtio_mmio.ko\n",
        f"{modules}/kernel/9p.ko": module("9pnet"),
        f"{modules}/kernel/9pnet.ko": module(),
        f"{modules}/kernel/9pnet_virtio.ko": module("9pnet"),
    }
    deb = package(tmp_path, "linux-image-6.1.0-1-arm64", files)
    (tmp_path / "cache").mkdir(exist_ok=True)
    kernel = unpack([deb], tmp_path / "cache" / "kernel")
    assert kernel.image.read_bytes() == b"an image"
    assert (kernel.release, kernel.version) == ("6.1.0-1-arm64", "6.1.9-1")
    assert [m.name for m in kernel.modules] == ["00-9pnet.ko", "01-9pnet_virtio.ko", "02-9p.ko"]


@needs_dpkg
@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"usr/bin/x": b""}, "have no vmlinuz"),
        ({"boot/vmlinuz-1-arm64": b""}, "have no modules"),
        (
            {"boot/vmlinuz-1-arm64": b"", "lib/modules/1-arm64/x.ko": MODULE},
            "no module virtio_mmio",
        ),
    ],
)
def test_packages_that_are_not_whole(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    """Nothing is left of them."""
    target = tmp_path / "place" / "kernel"
    target.parent.mkdir()
    with pytest.raises(HarnessError, match=says):
        unpack([package(tmp_path, "linux-binary-1-arm64", files)], target)
    assert not any(target.parent.iterdir())


@needs_dpkg
def test_a_file_that_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_text("nothing")
    with pytest.raises(HarnessError, match="dpkg-deb has failed"):
        unpack([tmp_path / "x.deb"], tmp_path / "kernel")
    with pytest.raises(HarnessError, match=r"y\.deb: no such file"):
        unpack([tmp_path / "y.deb"], tmp_path / "kernel")
