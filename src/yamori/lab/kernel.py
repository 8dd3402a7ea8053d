"""Kernels of guests and of Xen hosts: Debian's, unpacked once to an ELF file that is entered through PVH.

A boot image holds a compressed payload where its header says (kernel: Documentation/arch/x86/boot.rst,
payload_offset and payload_length); unpacked, nobody has to decompress it again under emulation.
"""

from __future__ import annotations

import lzma
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from yamori.lab.cache import kept
from yamori.lab.command import run
from yamori.lab.packages import candidates, depends, download
from yamori.model.errors import Failed, Unsupported

PACKAGE = "linux-image-cloud-amd64"
"""For guests: small, but built without what a Xen host needs."""
XEN_HOST_PACKAGE = "linux-image-amd64"

_XZ = b"\xfd7zXZ\0"
_LZ4_LEGACY = b"\x02\x21\x4c\x18"
_ELF = b"\x7fELF"
_CONCRETE = re.compile(r"linux-image-(\d[\w.+-]*-amd64)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel ready to boot: the ELF image and ``lib/modules/RELEASE``, its folder of modules."""

    release: str
    image: Path
    modules: Path


def kernel(package: str = PACKAGE) -> Kernel:
    """Find, or download and unpack, the kernel that the distribution's meta package now points to.

    Raises Unsupported when the package lists do not know it, Failed when the image is not as expected.
    """
    for concrete in depends(package):
        if match := _CONCRETE.fullmatch(concrete):
            release = match[1]
            break
    else:
        raise Unsupported("lab", f"the package lists know no {package}; the lab needs Debian 12")
    version = candidates([concrete])[concrete]
    name = f"linux-{release}-{re.sub(r'[^A-Za-z0-9.+-]', '_', version)}"
    folder = kept(name, lambda aside: _unpack(concrete, release, aside))
    return Kernel(release=release, image=folder / "vmlinux", modules=folder / "modules")


def _unpack(package: str, release: str, aside: Path) -> None:
    tree = aside / "tree"
    download(package, tree)
    boot_image = (tree / "boot" / f"vmlinuz-{release}").read_bytes()
    target = aside / "vmlinux"
    target.write_bytes(_decompressed(boot_image, aside))
    target.chmod(0o644)
    (tree / "lib" / "modules" / release).rename(aside / "modules")
    run(["rm", "-rf", str(tree)])


def _decompressed(boot_image: bytes, aside: Path) -> bytes:
    sectors = boot_image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", boot_image, 0x248)
    begin = (sectors + 1) * 512 + offset
    payload = boot_image[begin : begin + length]
    if payload.startswith(_XZ):
        content = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(_LZ4_LEGACY):
        # the last four bytes are the length of the content, no part of the frame
        packed, plain = aside / "payload.lz4", aside / "payload"
        packed.write_bytes(payload[:-4])
        run(["lz4", "-d", "-f", "-q", str(packed), str(plain)], timeout_seconds=120)
        content = plain.read_bytes()
        packed.unlink()
        plain.unlink()
    else:
        raise Failed("the kernel's boot image holds no LZ4 or XZ payload", mend="the kernel's packing has changed")
    if not content.startswith(_ELF):
        raise Failed("the kernel's payload is not an ELF image")
    return content
