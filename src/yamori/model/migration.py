"""A move of a running VM between two hosts of the same family."""

from dataclasses import dataclass
from enum import StrEnum

from yamori.model.ids import HostId, VMId


class StorageMode(StrEnum):
    """Whether both hosts see the same disks, or the content must be copied with the VM."""

    SHARED = "shared"
    COPIED = "copied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """Where a VM may land: made by the destination's session, used by the source's. Plain words, no secrets.

    ``uri`` is how the source hypervisor reaches the destination's; ``address`` carries the memory stream;
    ``tls_name`` is the name that the destination's certificate must prove.
    """

    host: HostId
    family: str
    uri: str
    address: str | None
    tls_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How a move would go, told before it is begun.

    ``live`` False: the VM stands still while it is sent. ``downtime_s`` is how long it stands still, an estimate
    in seconds, None where nobody can tell. ``why``: why it is not live, or what the estimate comes from.
    """

    live: bool
    downtime_s: float | None
    why: str = ""


class MigrationPhase(StrEnum):
    """Where a migration stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStatus:
    """Progress of one migration. Bytes; ``remaining_bytes`` falls to 0. ``error`` is set when it failed."""

    vm: VMId
    phase: MigrationPhase
    total_bytes: int | None = None
    processed_bytes: int | None = None
    remaining_bytes: int | None = None
    downtime_ms: int | None = None
    encrypted: bool | None = None
    error: str | None = None
