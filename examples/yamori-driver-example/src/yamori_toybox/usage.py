"""Counters as columns. What Toybox does not count is NaN, never zero."""

import time
from datetime import UTC, datetime

import numpy as np

from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.model.ids import HostId, VMId
from yamori_toybox.connection import Connection
from yamori_toybox.translate import MIB


class ToyboxUsage:
    """The capability ``usage``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self) -> UsageFrame:
        metered, on, cores, ram_mb = await self._connection.call(
            lambda box: (
                box.meter(),
                {each["serial"] for each in box.describe() if each["state"] == "on"},
                box.cores,
                box.ram_mb,
            )
        )
        values = np.full((len(metered), len(Column)), np.nan)
        for row, (serial, cpu_ms, vcpus, memory_mb) in enumerate(metered):
            values[row, Column.RUNNING] = serial in on
            values[row, Column.VCPUS] = vcpus
            values[row, Column.CPU_TIME] = cpu_ms / 1000
            values[row, Column.MEMORY_ASSIGNED] = memory_mb * MIB
        host_values = np.full((1, len(HostColumn)), np.nan)
        host_values[0, HostColumn.CPUS] = cores
        host_values[0, HostColumn.MEMORY_TOTAL] = ram_mb * MIB
        return UsageFrame(
            wall=datetime.now(UTC),
            vms=tuple(VMId(serial.lower()) for serial, *_ in metered),
            hosts=(HostId(self._connection.endpoint),),
            host_of=np.zeros(len(metered), np.int32),
            read_at=np.array([time.monotonic()]),
            values=values,
            host_values=host_values,
        )
