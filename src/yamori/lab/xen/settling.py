"""What a started Xen host is told: name and addresses, certificates, guests' disks, and Yamori as it is now."""

from __future__ import annotations

import io
import tarfile
import uuid
from importlib.metadata import distribution
from pathlib import Path

import yamori
from yamori.lab.hostfiles import libvirtd_configuration, names_of_hosts
from yamori.lab.layout import Layout
from yamori.lab.spec import GuestPlan, LabSpec
from yamori.lab.xen import tree

_SECTORS_A_MIB = 2048
_METADATA = ("METADATA", "entry_points.txt", "RECORD")


def archive(spec: LabSpec, layout: Layout, *, name: str, index: int, initrd: Path) -> bytes:
    """A tar archive of all that differs from host to host and from day to day, to be unpacked at dom0's /."""
    content = io.BytesIO()
    address = layout.host_address(index)
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        host = {
            "NAME": name,
            "ADDRESS": address,
            "MANAGEMENT_MAC": layout.host_mac(index, network=0x77),
            "GUESTS_MAC": layout.host_mac(index, network=0x78),
        }
        _text(archive, "etc/yamori-lab/host", "".join(f"{key}={value}\n" for key, value in host.items()))
        _text(archive, "etc/yamori-lab/disks", disks(spec))
        _text(archive, "etc/hostname", f"{name}\n")
        _text(archive, "etc/hosts", names_of_hosts(spec, layout))
        identity = uuid.uuid5(uuid.NAMESPACE_OID, f"{spec.name}/{layout.slot}/{name}")
        _text(archive, "etc/libvirt/libvirtd.conf", libvirtd_configuration(spec, address, str(identity)))
        own = layout.host_directory(name)
        _folder(archive, own / "pki", "etc/pki")
        _file(archive, own / "ssh" / "host.pem", "etc/dropbear/host.pem", mode=0o600)
        _file(archive, own / "ssh" / "authorized_keys", "root/.ssh/authorized_keys", mode=0o600)
        _file(archive, initrd, "srv/guest/initrd.gz")
        _yamori(archive)
    return content.getvalue()


def source() -> bytes:
    """A tar archive of Yamori alone."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _yamori(archive)
    return content.getvalue()


def disks(spec: LabSpec) -> str:
    """Name, first sector and sectors of each slice of the array; every Xen host of a lab sees all of them."""
    size = spec.disk_mib * _SECTORS_A_MIB
    return "".join(f"{plan.name} {number * size} {size}\n" for number, plan in enumerate(array_guests(spec)))


def array_guests(spec: LabSpec) -> list[GuestPlan]:
    """Guests of all Xen hosts, in the order of their slices."""
    hosts = spec.xen_host_names()
    return [plan for plan in spec.guests() if plan.host in hosts]


def _yamori(archive: tarfile.TarFile) -> None:
    """Yamori's source as this process runs it, and the entry points by which it finds drivers and modules."""
    top = Path(yamori.__file__).parent
    for path in sorted(top.rglob("*")):
        inner = path.relative_to(top)
        if path.is_file() and "__pycache__" not in inner.parts:
            _file(archive, path, f"{tree.SOURCE}/yamori/{inner}")
    known = distribution("yamori")
    for name in _METADATA:
        text = known.read_text(name)
        if text is not None:
            _text(archive, f"{tree.SOURCE}/yamori-{known.version}.dist-info/{name}", text)


def _folder(archive: tarfile.TarFile, folder: Path, target: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            _file(archive, path, f"{target}/{path.relative_to(folder)}", mode=path.stat().st_mode & 0o777)


def _file(archive: tarfile.TarFile, path: Path, target: str, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(target)
    entry.size, entry.mtime, entry.mode = path.stat().st_size, int(path.stat().st_mtime), mode
    with path.open("rb") as file:
        archive.addfile(entry, file)


def _text(archive: tarfile.TarFile, target: str, text: str) -> None:
    entry, content = tarfile.TarInfo(target), text.encode()
    entry.size, entry.mode = len(content), 0o644
    archive.addfile(entry, io.BytesIO(content))
