"""A VM as every hypervisor knows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from yamori.model.ids import HostId, VMId


class PowerState(StrEnum):
    """Whether a VM executes. Only RUNNING and PAUSED count as a running copy."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    CRASHED = "crashed"
    INCOMING = "incoming"  # the receiving side of a migration: holds memory, does not execute
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One virtual disk. ``shared`` is None when the driver cannot tell."""

    target: str
    capacity_bytes: int | None
    read_only: bool = False
    shared: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """One virtual network card."""

    target: str | None
    mac: str
    network: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VM:
    """One virtual machine at one reading.

    ``labels`` are the operator's words about it (tenant, sla, tier …): selectors match on them.
    ``persistent`` is False when the definition is gone as soon as the VM stops.
    """

    id: VMId
    name: str
    host: HostId | None
    state: PowerState
    vcpus: int
    memory_bytes: int
    memory_max_bytes: int
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    persistent: bool = True
