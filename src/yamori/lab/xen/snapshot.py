"""A Xen host just after its boot, kept: its memory in one file and what it wrote to its disk in another.

Written by QEMU's migration into a file, not by its internal snapshots: those would live inside the disk image, so
every host would need a copy of it, and they exclude disks that are no qcow2 files, such as the guests' array.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from yamori.lab.cache import kept, key_of
from yamori.lab.command import run
from yamori.lab.processes import start_recorded
from yamori.lab.storage import hypervisor_ids
from yamori.lab.workshop import Workshop
from yamori.lab.xen import machine
from yamori.lab.xen.channel import Channel
from yamori.lab.xen.image import Image
from yamori.lab.xen.qmp import Monitor
from yamori.model.errors import Failed, TimedOut, Unreachable

BOOT_SECONDS = 300.0
"""A boot takes 13 to 20 s on a quiet machine and ten times that on a busy one."""
_SETTLING_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A folder of the cache with the saved machine."""

    folder: Path

    @property
    def name(self) -> str:
        """Its name in the cache."""
        return self.folder.name

    @property
    def state(self) -> Path:
        """Memory and devices."""
        return self.folder / "state"

    @property
    def disk(self) -> Path:
        """dom0's disk at the same moment; never written again."""
        return self.folder / "disk.qcow2"


def snapshot(image: Image, workshop: Workshop) -> Snapshot:
    """Boot the image once, or find what came of it in the cache; keyed by the image, QEMU and the machine."""
    version = run(["qemu-system-x86_64", "--version"]).encode()
    key = key_of([image.name.encode(), version, *machine.fingerprint()])

    def make(aside: Path) -> None:
        os.chown(aside, *hypervisor_ids())
        disk = overlay(aside / "disk.qcow2", image.disk, "raw")
        nothing = {"driver": "null-co", "size": machine.ARRAY_BYTES, "read-zeroes": True}
        # its taps are in a network namespace that has no name and ends with it
        command = ["unshare", "--net", *machine.command(image, aside, name="snapshot", disk=disk, array=nothing)]
        child = start_recorded(command, record=workshop.admit, log=workshop.log)
        try:
            _await_boot(aside, workshop, lambda: child.poll() is None)
            with Monitor(machine.monitor_socket(aside)) as monitor:
                monitor.save_state(aside / "state")
                monitor.execute("quit")
            child.wait(timeout=30)
        finally:
            workshop.end_all()
            child.wait()
        for path in aside.iterdir():
            if path.name in ("state", "disk.qcow2"):
                path.chmod(0o644)
            else:
                path.unlink()

    return Snapshot(folder=kept(f"xen-snapshot-{key}", make))


def overlay(path: Path, below: Path, kind: str) -> Path:
    """A thin disk over another that stays as it is, for QEMU's user."""
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(below), "-F", kind, str(path)])
    os.chown(path, *hypervisor_ids())
    return path


def _await_boot(folder: Path, workshop: Workshop, running: Callable[[], bool]) -> None:
    """Wait until dom0's control program answers, which init starts when all else is there."""
    deadline = time.monotonic() + BOOT_SECONDS
    line = Channel(folder)
    while True:
        workshop.wait(0.2)
        if not running():
            raise Failed("the Xen host died while it booted", mend=f"see {workshop.log}")
        try:
            line.ask("get", path="/proc/uptime", timeout_seconds=5.0)
        except (Unreachable, TimedOut):
            if time.monotonic() > deadline:
                untrusted_tail = (folder / "console.log").read_bytes()[-600:].decode(errors="replace")
                raise TimedOut(f"the Xen host did not boot within {BOOT_SECONDS} s: {untrusted_tail}") from None
        else:
            workshop.wait(_SETTLING_SECONDS)
            return
