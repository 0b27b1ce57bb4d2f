"""Boot images: a kernel as firmware and boot loaders take it, packed or not. They hold BTF."""

from __future__ import annotations

import struct
import zlib

from harness.image.btf import MAGIC
from harness.image.elf import EM_AARCH64, EM_RISCV, Data
from harness.image.errors import ImageError

MAX_UNPACKED = 512 << 20
MAX_TRIES = 10_000  # at something that looks like BTF

WANTED = (
    "expected a vmlinux with symbols (distributions have it in a debug package: "
    "/usr/lib/debug/boot/vmlinux-*), or /sys/kernel/btf/vmlinux"
)


def unpacked(data: Data, start: bytes) -> Data:
    """What is packed in a boot image."""
    if start[:2] == b"MZ" and start[4:8] == b"zimg":  # EFI zboot
        offset, size = struct.unpack_from("<II", start, 8)
        kind = start[24:56].split(b"\0")[0].decode("ascii", "replace")
        if kind != "gzip":
            raise ImageError(
                f"a boot image packed with {kind}; unpack it first (`dd` and `{kind}`); {WANTED}"
            )
        return _gunzip(bytes(data[offset : offset + size]))
    if start[:2] == b"\x1f\x8b":
        return _gunzip(bytes(data))
    if machine_of(start) is not None:
        return data
    raise ImageError(f"neither ELF nor BTF nor a boot image of arm64 or RISC-V; {WANTED}")


# What stands in the header of a boot image (Documentation/arch/*/boot*.rst).
_MAGIC = {b"ARM\x64": EM_AARCH64, b"RSC\x05": EM_RISCV}


def machine_of(data: Data) -> int | None:
    """The machine of an unpacked boot image, as ELF numbers it; None if it does not say."""
    return _MAGIC.get(bytes(data[56:60]))


def _gunzip(packed: bytes) -> bytes:
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = unpack.decompress(packed, MAX_UNPACKED)
    except zlib.error as error:
        raise ImageError(f"cannot be unpacked: {error}; is it truncated?") from None
    if unpack.unconsumed_tail:
        raise ImageError(f"unpacks to more than {MAX_UNPACKED >> 20} MiB")
    if not unpack.eof:
        raise ImageError("ends before it is unpacked; is it truncated?")
    return plain


def embedded(data: Data) -> bytes:
    """The BTF in a boot image, where it begins nowhere in particular."""
    magic = struct.pack("<HBBI", MAGIC, 1, 0, 24)
    at = -1
    for _ in range(MAX_TRIES):
        at = data.find(magic, at + 1)
        if at < 0 or at + 24 > len(data):
            break
        _, _, _, header, type_at, type_size, str_at, str_size = struct.unpack_from(
            "<HBBIIIII", data, at
        )
        size = header + str_at + str_size
        if type_at == 0 and str_at == type_size and 0 < size <= len(data) - at and type_size > 24:
            return bytes(data[at : at + size])
    raise ImageError(f"a boot image without BTF in it, and boot images have no symbols; {WANTED}")
