"""One Xen host of a lab: an emulated machine in a namespace of its own, and the accidents that can befall it."""

from __future__ import annotations

import base64
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yamori.lab import cgroup
from yamori.lab.layout import TLS_PORT, Layout
from yamori.lab.network import NETNS_ROOT
from yamori.lab.processes import ProcessId, end, start_recorded, wait_gone
from yamori.lab.registry import Registry
from yamori.lab.spec import LabSpec
from yamori.lab.storage import XEN_ARRAY, hypervisor_ids
from yamori.lab.xen import machine, settling, tree
from yamori.lab.xen.channel import Channel, decoded, encoded
from yamori.lab.xen.image import Image
from yamori.lab.xen.snapshot import BOOT_SECONDS, Snapshot, overlay
from yamori.model.errors import Conflict, Failed, NotFound, TimedOut

FACT = "xen"
"""Under which the record names what the lab's Xen hosts stand on."""
_SETTLED = "/run/yamori-lab/settled"


class XenHost:
    """A Xen host of a lab, as seen by the process that made it or by a later one."""

    def __init__(self, spec: LabSpec, layout: Layout, registry: Registry, *, name: str, index: int) -> None:
        self._spec = spec
        self._layout = layout
        self._registry = registry
        self._index = index
        self.name = name
        self.address = layout.host_address(index)
        self._line = Channel(self._sockets)

    @property
    def cgroup(self) -> str:
        """Name of the control group that holds the machine."""
        return f"{self._layout.cgroup}/{self.name}"

    @property
    def uri(self) -> str:
        """libvirt URI without client certificates (the driver adds its ``pkipath``)."""
        return f"xen+tls://{self.address}/system"

    @property
    def local_uri(self) -> str:
        """libvirt URI with the lab's own client certificate."""
        return f"{self.uri}?pkipath={self._layout.client_pki}"

    @property
    def directory(self) -> Path:
        """Private files: ``console.log`` and ``qemu.log`` of the machine, dom0's disk, certificates."""
        return self._layout.host_directory(self.name)

    @property
    def _sockets(self) -> Path:
        return self.directory / "run"

    def start(self) -> None:
        """Switch the host on; raises Conflict when it runs. Its guests start separately.

        The first time it goes on from the snapshot. Later it boots, because its disk has changed since: as after a
        loss of power, with the definitions of its guests.
        """
        if self.running():
            raise Conflict(f"{self.name} is running")
        known = self._registry.fact(FACT)
        if known is None:
            raise NotFound(f"{self.name} was never made")
        image, snapshot = Image(folder=Path(known["image"])), Snapshot(folder=Path(known["snapshot"]))
        self._sockets.mkdir(exist_ok=True)
        os.chown(self._sockets, *hypervisor_ids())
        disk, state = self.directory / "disk.qcow2", None
        if not disk.exists():
            overlay(disk, snapshot.disk, "qcow2")
            state = snapshot.state
        command = machine.command(
            image, self._sockets, name=self.name, disk=disk, array=self._array(), state=state
        )
        space = NETNS_ROOT / self._layout.host_namespace(self.name)
        start_recorded(
            ["nsenter", f"--net={space}", *command], record=self._admit, log=self.directory / "qemu.log"
        )

    def _array(self) -> dict[str, Any]:
        path = str(self._layout.array_socket(XEN_ARRAY))
        return {
            "driver": "nbd",
            "server": {"type": "unix", "path": path},
            "export": XEN_ARRAY,
            "reconnect-delay": 10,
        }

    def _admit(self, identity: ProcessId) -> None:
        self._registry.process(identity, f"host {self.name}")
        cgroup.enter(self.cgroup, identity.pid)

    def wait_ready(self, *, timeout_seconds: float = BOOT_SECONDS) -> None:
        """Wait until dom0 answers, tell it who it is if nobody has, and wait for libvirtd and its TLS port.

        An open port is not enough: libvirt 9.0 sometimes dies of a mad allocation just after its start, and its
        successor answers then.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            if not self.running():
                raise NotFound(f"{self.name} died while it started", mend=f"see {self.directory}/qemu.log")
            try:
                settled = self._line.ask("run", command=["test", "-e", _SETTLED], timeout=5, timeout_seconds=10.0)
                if settled["status"] != 0:
                    self._settle(max(10.0, deadline - time.monotonic()))
                with socket.create_connection((self.address, TLS_PORT), timeout=2.0):
                    patience = max(1.0, min(20.0, deadline - time.monotonic()))
                    self.run(["virsh", "--connect", "xen:///system", "--quiet", "list"], timeout_seconds=patience)
            except (OSError, Failed) as error:
                if time.monotonic() > deadline:
                    raise TimedOut(
                        f"{self.name} is not reachable after {timeout_seconds} s: {error}",
                        mend=f"see {self._sockets}/console.log",
                    ) from None
            else:
                return
            time.sleep(0.1)

    def _settle(self, timeout_seconds: float) -> None:
        """Set clock and random numbers, which a restored machine has from the snapshot; then all of its own."""
        seed = encoded(os.urandom(64))
        self._line.ask("wake", seconds=time.time(), seed=seed, timeout_seconds=timeout_seconds)
        known = self._registry.fact(FACT) or {}
        content = settling.archive(
            self._spec, self._layout, name=self.name, index=self._index, initrd=Path(known["initrd"])
        )
        self._line.ask("unpack", folder="/", content=encoded(content), timeout_seconds=timeout_seconds)
        self.run(["/usr/lib/yamori-lab/settle"], timeout_seconds=timeout_seconds)
        if self._registry.state() == "up":
            self.keep_dom0_apart()  # the lab itself does so only when all guests have booted, with both CPUs' help

    def running(self) -> bool:
        """Whether the host is switched on."""
        processes = self._registry.processes(f"host {self.name}")
        return bool(processes) and processes[-1].alive()

    def process(self) -> ProcessId:
        """The QEMU that the host is; raises NotFound when the host is off."""
        processes = self._registry.processes(f"host {self.name}")
        if processes and processes[-1].alive():
            return processes[-1]
        raise NotFound(f"{self.name} is not running")

    def crash(self) -> None:
        """Kill the machine: dom0, libvirtd and all guests are gone at once, without goodbye."""
        running = self.process()
        end([running])
        wait_gone([running], timeout_seconds=20)
        cgroup.kill_all(self.cgroup)

    def run(
        self,
        command: Sequence[str],
        *,
        timeout_seconds: float = 30.0,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a program in dom0 and return what it printed.

        Raises Failed when it ends with another status than 0, TimedOut when it was killed at the time limit,
        Unreachable when the host is off.
        """
        done = self._line.ask(
            "run",
            command=list(command),
            stdin=base64.b64encode(stdin).decode(),
            environment=dict(environment or {}),
            timeout=timeout_seconds,
            timeout_seconds=timeout_seconds + 15.0,
        )
        shown = " ".join(command)
        if done.get("late"):
            raise TimedOut(f"{shown} on {self.name} gave no result within {timeout_seconds} s")
        if done.get("status") != 0:
            untrusted_errors = (decoded(done, "errors") or decoded(done, "output")).decode(errors="replace")
            raise Failed(
                f"{shown} on {self.name} ended with {done.get('status')}: {untrusted_errors.strip()[-600:]}"
            )
        return decoded(done, "output").decode(errors="replace")

    def spawn(self, command: Sequence[str], *, log: str, environment: Mapping[str, str] | None = None) -> int:
        """Start a program in dom0 that goes on, its output appended to ``log`` there; returns its process id."""
        done = self._line.ask("start", command=list(command), log=log, environment=dict(environment or {}))
        return int(done["pid"])

    def put(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Write a file in dom0, whole or not at all; folders on the way are made."""
        self._line.ask("put", path=path, content=encoded(content), mode=mode, timeout_seconds=60.0)

    def read(self, path: str) -> bytes:
        """Read a file of dom0; raises Failed when there is none."""
        return decoded(self._line.ask("get", path=path), "content")

    def restart_libvirtd(self, *, kill: bool = False, timeout_seconds: float = 60.0) -> None:
        """End libvirtd (SIGTERM, or SIGKILL) and wait until its successor answers; guests run on."""
        deadline = time.monotonic() + timeout_seconds
        before = self._daemon()
        if before:
            self._signal("CONT")
            self._signal("KILL" if kill else "TERM")
        while self._daemon() in ("", before):
            if time.monotonic() > deadline:
                raise TimedOut(f"libvirtd of {self.name} did not come back within {timeout_seconds} s")
            time.sleep(0.2)
        self.wait_ready(timeout_seconds=max(1.0, deadline - time.monotonic()))

    def freeze(self) -> None:
        """Stop libvirtd in its tracks (SIGSTOP): connections stay open and nothing is answered; guests run on."""
        self._signal("STOP")

    def thaw(self) -> None:
        """Let a frozen libvirtd go on."""
        self._signal("CONT")

    def _daemon(self) -> str:
        try:
            return self.run(["pidof", "-s", "libvirtd"]).strip()
        except TimedOut:
            raise
        except Failed:
            return ""  # pidof found none

    def _signal(self, name: str) -> None:
        self.run(["pkill", f"-{name}", "-x", "libvirtd"])

    def refresh_source(self) -> None:
        """Give dom0 Yamori's source anew, as this process runs it; what runs there goes on with the old."""
        self.run(["rm", "-rf", f"/{tree.SOURCE}"])
        self._line.ask("unpack", folder="/", content=encoded(settling.source()), timeout_seconds=60.0)

    def keep_dom0_apart(self) -> None:
        """Hold dom0's CPUs to its own core, so that from now on guests disturb only one another."""
        self.run(["xl", "vcpu-pin", "Domain-0", "all", str(machine.DOM0_CPU)])
