"""One running vCenter simulator: started under the lab's registry, so that clearing the lab ends it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yamori.lab.network import NETNS_ROOT
from yamori.lab.pki import Authority
from yamori.lab.processes import ProcessId, end, start_recorded, wait_gone
from yamori.lab.registry import Registry
from yamori.lab.vsphere.program import program
from yamori.model.errors import Failed, TimedOut

NAME = "vcenter"
PORT = 8989
USER = "yamori@vsphere.local"
_PASSWORD = "YAMORI_LAB_VCENTER_PASSWORD"  # noqa: S105 - the name of the variable that vcenter.go reads
_READY_SECONDS = 60.0
_END_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How much is in it. ``vms`` are in each cluster and on each host outside of one."""

    esx: bool = False
    clusters: int = 1
    cluster_hosts: int = 2
    hosts: int = 1
    vms: int = 2
    datastores: int = 1

    def flags(self) -> list[str]:
        """As the program wants them."""
        return [
            *(["-esx"] if self.esx else []),
            f"-clusters={self.clusters}",
            f"-cluster-hosts={self.cluster_hosts}",
            f"-hosts={self.hosts}",
            f"-vms={self.vms}",
            f"-datastores={self.datastores}",
        ]


class VCenter:
    """A vCenter at ``address:port``; its files are in ``directory``, its process is in ``registry``.

    ``namespace`` is the network namespace in which it listens, None for this process's own. ``binary`` is the
    program, taken from the cache when it is not given.
    """

    def __init__(
        self,
        *,
        directory: Path,
        registry: Registry,
        address: str,
        port: int = PORT,
        namespace: str | None = None,
        shape: Shape | None = None,
        binary: Path | None = None,
    ) -> None:
        self.address = address
        self.port = port
        self._directory = directory
        self._registry = registry
        self._namespace = namespace
        self._shape = shape or Shape()
        self._binary = binary

    @property
    def ca(self) -> Path:
        """The certificate of the CA that signed the server's, PEM."""
        return self._directory / "ca.pem"

    @property
    def password_file(self) -> Path:
        """The password of ``USER``; only its owner may read it."""
        return self._directory / "password"

    @property
    def log(self) -> Path:
        """What the simulator says."""
        return self._directory / "vcenter.log"

    def endpoint(self, name: str = NAME, **more: Any) -> dict[str, Any]:
        """What belongs into ``endpoints`` of a fleet's configuration."""
        return {
            "name": name,
            "driver": "vsphere",
            "host": self.address,
            "port": self.port,
            "ca": str(self.ca),
            "user": USER,
            "password_file": str(self.password_file),
            **more,
        }

    def write(self, authority: Authority) -> None:
        """Lay out certificate, key and a fresh password; before the first start."""
        self._directory.mkdir(parents=True, exist_ok=True)
        identity = authority.issue(NAME, address=self.address, server=True)
        _write(self.ca, authority.certificate, mode=0o644)
        _write(self._directory / "server.pem", identity.certificate, mode=0o644)
        _write(self._directory / "server.key", identity.key, mode=0o600)
        _write(self.password_file, secrets.token_urlsafe(18).encode() + b"\n", mode=0o600)

    def start(self) -> None:
        """Start it and wait until it listens. Raises Unsupported, TimedOut, Failed when it ends instead."""
        binary = self._binary or program()
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "TMPDIR": str(self._scratch()),  # where it keeps its datastores
            _PASSWORD: self.password_file.read_text(encoding="utf-8").strip(),
        }
        child = start_recorded(
            self._command(binary),
            record=lambda identity: self._registry.process(identity, NAME),
            log=self.log,
            environment=environment,
        )
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if child.poll() is not None:
                raise Failed(f"the vCenter simulator ended with {child.returncode}, see {self.log}")
            if time.monotonic() > deadline:
                raise TimedOut(f"the vCenter simulator did not listen within {_READY_SECONDS:g} s")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask it to end, and make it end. Idempotent."""
        living = self.processes()
        asked = [process for process in living if process.send(signal.SIGTERM)]
        try:
            wait_gone(asked, timeout_seconds=_END_SECONDS)
        except TimedOut:
            end(asked)

    def kill(self) -> None:
        """End it without a word, as a crash would. Idempotent."""
        end(self.processes())

    def freeze(self) -> None:
        """Have it answer nothing while its connections stay; ``thaw`` has it go on."""
        for process in self.processes():
            process.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        for process in self.processes():
            process.send(signal.SIGCONT)

    def processes(self) -> list[ProcessId]:
        """Its living processes: one, or none."""
        return [process for process in self._registry.processes(NAME) if process.alive()]

    def _command(self, binary: Path) -> Sequence[str]:
        inside = [] if self._namespace is None else ["nsenter", f"--net={NETNS_ROOT / self._namespace}"]
        return [
            *inside,
            str(binary),
            f"-listen={self.address}:{self.port}",
            f"-certificate={self._directory / 'server.pem'}",
            f"-key={self._directory / 'server.key'}",
            f"-user={USER}",
            *self._shape.flags(),
        ]

    def _scratch(self) -> Path:
        folder = self._directory / "scratch"
        folder.mkdir(exist_ok=True)
        return folder

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.address, self.port), timeout=1.0):
                return bool(self.processes())
        except OSError:
            return False


def _write(path: Path, content: bytes, *, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(content)
