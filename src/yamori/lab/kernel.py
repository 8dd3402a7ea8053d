"""The guests' kernel: Debian's cloud kernel, unpacked to an ELF file that QEMU enters through PVH.

The boot image holds an LZ4 payload (legacy frame format, magic 0x184C2102); decompressing it once saves
every guest the BIOS and the decompression under emulation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from yamori.lab.cache import kept
from yamori.lab.command import run
from yamori.model.errors import Failed, Unsupported

PACKAGE = "linux-image-cloud-amd64"
_LZ4_LEGACY = b"\x02\x21\x4c\x18"
_ELF = b"\x7fELF"
_CONCRETE = re.compile(r"Depends: (linux-image-(\d[\w.+-]*-cloud-amd64))\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel ready to boot: the ELF image and the folder with its modules."""

    release: str
    image: Path
    modules: Path


def kernel() -> Kernel:
    """Find, or download and unpack, the kernel that the distribution's meta package now points to.

    Raises Unsupported when the package lists do not know it, Failed when the image is not as expected.
    """
    package, release = _wanted()
    folder = kept(f"kernel-{release}", lambda aside: _unpack(package, release, aside))
    return Kernel(release=release, image=folder / "vmlinux", modules=folder / "modules")


def _wanted() -> tuple[str, str]:
    match = _CONCRETE.search(run(["apt-cache", "depends", PACKAGE]) + "\n")
    if match is None:
        run(["apt-get", "update", "-qq"], timeout_seconds=300)
        match = _CONCRETE.search(run(["apt-cache", "depends", PACKAGE]) + "\n")
    if match is None:
        raise Unsupported("lab", f"the package lists know no {PACKAGE}; the lab needs Debian 12")
    return match[1], match[2]


def _unpack(package: str, release: str, aside: Path) -> None:
    fetch = aside / "fetch"
    fetch.mkdir()
    # apt drops its rights to _apt for the download, which then must be able to write here
    command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package]
    try:
        run(command, cwd=fetch, timeout_seconds=600)
    except Failed:
        run(["apt-get", "update", "-qq"], timeout_seconds=300)
        run(command, cwd=fetch, timeout_seconds=600)
    (archive,) = fetch.glob("*.deb")
    tree = aside / "tree"
    run(["dpkg-deb", "-x", str(archive), str(tree)], timeout_seconds=120)
    boot_image = (tree / "boot" / f"vmlinuz-{release}").read_bytes()
    _decompress(boot_image, aside / "vmlinux")
    (tree / "lib" / "modules" / release / "kernel").rename(aside / "modules")
    run(["rm", "-rf", str(tree), str(fetch)])


def _decompress(boot_image: bytes, target: Path) -> None:
    start = boot_image.find(_LZ4_LEGACY)
    if start < 0:
        raise Failed("the kernel's boot image holds no LZ4 payload", mend="the kernel's packing has changed")
    packed = target.with_suffix(".lz4")
    packed.write_bytes(boot_image[start:])
    try:
        # what follows the payload in the image is no valid frame: lz4 then fails after a complete output
        run(["lz4", "-d", "-f", "-q", str(packed), str(target)], timeout_seconds=120)
    except Failed:
        if not target.exists():
            raise
    packed.unlink()
    if target.read_bytes()[:4] != _ELF:
        raise Failed("the kernel's payload is not an ELF image")
    target.chmod(0o644)
