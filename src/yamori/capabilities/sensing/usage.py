"""Counters of all VMs of an endpoint in one call, as columns: one row per VM."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from yamori.model.ids import HostId, VMId


class Column(IntEnum):
    """What a column holds. Counters only grow, from an unknown start; gauges are the value at the reading.

    The number is the column's index in ``UsageFrame.values``. NaN means not known, never zero.
    """

    RUNNING = 0
    """Gauge: 1.0 while the VM executes, else 0.0."""
    VCPUS = 1
    """Gauge: vCPUs online."""
    CPU_TIME = 2
    """Counter, seconds of host CPU time spent for the VM, all vCPUs and emulation."""
    CPU_DELAY = 3
    """Counter, seconds that the VM's vCPUs were runnable and waited for a physical CPU, summed over vCPUs."""
    MEMORY_ASSIGNED = 4
    """Gauge, bytes that the guest may use now (balloon)."""
    MEMORY_RESIDENT = 5
    """Gauge, bytes of host memory that hold the VM now."""
    MEMORY_USABLE = 6
    """Gauge, bytes that the guest could still use without swapping, as the guest says (untrusted)."""
    MEMORY_FAULTS = 7
    """Counter, major page faults inside the guest, as the guest says (untrusted)."""
    DISK_READ_OPS = 8
    DISK_WRITE_OPS = 9
    DISK_READ_BYTES = 10
    DISK_WRITE_BYTES = 11
    DISK_READ_TIME = 12
    """Counter, seconds spent in reads, summed over requests."""
    DISK_WRITE_TIME = 13
    NET_RX_BYTES = 14
    """Counter, bytes towards the guest; TX is from the guest."""
    NET_TX_BYTES = 15
    NET_RX_PACKETS = 16
    NET_TX_PACKETS = 17
    NET_RX_DROPS = 18
    NET_TX_DROPS = 19


COUNTERS: tuple[Column, ...] = (
    Column.CPU_TIME,
    Column.CPU_DELAY,
    Column.MEMORY_FAULTS,
    *(c for c in Column if c >= Column.DISK_READ_OPS),
)


class HostColumn(IntEnum):
    """What a column of ``UsageFrame.host_values`` holds."""

    CPUS = 0
    """Gauge: physical CPUs that VMs may use."""
    MEMORY_TOTAL = 1
    """Gauge, bytes."""
    MEMORY_FREE = 2
    """Gauge, bytes that could be given out without paging."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsageFrame:
    """One reading of many VMs. Arrays are never written to after construction.

    ``values[i, c]`` is column ``c`` of ``vms[i]``, which is on ``hosts[host_of[i]]``.
    ``read_at[h]`` is the reader's monotonic clock in seconds when host ``h`` was read: rates divide by its
    difference, never by wall time. A row of a VM that vanished in the middle is left out.
    """

    wall: datetime
    vms: tuple[VMId, ...]
    hosts: tuple[HostId, ...]
    host_of: NDArray[np.int32]
    read_at: NDArray[np.float64]
    values: NDArray[np.float64]
    host_values: NDArray[np.float64]

    def column(self, column: Column) -> NDArray[np.float64]:
        """Return one column, one number per VM."""
        return self.values[:, column]


def merge(frames: Sequence[UsageFrame], wall: datetime) -> UsageFrame:
    """Put frames of several endpoints side by side. A VM seen twice keeps both rows (a migration, or worse)."""
    if not frames:
        return UsageFrame(
            wall=wall,
            vms=(),
            hosts=(),
            host_of=np.empty(0, np.int32),
            read_at=np.empty(0),
            values=np.empty((0, len(Column))),
            host_values=np.empty((0, len(HostColumn))),
        )
    offsets = np.cumsum([0, *(len(f.hosts) for f in frames[:-1])])
    return UsageFrame(
        wall=wall,
        vms=tuple(vm for f in frames for vm in f.vms),
        hosts=tuple(h for f in frames for h in f.hosts),
        host_of=np.concatenate([f.host_of + o for f, o in zip(frames, offsets, strict=True)]).astype(np.int32),
        read_at=np.concatenate([f.read_at for f in frames]),
        values=np.concatenate([f.values for f in frames]),
        host_values=np.concatenate([f.host_values for f in frames]),
    )


class Usage(Protocol):
    """Promises: one bulk call per host; counters never fall for as long as the VM runs without a reset."""

    async def read(self) -> UsageFrame:
        """Read the counters of all running VMs. Raises Unreachable, TimedOut."""
        ...
