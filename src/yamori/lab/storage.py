"""Disks of finite performance: one array a host, a queue through which all its guests' requests pass.

The array is a ``qemu-storage-daemon``: one image file, above it one throttle node (QEMU: "throttle" block
filter), above that one slice a guest, each exported by NBD on a Unix socket that every host of the lab can
open. One throttle node for all means one first-come-first-served queue, as in a disk, not a fair share each.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import random
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from yamori.lab import cgroup
from yamori.lab.layout import Layout
from yamori.lab.processes import start_recorded
from yamori.lab.registry import Registry
from yamori.lab.spec import GuestPlan, LabSpec, Storage
from yamori.model.errors import TimedOut, Unsupported

_MIB = 1 << 20
_NOISE_MIB = 4
HYPERVISOR_USER = "libvirt-qemu"
XEN_ARRAY = "xen"
"""Name of the array that all Xen hosts of a lab share, and of its one export."""


def hypervisor_ids() -> tuple[int, int]:
    """User and group under which libvirt runs QEMU on Debian; Unsupported when the user does not exist."""
    try:
        return pwd.getpwnam(HYPERVISOR_USER).pw_uid, grp.getgrnam(HYPERVISOR_USER).gr_gid
    except KeyError:
        raise Unsupported("lab", f"user {HYPERVISOR_USER} does not exist: install libvirt-daemon-system") from None


def write_volume(file: IO[bytes], name: str, size_mib: int) -> None:
    """Fill a guest's disk: a label, then noise that differs from guest to guest and never changes.

    No holes: an NBD server answers a read of a hole from the block map, past the throttle.
    """
    start = file.tell()
    noise = random.Random(name).randbytes(_NOISE_MIB * _MIB)  # noqa: S311 not for secrets
    for written in range(0, size_mib, _NOISE_MIB):
        file.write(noise[: min(_NOISE_MIB, size_mib - written) * _MIB])
    file.seek(start)
    file.write(f"YAMORI-LAB {name}\n".encode().ljust(512, b"\0"))
    file.seek(start + size_mib * _MIB)


def write_local_disk(path: Path, name: str, size_mib: int) -> None:
    """Make a guest's disk as a raw file of its host."""
    with path.open("wb") as file:
        write_volume(file, name, size_mib)
    os.chown(path, *hypervisor_ids())
    path.chmod(0o600)


def array_guests(spec: LabSpec, host: str) -> list[GuestPlan]:
    """Guests whose disks the array of this host serves, in the order of their slices."""
    return [guest for guest in spec.guests() if guest.host == host and guest.storage is Storage.ARRAY]


def start_array(spec: LabSpec, layout: Layout, registry: Registry, host: str) -> None:
    """Make the array's image and start its daemon; it lives outside the host and survives the host's crash."""
    guests = array_guests(spec, host)
    if not guests:
        return
    size = spec.disk_mib * _MIB
    slices = {guest.name: (index * size, size) for index, guest in enumerate(guests)}
    _start(spec, layout, registry, host, guests, slices=slices, image_bytes=len(guests) * size)


def start_xen_array(
    spec: LabSpec, layout: Layout, registry: Registry, guests: Sequence[GuestPlan], *, image_bytes: int
) -> None:
    """Start the array of all Xen hosts: one disk, which each of them has whole and cuts into slices itself."""
    layout.host_directory(XEN_ARRAY).mkdir(exist_ok=True)
    slices = {XEN_ARRAY: (0, image_bytes)}
    _start(spec, layout, registry, XEN_ARRAY, guests, slices=slices, image_bytes=image_bytes)


def _start(
    spec: LabSpec,
    layout: Layout,
    registry: Registry,
    name: str,
    guests: Sequence[GuestPlan],
    *,
    slices: Mapping[str, tuple[int, int]],
    image_bytes: int,
) -> None:
    folder = layout.host_directory(name)
    image = folder / "array.img"
    with image.open("wb") as file:
        for guest in guests:
            write_volume(file, guest.name, spec.disk_mib)
        file.truncate(image_bytes)
    user, group = hypervisor_ids()
    layout.fabric.mkdir(exist_ok=True)
    os.chown(layout.fabric, 0, group)
    layout.fabric.chmod(0o750)
    path = layout.array_socket(name)
    child = start_recorded(
        ["qemu-storage-daemon", *_options(spec, image, path, slices)],
        record=lambda identity: registry.process(identity, f"array {name}"),
        log=folder / "array.log",
    )
    cgroup.enter(f"{layout.cgroup}/arrays", child.pid)
    _wait_for(path)
    os.chown(path, user, group)
    path.chmod(0o660)


def _options(spec: LabSpec, image: Path, path: Path, slices: Mapping[str, tuple[int, int]]) -> list[str]:
    """Options of the daemon; ``slices`` are offset and length in bytes of each export."""
    limits = {"iops-total": spec.array_iops, "bps-total": spec.array_bytes_per_second}
    group = {"qom-type": "throttle-group", "id": "performance", "limits": limits}
    disk = {"driver": "file", "node-name": "disk", "filename": str(image), "aio": "threads"}
    queue = {"driver": "throttle", "node-name": "queue", "throttle-group": "performance", "file": "disk"}
    server = {"addr": {"type": "unix", "path": str(path)}, "max-connections": 0}
    options = ["--object", json.dumps(group), "--blockdev", json.dumps(disk), "--blockdev", json.dumps(queue)]
    for name, (offset, size) in slices.items():
        part = {"driver": "raw", "node-name": name, "file": "queue", "offset": offset, "size": size}
        options += ["--blockdev", json.dumps(part)]
    options += ["--nbd-server", json.dumps(server)]
    for name in slices:
        export = {"type": "nbd", "id": name, "node-name": name, "name": name, "writable": True}
        options += ["--export", json.dumps(export)]
    return options


def _wait_for(path: Path, *, timeout_seconds: float = 20.0) -> None:
    """Wait until something accepts connections on the Unix socket."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise TimedOut(f"the array did not open {path} within {timeout_seconds} s") from None
            else:
                return
        time.sleep(0.05)
