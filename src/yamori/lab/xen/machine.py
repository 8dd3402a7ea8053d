"""The emulated machine that a Xen host is: QEMU's command line, the same for the snapshot and for every host.

With SMAP, QEMU's emulation of iret faults in PV domains; with RDTSCP, which Xen intercepts, PVH domains die
because QEMU gives no next-RIP. Floating point state is switched eagerly: when Xen does it lazily, registers of one
vCPU end up in another (QEMU 7.2), and programs in dom0 and guests die or err at random.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yamori.lab.spec import XEN_ARRAY_MIB
from yamori.lab.storage import HYPERVISOR_USER
from yamori.lab.xen.channel import sockets
from yamori.lab.xen.image import Image

CPUS = 2
MEMORY_MIB = 2048
DOM0_MEMORY_MIB = 768
DOM0_CPU, GUESTS_CPU = 0, 1
"""Guests share one CPU, so that one's greed is another's harm; dom0 has the other, so that it can always act."""
ARRAY_BYTES = XEN_ARRAY_MIB << 20
"""Size of the disk with all slices; a restored kernel believes in the size that the snapshot was made with."""

_XEN = (
    f"console=com1 com1=115200,8n1 dom0_mem={DOM0_MEMORY_MIB}M,max:{DOM0_MEMORY_MIB}M dom0_max_vcpus=2 "
    "spec-ctrl=eager-fpu loglvl=info guest_loglvl=info"
)
_LINUX = "console=hvc0 earlyprintk=xen net.ifnames=0 mitigations=off nopti quiet"
_FIXED = (
    "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc",
    "-accel", "tcg,thread=multi", "-cpu", "max,-smap,-rdtscp", "-smp", str(CPUS), "-m", str(MEMORY_MIB),
)  # fmt: skip


def command(
    image: Image, folder: Path, *, name: str, disk: Path, array: dict[str, Any], state: Path | None = None
) -> list[str]:
    """QEMU for one host; sockets and the console's log are made in ``folder``.

    ``array`` is the block node with the guests' slices; ``state`` is a saved machine to go on from, else it boots.
    The network devices are taps of the namespace in which QEMU is started.
    """
    system = {"driver": "qcow2", "node-name": "system", "cache": {"no-flush": True}}
    system["file"] = {"driver": "file", "filename": str(disk)}
    devices: list[Sequence[str]] = [
        ("-blockdev", json.dumps(system)),
        ("-device", "virtio-blk-pci,drive=system"),
        ("-blockdev", json.dumps({**array, "node-name": "array"})),
        ("-device", "virtio-blk-pci,drive=array,share-rw=on"),
    ]
    for number in range(2):
        devices.append(("-netdev", f"tap,id=net{number},ifname=tap{number},script=no,downscript=no"))
        devices.append(("-device", f"virtio-net-pci,netdev=net{number},romfile="))
    devices.append(("-device", "virtio-rng-pci"))
    devices.append(("-device", "virtio-serial-pci,max_ports=8"))
    for number, path in enumerate(sockets(folder)):
        devices.append(("-chardev", f"socket,id=control{number},path={path},server=on,wait=off"))
        devices.append(("-device", f"virtserialport,chardev=control{number},nr={number + 1},name=yamori.{number}"))
    devices.append(("-chardev", f"file,id=console,path={folder / 'console.log'},append=on"))
    devices.append(("-serial", "chardev:console"))
    words = [word for device in devices for word in device]
    boot = [
        "-kernel", str(image.boot / "xen"), "-append", _XEN,
        "-initrd", f"{image.boot / 'vmlinux'} {_LINUX},{image.boot / 'initrd.gz'}",
    ]  # fmt: skip
    monitor = ["-qmp", f"unix:{monitor_socket(folder)},server=on,wait=off"]
    goes_on = ["-incoming", f"exec:cat {state}"] if state is not None else []
    return [
        "qemu-system-x86_64",
        "-name",
        name,
        "-runas",
        HYPERVISOR_USER,
        *_FIXED,
        *boot,
        *words,
        *monitor,
        *goes_on,
    ]


def monitor_socket(folder: Path) -> Path:
    """QEMU's monitor."""
    return folder / "monitor"


def fingerprint() -> list[bytes]:
    """All of the machine that a saved state depends on, wherever its files are."""
    here = Path()
    words = command(Image(folder=here), here, name="", disk=here, array={})
    return [word.encode() for word in (*words, str(ARRAY_BYTES))]
