"""Counters of all running VMs of the host in one bulk call, as columns."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import libvirt
import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.usage import COUNTERS, Column, HostColumn, UsageFrame
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.counters import row
from yamori.drivers.libvirt.inventory import memory_total
from yamori.model.ids import HostId, VMId

GROUPS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
FLAGS = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
"""NOWAIT: a VM that is busy with something else is told with what is known without asking it; the rest is NaN."""

_COUNTERS = np.array(COUNTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    ids: tuple[VMId, ...]
    runs: tuple[int, ...]
    values: NDArray[np.float64]
    host_values: NDArray[np.float64]
    wall: datetime
    at: float


class LibvirtUsage:
    """Usage of one endpoint's VMs."""

    def __init__(self, connection: Connection, host: HostId) -> None:
        self._connection = connection
        self._host = host
        self._growth = Growth()
        self._one_at_a_time = asyncio.Lock()

    async def read(self) -> UsageFrame:
        """Read the counters of all VMs that are active on the host, paused ones with RUNNING 0."""
        async with self._one_at_a_time:
            reading = await self._connection.call(self._read, capability="usage")
            self._growth.keep(reading.ids, reading.runs, reading.values)
        return UsageFrame(
            wall=reading.wall,
            vms=reading.ids,
            hosts=(self._host,),
            host_of=np.zeros(len(reading.ids), np.int32),
            read_at=np.array([reading.at]),
            values=reading.values,
            host_values=reading.host_values,
        )

    def _read(self, link: Any) -> _Reading:
        before = time.monotonic()
        rows = link.getAllDomainStats(GROUPS, FLAGS)
        after = time.monotonic()
        values = np.full((len(rows), len(Column)), np.nan)
        for i, (_, stats) in enumerate(rows):
            values[i] = row(stats)
        return _Reading(
            ids=tuple(VMId(handle.UUIDString()) for handle, _ in rows),
            runs=tuple(handle.ID() for handle, _ in rows),
            values=values,
            host_values=self._host_values(link, values),
            wall=datetime.now(UTC),
            at=(before + after) / 2,
        )

    def _host_values(self, link: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
        capacity = self._connection.settings.capacity
        node = link.getInfo()
        told = np.full((1, len(HostColumn)), np.nan)
        told[0, HostColumn.CPUS] = capacity.cpus or node[2]
        if capacity.memory_bytes is not None:
            held = float(np.nansum(values[:, Column.MEMORY_RESIDENT]))
            told[0, HostColumn.MEMORY_TOTAL] = capacity.memory_bytes
            told[0, HostColumn.MEMORY_FREE] = max(0.0, capacity.memory_bytes - held)
            return told
        try:
            memory: Mapping[str, int] = link.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
            told[0, HostColumn.MEMORY_TOTAL] = memory["total"] * 1024
            told[0, HostColumn.MEMORY_FREE] = (
                memory["free"] + memory.get("buffers", 0) + memory.get("cached", 0)
            ) * 1024
        except (libvirt.libvirtError, KeyError):
            told[0, HostColumn.MEMORY_TOTAL] = memory_total(link, node) or np.nan
        return told


class Growth:
    """Keeps counters from falling while a VM runs: taking a disk or card away takes its part out of the sums.

    What is lost is made up from the last reading on. A VM that was started anew (new run number) begins anew.
    """

    def __init__(self) -> None:
        self._last: dict[VMId, tuple[int, NDArray[np.float64], NDArray[np.float64]]] = {}

    def keep(self, ids: Sequence[VMId], runs: Sequence[int], values: NDArray[np.float64]) -> None:
        """Correct the counters in place."""
        present: dict[VMId, tuple[int, NDArray[np.float64], NDArray[np.float64]]] = {}
        for i, (vm, run) in enumerate(zip(ids, runs, strict=True)):
            raw = values[i, _COUNTERS]
            known = self._last.get(vm)
            if known is None or known[0] != run:
                present[vm] = (run, raw, np.zeros(len(_COUNTERS)))
                continue
            _, last, added = known
            fell = raw < last
            if fell.any():
                added = np.where(fell, added + last - raw, added)
            present[vm] = (run, np.where(np.isnan(raw), last, raw), added)
            if added.any():
                values[i, _COUNTERS] = raw + added
        self._last = present
