"""The state of all VMs of a world, one NumPy array a property, one row a VM."""

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.usage import Column
from yamori.drivers.simulator.settings import VMShape
from yamori.model.limits import LimitKind
from yamori.model.vm import PowerState

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


class State(IntEnum):
    """A row's state. GONE rows stay, so that row numbers never change."""

    GONE = 0
    STOPPED = 1
    RUNNING = 2
    PAUSED = 3
    CRASHED = 4


WORDS: dict[State, PowerState] = {
    State.STOPPED: PowerState.STOPPED,
    State.RUNNING: PowerState.RUNNING,
    State.PAUSED: PowerState.PAUSED,
    State.CRASHED: PowerState.CRASHED,
}
NO_LIMIT = np.inf


@dataclass(slots=True, kw_only=True)
class Columns:
    """One array a property. Rates per second, sizes in bytes. ``inf`` in a limit means that there is none.

    ``version`` rises whenever something changes that a VM value shows. ``counters`` has one column for each
    ``Column`` of a usage frame, stored column by column. ``*_now`` are the figures of the last step.
    """

    host: Ints
    state: NDArray[np.int8]
    persistent: NDArray[np.bool_]
    moves_live: NDArray[np.bool_]
    version: NDArray[np.int64]
    vcpus: Floats
    memory_max: Floats
    disk_bytes: Floats
    assigned: Floats
    resident: Floats
    paged: Floats
    cpu_cap: Floats
    cpu_weight: Floats
    memory_target: Floats
    disk_iops: Floats
    disk_bandwidth: Floats
    net_in: Floats
    net_out: Floats
    want_cpu_cores: Floats
    want_working_set_bytes: Floats
    want_touch_bytes_s: Floats
    want_disk_read_iops: Floats
    want_disk_write_iops: Floats
    want_disk_op_bytes: Floats
    want_net_rx_bytes_s: Floats
    want_net_tx_bytes_s: Floats
    want_packet_bytes: Floats
    granted_now: Floats
    delay_now: Floats
    latency_now: Floats
    missing_now: Floats
    dropped_now: Floats
    counters: Floats

    def __len__(self) -> int:
        return self.host.size

    def limit(self, kind: LimitKind) -> Floats:
        """Return the column that holds this limit."""
        column: Floats = getattr(self, LIMIT_COLUMNS[kind])
        return column


LIMIT_COLUMNS: dict[LimitKind, str] = {
    LimitKind.CPU_CAP: "cpu_cap",
    LimitKind.CPU_WEIGHT: "cpu_weight",
    LimitKind.MEMORY: "memory_target",
    LimitKind.DISK_IOPS: "disk_iops",
    LimitKind.DISK_BANDWIDTH: "disk_bandwidth",
    LimitKind.NET_IN: "net_in",
    LimitKind.NET_OUT: "net_out",
}


def rows(count: int, *, host: Ints, shape: VMShape) -> Columns:
    """Make so many rows of running VMs without limits and without demand."""
    made: dict[str, NDArray[np.float64]] = {
        each.name: np.zeros(count) for each in fields(Columns) if each.name not in _SPECIAL
    }
    for name in ("cpu_cap", "disk_iops", "disk_bandwidth", "net_in", "net_out"):
        made[name][:] = NO_LIMIT
    made["cpu_weight"][:] = 1.0
    made["vcpus"][:] = shape.vcpus
    for name in ("memory_max", "assigned", "memory_target"):
        made[name][:] = shape.memory_bytes
    made["disk_bytes"][:] = shape.disk_bytes
    for name in ("want_disk_op_bytes", "want_packet_bytes"):
        made[name][:] = 1.0
    return Columns(
        host=host.astype(np.int32),
        state=np.full(count, State.RUNNING, np.int8),
        persistent=np.ones(count, np.bool_),
        moves_live=np.full(count, shape.moves_live),
        version=np.zeros(count, np.int64),
        counters=np.zeros((count, len(Column)), order="F"),
        **made,
    )


_SPECIAL = frozenset({"host", "state", "persistent", "moves_live", "version", "counters"})


def extend(old: Columns, new: Columns) -> Columns:
    """Put new rows below the old ones."""
    joined = {}
    for each in fields(Columns):
        if each.name == "counters":
            joined[each.name] = np.asfortranarray(np.concatenate([old.counters, new.counters]))
        else:
            joined[each.name] = np.concatenate([getattr(old, each.name), getattr(new, each.name)])
    return Columns(**joined)
