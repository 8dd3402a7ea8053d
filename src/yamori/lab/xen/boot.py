"""What QEMU loads to start a Xen host: the hypervisor, dom0's kernel, and the initramfs that finds dom0's disk."""

from __future__ import annotations

import gzip
import shutil
from importlib.resources import files
from pathlib import Path

from yamori.lab.command import run
from yamori.lab.cpio import Archive
from yamori.lab.kernel import Kernel
from yamori.lab.packages import download
from yamori.model.errors import Failed

MODULES = (
    "arch/x86/crypto", "crypto", "lib",
    "drivers/acpi", "drivers/block/loop.ko", "drivers/block/nbd.ko", "drivers/block/virtio_blk.ko",
    "drivers/block/xen-blkback", "drivers/block/xen-blkfront.ko", "drivers/char/hw_random",
    "drivers/char/virtio_console.ko", "drivers/md", "drivers/net/dummy.ko", "drivers/net/ifb.ko",
    "drivers/net/net_failover.ko", "drivers/net/tun.ko", "drivers/net/veth.ko", "drivers/net/virtio_net.ko",
    "drivers/net/xen-netback", "drivers/net/xen-netfront.ko", "drivers/virtio", "drivers/xen",
    "fs/ext4", "fs/jbd2", "fs/mbcache.ko", "fs/overlayfs",
    "net/802", "net/bridge", "net/core", "net/ipv4/netfilter", "net/ipv6/netfilter", "net/llc", "net/netfilter",
    "net/packet", "net/sched",
)  # fmt: skip
"""Files and folders below ``kernel``: disks and bridges for guests, and every kind of shaping and filtering."""

_FOR_THE_DISK = ("crc32c_generic", "virtio_pci", "virtio_blk", "ext4")


def write(target: Path, root: Path, kernel: Kernel, hypervisor_package: str) -> None:
    """Put the modules into dom0's files and everything to load into ``target``: xen, vmlinux, initrd.gz."""
    modules = root / "lib" / "modules" / kernel.release
    shutil.rmtree(modules.parent, ignore_errors=True)
    modules.mkdir(parents=True)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(kernel.modules / name, modules / name)
    for part in MODULES:
        source, copy = kernel.modules / "kernel" / part, modules / "kernel" / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy)
        elif source.exists():
            shutil.copy(source, copy)
    run(["depmod", "-b", str(root), kernel.release], timeout_seconds=120)
    target.mkdir()
    _unpack_hypervisor(target, hypervisor_package)
    shutil.copy(kernel.image, target / "vmlinux")
    (target / "initrd.gz").write_bytes(_initrd(root, modules))


def _unpack_hypervisor(target: Path, package: str) -> None:
    tree = target / "hypervisor"
    download(package, tree)
    images = sorted((tree / "boot").glob("xen-*.gz"))
    if not images:
        raise Failed(f"{package} holds no hypervisor image")
    (target / "xen").write_bytes(gzip.decompress(images[-1].read_bytes()))
    shutil.rmtree(tree)


def _initrd(root: Path, modules: Path) -> bytes:
    archive = Archive()
    for folder in ("bin", "dev", "proc", "sys", "newroot", "mods"):
        archive.folder(folder)
    archive.file("init", (files("yamori.lab.xen") / "dom0" / "initrd").read_bytes(), executable=True)
    archive.file("bin/busybox", (root / "bin/busybox").read_bytes(), executable=True)
    order = load_order((modules / "modules.dep").read_text(), _FOR_THE_DISK)
    for path in order:
        archive.file(f"mods/{Path(path).name}", (modules / path).read_bytes())
    archive.file("mods/order", " ".join(Path(path).name for path in order).encode() + b"\n")
    return archive.compressed()


def load_order(dependencies: str, names: tuple[str, ...]) -> list[str]:
    """Paths of the named modules and all that they need, each after what it needs (depmod(8), modules.dep)."""
    needs = {}
    for line in dependencies.splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    paths = {Path(path).stem.replace("-", "_"): path for path in needs}
    order: list[str] = []
    for name in names:
        if name not in paths:
            continue  # built into the kernel
        for path in [*reversed(needs[paths[name]]), paths[name]]:
            if path not in order:
                order.append(path)
    return order
