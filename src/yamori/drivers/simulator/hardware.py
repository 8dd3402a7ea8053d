"""The hosts of a world in columns: what they have to give out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yamori.drivers.simulator.settings import WorldShape

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """One array a property, one row a host. Tests may write into the arrays to make hosts differ."""

    names: tuple[str, ...]
    cpus: Floats
    memory: Floats
    disk_iops: Floats
    disk_bandwidth: Floats
    disk_latency: Floats
    net_bandwidth: Floats
    net_packets: Floats
    migration_bandwidth: Floats


def hardware(shape: WorldShape) -> Hardware:
    """Make the hosts of a shape, all alike."""
    each, count = shape.host, shape.hosts

    def column(value: float) -> Floats:
        return np.full(count, float(value))

    return Hardware(
        names=tuple(f"host-{i}" for i in range(count)),
        cpus=column(each.cpus),
        memory=column(each.memory_bytes),
        disk_iops=column(each.disk_iops),
        disk_bandwidth=column(each.disk_bandwidth),
        disk_latency=column(each.disk_base_latency_s),
        net_bandwidth=column(each.net_bandwidth),
        net_packets=column(each.net_packets_s),
        migration_bandwidth=column(each.migration_bandwidth),
    )
