"""Every name, path and address of a lab, derived from its name and its slot; nothing is chosen anywhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

STATE_ROOT = Path(os.environ.get("YAMORI_LAB_STATE", "/var/lib/yamori/lab"))
CACHE_ROOT = Path(os.environ.get("YAMORI_LAB_CACHE", "/var/cache/yamori/lab"))
CGROUP_ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")
TLS_PORT = 16514


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things of one lab are. ``slot`` (1 to 250) is the third octet of its two networks."""

    name: str
    slot: int

    @property
    def directory(self) -> Path:
        """State of the lab; holds the registry, so it goes last."""
        return STATE_ROOT / self.name

    @property
    def registry(self) -> Path:
        """The record of everything that was made."""
        return self.directory / "registry.jsonl"

    @property
    def pki(self) -> Path:
        """Certificates, one folder a party."""
        return self.directory / "pki"

    @property
    def client_pki(self) -> Path:
        """cacert.pem, clientcert.pem and clientkey.pem of the driver."""
        return self.pki / "client"

    @property
    def fabric(self) -> Path:
        """Unix sockets of the arrays, seen at the same path by every host."""
        return self.directory / "fabric"

    def host_directory(self, host: str) -> Path:
        """Private files of a host: configuration, logs, local disks, guest memory."""
        return self.directory / host

    def array_socket(self, host: str) -> Path:
        """NBD socket of the array that serves the guests made on this host."""
        return self.fabric / f"{host}.nbd"

    @property
    def cgroup(self) -> str:
        """Name of the lab's control group in each hierarchy."""
        return f"yamori-lab-{self.slot}"

    @property
    def switch_namespace(self) -> str:
        """Network namespace that holds the two bridges; also where the probe stands."""
        return f"yl{self.slot}-switch"

    def host_namespace(self, host: str) -> str:
        """Network namespace of a host."""
        return f"yl{self.slot}-{host}"

    @property
    def root_link(self) -> str:
        """Interface in the machine's own namespace through which the management network is reached."""
        return f"yl{self.slot}root"

    @property
    def management_network(self) -> str:
        """Hosts and their clients; migration runs here too."""
        return f"10.77.{self.slot}.0/24"

    @property
    def root_address(self) -> str:
        """This machine in the management network."""
        return f"10.77.{self.slot}.1"

    @property
    def vcenter_address(self) -> str:
        """A simulated vCenter in the management network."""
        return f"10.77.{self.slot}.9"

    @property
    def probe_address(self) -> str:
        """The switch namespace in the guests' network."""
        return f"10.88.{self.slot}.254"

    def host_address(self, index: int) -> str:
        """Management address of the index-th host, from 0."""
        return f"10.77.{self.slot}.{11 + index}"

    def guest_address(self, number: int) -> str:
        """Address of a guest in the guests' network."""
        return f"10.88.{self.slot}.{number}"

    def host_mac(self, index: int, *, network: int) -> str:
        """MAC of the index-th host, from 0, in QEMU's range; ``network`` tells its interfaces apart."""
        return f"52:54:00:{network:02x}:{self.slot:02x}:{11 + index:02x}"

    def guest_mac(self, number: int) -> str:
        """MAC of a guest in QEMU's range."""
        return f"52:54:00:88:{self.slot:02x}:{number:02x}"
