"""The image of a Xen host: what QEMU loads and dom0's disk, made once from packages and our recipe."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from yamori.lab import kernel as kernels
from yamori.lab.cache import kept, key_of
from yamori.lab.packages import candidates
from yamori.lab.workshop import Workshop
from yamori.lab.xen import boot, dependencies, tree
from yamori.lab.xen.rootfs import rootfs, system_packages

_DISK_MIB = 3072
_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A folder of the cache with ``xen``, ``vmlinux``, ``initrd.gz`` and dom0's disk."""

    folder: Path

    @property
    def name(self) -> str:
        """Its name in the cache."""
        return self.folder.name

    @property
    def disk(self) -> Path:
        """dom0's root file system, ext4 in a raw file; never written after it was made."""
        return self.folder / "dom0.img"

    @property
    def boot(self) -> Path:
        """What QEMU loads."""
        return self.folder / "boot"


def image(workshop: Workshop) -> Image:
    """Build, or find in the cache, the image that belongs to today's packages and to this recipe."""
    hypervisor, _ = system_packages()
    packed = rootfs(workshop)
    dom0_kernel, guest_kernel = kernels.kernel(kernels.XEN_HOST_PACKAGE), kernels.kernel()
    parts = [f"{name}={package.version}" for name, package in sorted(dependencies.closure().items())]
    parts += [hypervisor, candidates([hypervisor])[hypervisor], packed.parent.name]
    parts += [dom0_kernel.image.parent.name, guest_kernel.image.parent.name, str(_DISK_MIB), *boot.MODULES]
    recipe = [*tree.recipe(), (files("yamori.lab.xen") / "boot.py").read_bytes()]

    def make(aside: Path) -> None:
        root = aside / "root"
        root.mkdir()
        unpack = ["tar", "--zstd", "-xf", str(packed), "-C", str(root), "--exclude=./dev/*"]
        workshop.run(unpack, timeout_seconds=_SECONDS)
        tree.adapt(root, guest_kernel.image)
        boot.write(aside / "boot", root, dom0_kernel, hypervisor)
        disk = aside / "dom0.img"
        with disk.open("wb") as file:
            file.truncate(_DISK_MIB << 20)
        options = ["-O", "^metadata_csum", "-J", "size=16", "-E", "lazy_itable_init=0", "-d", str(root)]
        workshop.run(["mkfs.ext4", "-q", "-F", *options, str(disk)], timeout_seconds=_SECONDS)
        disk.chmod(0o644)
        workshop.run(["rm", "-rf", str(root)], timeout_seconds=_SECONDS)

    return Image(folder=kept(f"xen-image-{key_of([*map(str.encode, parts), *recipe])}", make))
