"""Run as an ordinary user by test_session_mode.py: what the driver can do at qemu:///session. Prints JSON."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import libvirt

from yamori.drivers.libvirt import DRIVER
from yamori.drivers.libvirt.connection import start_event_loop
from yamori.model.errors import YamoriError
from yamori.model.ids import EndpointName, VMId
from yamori.model.limits import LimitKind

URI = "qemu:///session"
VM = VMId("aaaaaaaa-0000-4000-8000-000000000001")
ASKED = {
    LimitKind.CPU_CAP: 0.5,
    LimitKind.CPU_WEIGHT: 0.5,
    LimitKind.DISK_IOPS: 100.0,
    LimitKind.DISK_BANDWIDTH: 1e6,
    LimitKind.NET_IN: 1e6,
}


def _define(link: Any, folder: Path) -> Any:
    disk = folder / "disk.img"
    with disk.open("wb") as file:
        file.truncate(1 << 20)
    return link.defineXML(f"""<domain type='qemu'><name>mine</name><uuid>{VM}</uuid><memory unit='MiB'>32</memory>
      <vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
      <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{disk}'/>
      <target dev='vda'/></disk>
      <interface type='user'><mac address='52:54:00:00:00:01'/></interface><memballoon model='virtio'/>
      </devices></domain>""")


async def _examine() -> dict[str, Any]:
    session = await DRIVER.connect(EndpointName("mine"), DRIVER.settings(uri=URI))
    try:
        assert session.acting.power is not None
        assert session.acting.limits is not None
        assert session.sensing.limits is not None
        assert session.sensing.usage is not None
        await session.acting.power.start(VM)
        tried = {}
        for kind, value in ASKED.items():
            try:
                await session.acting.limits.set(VM, {kind: value})
                tried[kind] = "set"
            except YamoriError as error:
                tried[kind] = type(error).__name__
        frame = await session.sensing.usage.read()
        limits = await session.sensing.limits.read(VM)
        return {
            "uid": os.getuid(),
            "cells": {name: [cell.level, cell.reason] for name, cell in (await session.probe()).cells.items()},
            "tried": tried,
            "values": dict(limits.values),
            "unknown": dict(limits.unknown),
            "seen": VM in frame.vms,
            "migration": session.acting.migration is not None,
        }
    finally:
        await session.close()


def main() -> None:
    start_event_loop()
    link = libvirt.open(URI)
    domain = _define(link, Path(sys.argv[1]))
    try:
        print(json.dumps(asyncio.run(_examine())))  # noqa: T201 - this is how the parent learns
    finally:
        if domain.isActive():
            domain.destroy()
        domain.undefine()
        link.close()


if __name__ == "__main__":
    main()
