"""The guests' whole userland: busybox, the modules of their devices, our init and our guest tool."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from yamori.lab.cache import kept, key_of
from yamori.lab.command import run
from yamori.lab.cpio import Archive
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

XEN_MODULES = ("xen-blkfront", "xen-netfront")
"""What a guest of Xen needs instead; all else of Xen's is built into the kernel."""

_BUSYBOX = Path("/bin/busybox")
_SOURCES = ("guest.h", "main.c", "service.c", "attack.c", "control.c")


def initramfs(kernel: Kernel, modules: Sequence[str] = MODULES) -> Path:
    """Build, or find in the cache, the initramfs for this kernel, these modules and our sources."""
    if not _BUSYBOX.exists():
        raise Unsupported("lab", "busybox-static is not installed")
    sources = {name: (files("yamori.lab") / "guest" / name).read_bytes() for name in (*_SOURCES, "init")}
    names = [name.encode() for name in (kernel.release, *modules)]
    key = key_of([*names, *sources.values(), _BUSYBOX.read_bytes()])
    folder = kept(f"initramfs-{key}", lambda aside: _build(kernel, modules, sources, aside))
    return folder / "initramfs.gz"


def _build(kernel: Kernel, modules: Sequence[str], sources: dict[str, bytes], aside: Path) -> None:
    work = aside / "src"
    work.mkdir()
    for name, content in sources.items():
        (work / name).write_bytes(content)
    tool = aside / "guest-tool"
    units = [str(work / name) for name in _SOURCES if name.endswith(".c")]
    flags = ["-static", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-pthread"]
    run(["gcc", *flags, "-o", str(tool), *units], timeout_seconds=120)
    archive = Archive()
    for folder in ("bin", "dev", "proc", "sys", "mods", "tmp", "etc"):
        archive.folder(folder)
    archive.file("init", sources["init"], executable=True)
    archive.file("bin/busybox", _BUSYBOX.read_bytes(), executable=True)
    archive.file("bin/guest-tool", tool.read_bytes(), executable=True)
    for name in modules:
        found = sorted(kernel.modules.rglob(f"{name}.ko"))
        if not found:
            raise Failed(f"kernel {kernel.release} has no module {name}")
        archive.file(f"mods/{name}.ko", found[0].read_bytes())
    archive.file("mods/order", " ".join(modules).encode() + b"\n")
    (aside / "initramfs.gz").write_bytes(archive.compressed())
