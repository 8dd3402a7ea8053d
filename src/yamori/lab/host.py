"""One lab host: a set of namespaces with its own libvirtd, and the accidents that can befall it."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from pathlib import Path

from yamori.lab import cgroup, hostfiles
from yamori.lab.layout import TLS_PORT, Layout
from yamori.lab.processes import ProcessId, end, start_recorded, wait_gone
from yamori.lab.registry import Registry
from yamori.model.errors import Conflict, Failed, NotFound, TimedOut

_DAEMON = "libvirtd"
_BUDGET_STEP_MIB = 32


class Host:
    """A host of a lab, as seen by the process that made it or by a later one."""

    def __init__(self, layout: Layout, registry: Registry, *, name: str, index: int) -> None:
        self._layout = layout
        self._registry = registry
        self.name = name
        self.address = layout.host_address(index)

    @property
    def cgroup(self) -> str:
        """Name of the control group that holds everything on this host."""
        return f"{self._layout.cgroup}/{self.name}"

    @property
    def uri(self) -> str:
        """libvirt URI without client certificates (the driver adds its ``pkipath``)."""
        return f"qemu+tls://{self.address}/system"

    @property
    def local_uri(self) -> str:
        """libvirt URI of the socket inside the host; raises NotFound when the host is off."""
        return f"qemu+unix:///system?socket=/proc/{self.init().pid}/root/run/libvirt/libvirt-sock"

    @property
    def directory(self) -> Path:
        """Private files: logs under ``log``, local disks under ``store``."""
        return self._layout.host_directory(self.name)

    def start(self) -> None:
        """Switch the host on; raises Conflict when it runs. Its guests start separately."""
        if self.running():
            raise Conflict(f"{self.name} is running")
        child = start_recorded(
            hostfiles.init_command(self._layout, self.name),
            record=self._admit,
            log=self.directory / "init.log",
        )
        del child  # the registry knows it; it ends with its PID 1

    def _admit(self, identity: ProcessId) -> None:
        self._registry.process(identity, f"host {self.name}")
        cgroup.enter(self.cgroup, identity.pid)

    def wait_ready(self, *, timeout_seconds: float = 60.0) -> None:
        """Wait until libvirtd accepts connections on its TLS port."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            with socket.socket() as probe:
                probe.settimeout(1.0)
                try:
                    probe.connect((self.address, TLS_PORT))
                except OSError as error:
                    if time.monotonic() > deadline:
                        raise TimedOut(
                            f"libvirtd of {self.name} is not reachable after {timeout_seconds} s: {error}",
                            mend=f"see {self.directory}/init.log and log/libvirtd.log",
                        ) from None
                else:
                    return
            if not self.running():
                raise NotFound(f"{self.name} died while it started", mend=f"see {self.directory}/init.log")
            time.sleep(0.05)

    def running(self) -> bool:
        """Whether the host is switched on."""
        processes = self._registry.processes(f"host {self.name}")
        return bool(processes) and processes[-1].alive()

    def init(self) -> ProcessId:
        """The host's PID 1 as seen from this machine; raises NotFound when the host is off."""
        processes = self._registry.processes(f"host {self.name}")
        if processes and processes[-1].alive():
            pid = processes[-1].pid
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                identity = ProcessId.of(int(child))
                if identity is not None:
                    return identity
        raise NotFound(f"{self.name} is not running")

    def crash(self) -> None:
        """Kill the host's PID 1: libvirtd and all its guests are gone at once, without goodbye."""
        init = self.init()
        end([init])
        wait_gone(self._registry.processes(f"host {self.name}")[-1:], timeout_seconds=10)
        cgroup.kill_all(self.cgroup)
        cgroup.prune(f"{self.cgroup}/machine")
        for memory in (self.directory / "varlib" / "qemu" / "ram").glob("*"):
            shutil.rmtree(memory)

    def daemon(self) -> ProcessId:
        """The host's libvirtd; raises NotFound when there is none at this moment."""
        init = self.init()
        for pid in cgroup.pids(self.cgroup):
            try:
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            identity = ProcessId.of(pid)
            if name == _DAEMON and parent == init.pid and identity is not None:
                return identity
        raise NotFound(f"{self.name} has no running libvirtd")

    def restart_libvirtd(self, *, kill: bool = False, timeout_seconds: float = 60.0) -> None:
        """End libvirtd (SIGTERM, or SIGKILL) and wait until its successor answers; guests run on."""
        before = self.daemon()
        before.send(signal.SIGCONT)
        before.send(signal.SIGKILL if kill else signal.SIGTERM)
        wait_gone([before], timeout_seconds=timeout_seconds)
        self.wait_ready(timeout_seconds=timeout_seconds)

    def freeze(self) -> None:
        """Stop libvirtd in its tracks (SIGSTOP): connections stay open and nothing is answered; guests run on."""
        self.daemon().send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen libvirtd go on."""
        self.daemon().send(signal.SIGCONT)

    def memory_used_mib(self) -> int:
        """Memory charged to all guests of the host: their RAM files' pages and QEMU's own."""
        return cgroup.memory_used_mib(f"{self.cgroup}/machine")

    def set_memory_budget(self, mib: int, *, timeout_seconds: float = 60.0) -> None:
        """Hold all guests of the host together to a budget; beyond it pages go out to the host's disk.

        Goes down in steps, because pages must be written out first; raises Failed when they are not in time.
        """
        group = f"{self.cgroup}/machine"
        deadline = time.monotonic() + timeout_seconds
        while True:
            goal = max(mib, self.memory_used_mib() - _BUDGET_STEP_MIB)
            try:
                cgroup.limit_memory(group, goal)
            except Failed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                if goal == mib:
                    return
