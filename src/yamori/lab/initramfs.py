"""The guests' whole userland: busybox, eleven modules in dependency order, our init and our guest tool."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path

from yamori.lab.cache import kept, key_of
from yamori.lab.command import run
from yamori.lab.kernel import Kernel
from yamori.model.errors import Failed, Unsupported

MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio_balloon",
    "virtio_console",
)
"""Load order; busybox's insmod resolves no dependencies and the wrong order fails without a word."""

_BUSYBOX = Path("/bin/busybox")
_SOURCES = ("guest.h", "main.c", "service.c", "attack.c", "control.c")


def initramfs(kernel: Kernel) -> Path:
    """Build, or find in the cache, the initramfs for this kernel and these sources."""
    if not _BUSYBOX.exists():
        raise Unsupported("lab", "busybox-static is not installed")
    sources = {name: (files("yamori.lab") / "guest" / name).read_bytes() for name in (*_SOURCES, "init")}
    names = [name.encode() for name in (kernel.release, *MODULES)]
    key = key_of([*names, *sources.values(), _BUSYBOX.read_bytes()])
    folder = kept(f"initramfs-{key}", lambda aside: _build(kernel, sources, aside))
    return folder / "initramfs.gz"


def _build(kernel: Kernel, sources: dict[str, bytes], aside: Path) -> None:
    work = aside / "src"
    work.mkdir()
    for name, content in sources.items():
        (work / name).write_bytes(content)
    tool = aside / "guest-tool"
    units = [str(work / name) for name in _SOURCES if name.endswith(".c")]
    flags = ["-static", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-pthread"]
    run(["gcc", *flags, "-o", str(tool), *units], timeout_seconds=120)
    archive = _Archive()
    for folder in ("bin", "dev", "proc", "sys", "mods", "tmp", "etc"):
        archive.folder(folder)
    archive.file("init", sources["init"], executable=True)
    archive.file("bin/busybox", _BUSYBOX.read_bytes(), executable=True)
    archive.file("bin/guest-tool", tool.read_bytes(), executable=True)
    for name in MODULES:
        found = sorted(kernel.modules.rglob(f"{name}.ko"))
        if not found:
            raise Failed(f"kernel {kernel.release} has no module {name}")
        archive.file(f"mods/{name}.ko", found[0].read_bytes())
    archive.file("mods/order", " ".join(MODULES).encode() + b"\n")
    (aside / "initramfs.gz").write_bytes(gzip.compress(archive.end(), compresslevel=1, mtime=0))


class _Archive:
    """A cpio archive in the "newc" format (kernel: Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._inode = 0

    def folder(self, name: str) -> None:
        """Add a directory."""
        self._entry(name, 0o040755, b"")

    def file(self, name: str, content: bytes, *, executable: bool = False) -> None:
        """Add a regular file."""
        self._entry(name, 0o100755 if executable else 0o100644, content)

    def end(self) -> bytes:
        """The whole archive with its trailer."""
        self._entry("TRAILER!!!", 0, b"")
        return b"".join(self._parts)

    def _entry(self, name: str, mode: int, content: bytes) -> None:
        self._inode += 1
        path = name.encode() + b"\0"
        links = 2 if mode & 0o040000 and not mode & 0o100000 else 1
        numbers = (self._inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % number for number in numbers)
        self._parts += [_padded(head + path), _padded(content)]


def _padded(block: bytes) -> bytes:
    return block + b"\0" * (-len(block) % 4)
