"""What a guest is owed. Objectives bound what the *host* does to a VM, never how busy the VM is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Objective(StrEnum):
    """A measure of how well a VM is served, and its unit. Larger is worse."""

    CPU_DELAY = "cpu_delay"
    """Seconds per second that runnable vCPUs waited for a physical CPU (steal, CPU ready), per vCPU."""
    MEMORY_LOST = "memory_lost"
    """Fraction of the VM's resident memory that the host took away without being asked (paged out)."""
    DISK_LATENCY = "disk_latency"
    """Mean seconds per disk operation."""
    NET_DROPS = "net_drops"
    """Fraction of packets to or from the VM that the host dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SLAClass:
    """A class of service. ``objectives`` are upper bounds; a missing one is not promised.

    ``throttleable`` False means that such a VM is never throttled: migrating is what remains.
    ``floor_cpu_cores`` and so on are what a throttle must always leave to a VM of this class.
    """

    name: str
    objectives: Mapping[Objective, float] = field(default_factory=dict)
    throttleable: bool = True
    floor_cpu_cores: float = 0.05
    floor_memory_fraction: float = 0.25
    floor_disk_iops: float = 20.0
    floor_disk_bandwidth: float = 1_000_000.0


GOLD = SLAClass(
    name="gold",
    objectives={
        Objective.CPU_DELAY: 0.05,
        Objective.MEMORY_LOST: 0.02,
        Objective.DISK_LATENCY: 0.020,
        Objective.NET_DROPS: 0.001,
    },
    throttleable=False,
    floor_cpu_cores=1.0,
    floor_memory_fraction=1.0,
)
SILVER = SLAClass(
    name="silver",
    objectives={
        Objective.CPU_DELAY: 0.10,
        Objective.MEMORY_LOST: 0.05,
        Objective.DISK_LATENCY: 0.050,
        Objective.NET_DROPS: 0.01,
    },
    floor_cpu_cores=0.25,
    floor_memory_fraction=0.5,
)
BRONZE = SLAClass(
    name="bronze",
    objectives={
        Objective.CPU_DELAY: 0.25,
        Objective.MEMORY_LOST: 0.15,
        Objective.DISK_LATENCY: 0.200,
        Objective.NET_DROPS: 0.05,
    },
)
STANDARD_CLASSES: Mapping[str, SLAClass] = {c.name: c for c in (GOLD, SILVER, BRONZE)}
