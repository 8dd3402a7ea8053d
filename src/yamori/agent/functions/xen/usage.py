"""Counters of all VMs of a Xen host in one pass: hypercalls, sysfs of the backends, and the waiting of vCPUs."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from yamori.agent.functions.xen.backends import Backend, CardCounters, Numbers
from yamori.agent.functions.xen.roster import Census, Devices, Guest, Roster
from yamori.agent.functions.xen.tally import Floats, Tally
from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.model.errors import Unreachable
from yamori.model.ids import HostId, VMId

Waiting = Callable[[Iterable[int]], Mapping[int, float] | None]
"""Seconds that the vCPUs of each of some domains have waited for a CPU; None while that is not known."""
_DISK = slice(Column.DISK_READ_OPS, Column.DISK_WRITE_TIME + 1)
_NET = slice(Column.NET_RX_BYTES, Column.NET_TX_DROPS + 1)
_NO_CARD = CardCounters(
    in_bytes=math.nan, out_bytes=math.nan, in_packets=math.nan, out_packets=math.nan,
    in_drops=math.nan, out_drops=math.nan,
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class _Sums:
    """The sums of one run of one VM."""

    vm: VMId
    disks: Tally
    cards: Tally


class XenUsage:
    """The sensing capability ``usage``. Blocking work is done by ``thread``."""

    def __init__(self, roster: Roster, host: HostId, waiting: Waiting, thread: Executor) -> None:
        self._roster = roster
        self._host = host
        self._waiting = waiting
        self._thread = thread
        self._sums: dict[int, _Sums] = {}
        self._closed = False

    async def read(self) -> UsageFrame:
        """Read the counters of all VMs that are there, paused ones with RUNNING 0."""
        if self._closed:
            raise Unreachable("the session is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.frame)

    def close(self) -> None:
        """What comes after is unreachable."""
        self._closed = True

    def frame(self) -> UsageFrame:
        """Read, blocking. Raises Failed, Unreachable."""
        before = time.monotonic()
        census = self._roster.read()
        at = (before + time.monotonic()) / 2
        waited = self._waiting([guest.domain.number for guest in census.guests])
        devices = {g.domain.number: self._roster.devices(g.domain.number, census.served) for g in census.guests}
        blocks = {disk: self._roster.backends.block(disk) for disk in census.served if disk.kind == "vbd"}
        shared = self._roster.backends.shared(blocks.values())
        interfaces = self._roster.backends.interfaces()
        for gone in set(self._sums) - {guest.domain.number for guest in census.guests}:
            del self._sums[gone]
        values = np.full((len(census.guests), len(Column)), np.nan)
        for row, guest in zip(values, census.guests, strict=True):
            mine = devices[guest.domain.number]
            sums = self._of(guest)
            _gauges(row, guest)
            row[Column.CPU_DELAY] = math.nan if waited is None else waited.get(guest.domain.number, math.nan)
            row[_DISK] = sums.disks.add(self._disks(mine, blocks, shared))
            row[_NET] = sums.cards.add(self._cards(mine, interfaces))
        return UsageFrame(
            wall=datetime.now(UTC),
            vms=tuple(guest.vm for guest in census.guests),
            hosts=(self._host,),
            host_of=np.zeros(len(census.guests), np.int32),
            read_at=np.array([at]),
            values=values,
            host_values=_host(census),
        )

    def _of(self, guest: Guest) -> _Sums:
        """A run of a VM has a domain number of its own; numbers come again, ids do not."""
        known = self._sums.get(guest.domain.number)
        if known is None or known.vm != guest.vm:
            known = _Sums(vm=guest.vm, disks=Tally(_width(_DISK)), cards=Tally(_width(_NET)))
            self._sums[guest.domain.number] = known
        return known

    def _disks(
        self, mine: Devices, blocks: Mapping[Backend, Numbers | None], shared: frozenset[Numbers]
    ) -> dict[str, Floats]:
        told = {name: np.full(_width(_DISK), np.nan) for name in mine.disks_elsewhere}
        for disk in mine.disks:
            c = self._roster.backends.disk_counters(disk, alone=blocks.get(disk) not in shared)
            told[disk.name] = np.array([c.read_ops, c.write_ops, c.read_bytes, c.write_bytes, c.read_s, c.write_s])
        return told

    def _cards(self, mine: Devices, interfaces: Mapping[str, CardCounters]) -> dict[str, Floats]:
        told = {name: np.full(_width(_NET), np.nan) for name in mine.cards_elsewhere}
        for card in mine.cards:
            names = self._roster.backends.card_names(card)
            for place, name in enumerate(names):
                if place and name not in interfaces:
                    continue  # no emulated card beside the paravirtual one
                c = interfaces.get(name, _NO_CARD)
                told[name] = np.array(
                    [c.in_bytes, c.out_bytes, c.in_packets, c.out_packets, c.in_drops, c.out_drops]
                )
            if not names:
                told[card.name] = np.full(_width(_NET), np.nan)
        return told


def _width(columns: slice) -> int:
    return int(columns.stop) - int(columns.start)


def _gauges(row: NDArray[np.float64], guest: Guest) -> None:
    domain = guest.domain
    still = domain.paused or domain.shut_down or domain.crashed
    row[Column.RUNNING] = 0.0 if still else 1.0
    row[Column.VCPUS] = domain.vcpus
    row[Column.CPU_TIME] = domain.cpu_s
    # Xen pages nobody out by itself: what a domain has is in memory, and is what its guest may use.
    row[Column.MEMORY_ASSIGNED] = domain.memory
    row[Column.MEMORY_RESIDENT] = domain.memory


def _host(census: Census) -> NDArray[np.float64]:
    told = np.full((1, len(HostColumn)), np.nan)
    told[0, HostColumn.CPUS] = census.node.cpus
    told[0, HostColumn.MEMORY_TOTAL] = census.node.memory
    told[0, HostColumn.MEMORY_FREE] = census.node.memory_free
    return told
