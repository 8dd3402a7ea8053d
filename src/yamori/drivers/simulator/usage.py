"""The counters of all VMs in memory of an endpoint, as columns, in one call."""

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.drivers.simulator.columns import State
from yamori.drivers.simulator.connection import Connection
from yamori.drivers.simulator.faults import Fault
from yamori.model.ids import VMId

FEATURE_COLUMNS: dict[str, tuple[Column, ...]] = {
    "usage.cpu_delay": (Column.CPU_DELAY,),
    "usage.memory_resident": (Column.MEMORY_RESIDENT,),
    "usage.disk_latency": (Column.DISK_READ_TIME, Column.DISK_WRITE_TIME),
    "usage.net_drops": (Column.NET_RX_DROPS, Column.NET_TX_DROPS),
}


class SimulatorUsage:
    """The sensing capability ``usage``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._layout = -1
        self._rows: NDArray[np.intp] = np.empty(0, np.intp)
        self._vms: tuple[VMId, ...] = ()
        self._host_of: NDArray[np.int32] = np.empty(0, np.int32)

    async def read(self) -> UsageFrame:
        """Read the counters of all VMs that run or are paused."""
        async with self._connection.door("usage.read") as faults:
            self._look_around()
            return self._frame(faults)

    def _look_around(self) -> None:
        connection = self._connection
        world = connection.world
        if self._layout == world.layout:
            return
        rows = connection.rows()
        self._rows = rows[np.isin(world.columns.state[rows], (State.RUNNING, State.PAUSED))]
        self._vms = tuple(world.ids[row] for row in self._rows.tolist())
        place = np.full(len(world.hardware.names), -1, np.int32)
        place[list(connection.hosts)] = np.arange(len(connection.hosts), dtype=np.int32)
        self._host_of = place[world.columns.host[self._rows]]
        self._host_of.flags.writeable = False
        self._layout = world.layout

    def _frame(self, faults: tuple[Fault, ...]) -> UsageFrame:
        world, connection = self._connection.world, self._connection
        for fault in faults:
            if fault.restart_counters:
                hit = self._rows if fault.vm is None else np.array([connection.row(fault.vm)])
                world.columns.counters[hit, Column.CPU_TIME :] = 0.0
        everybody = self._rows.size == len(world.columns)
        values = world.columns.counters.copy(order="F") if everybody else _pick(world.columns.counters, self._rows)
        vms, host_of = self._vms, self._host_of
        unknown = {c for f, columns in FEATURE_COLUMNS.items() if f in connection.without for c in columns}
        for fault in faults:
            unknown |= fault.unknown
            if fault.lose_rows > 0:
                keep = np.arange(len(vms)) % 1000 >= fault.lose_rows * 1000
                vms = tuple(vm for vm, kept in zip(vms, keep.tolist(), strict=True) if kept)
                values, host_of = values[keep], host_of[keep]
        for column in unknown:
            values[:, column] = np.nan
        hosts = connection.hosts
        frame = UsageFrame(
            wall=world.clock.wall,
            vms=vms,
            hosts=tuple(connection.host_ids[row] for row in hosts),
            host_of=host_of,
            read_at=np.full(len(hosts), world.clock.now),
            values=values,
            host_values=self._host_values(),
        )
        for array in (frame.host_of, frame.read_at, frame.values, frame.host_values):
            array.flags.writeable = False
        return frame

    def _host_values(self) -> NDArray[np.float64]:
        world, hosts = self._connection.world, list(self._connection.hosts)
        held = np.bincount(world.columns.host, world.columns.resident, minlength=len(world.hardware.names))
        values = np.empty((len(hosts), len(HostColumn)))
        values[:, HostColumn.CPUS] = world.hardware.cpus[hosts]
        values[:, HostColumn.MEMORY_TOTAL] = world.hardware.memory[hosts]
        values[:, HostColumn.MEMORY_FREE] = np.maximum(world.hardware.memory[hosts] - held[hosts], 0.0)
        return values


def _pick(counters: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    picked = np.empty((rows.size, counters.shape[1]), order="F")
    for column in range(counters.shape[1]):
        np.take(counters[:, column], rows, out=picked[:, column])
    return picked
