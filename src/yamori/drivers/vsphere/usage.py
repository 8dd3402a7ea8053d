"""Counters of all VMs of the endpoint: one call for states, and when new samples are due, one or two for them."""

import asyncio
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyVmomi import vim

from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.drivers.vsphere.collector import Found, everything, one
from yamori.drivers.vsphere.connection import Connection
from yamori.drivers.vsphere.counters import INTERVAL_S, MOST_SAMPLES, PLAYED, Counters
from yamori.drivers.vsphere.link import Link, time_of
from yamori.drivers.vsphere.playback import DELAY_S, Clock, Track
from yamori.drivers.vsphere.roster import Roster
from yamori.drivers.vsphere.translate import MIB, host_key, is_template, state_of, vm_id
from yamori.model.ids import HostId, VMId
from yamori.model.vm import PowerState

VMS_A_CALL = 1000
CALLS_A_READING = 2
_ASK_AGAIN_S = 3.0
_STALE_S = 90.0
_OVERHEAD = 1 << 30
_VM_PATHS = (
    "config.instanceUuid",
    "config.template",
    "runtime.bootTime",
    "runtime.connectionState",
    "runtime.host",
    "runtime.powerState",
    "summary.config.memorySizeMB",
    "summary.config.numCpu",
)
_HOST_PATHS = (
    "name",
    "runtime.connectionState",
    "summary.hardware.memorySize",
    "summary.hardware.numCpuCores",
    "summary.quickStats.overallMemoryUsage",
)
_PLAYED = np.array(PLAYED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    id: VMId
    found: Found
    host: int
    state: PowerState


class VSphereUsage:
    """Usage of one endpoint's VMs, as it was ``DELAY_S`` ago; ``read_at`` is that moment on our clock."""

    def __init__(self, connection: Connection, roster: Roster) -> None:
        self._connection = connection
        self._roster = roster
        self._counters: Counters | None = None
        self._clock = Clock()
        self._tracks: dict[str, Track] = {}
        self._positions: dict[HostId, float] = {}
        self._news_at = -math.inf
        self._one_at_a_time = asyncio.Lock()
        connection.on_open.append(self._learn)

    async def read(self) -> UsageFrame:
        """Read the counters of all VMs that run or are suspended, the latter with RUNNING 0."""
        async with self._one_at_a_time:
            return await self._connection.call(self._read, capability="usage")

    def _learn(self, link: Link) -> None:
        """With a new link: which counters there are, and what time it is. Runs in a thread."""
        told = one(link, link.content.perfManager, ("perfCounter",)).values.get("perfCounter")
        self._counters = Counters(told or [])
        self._set_clock(link)

    def _set_clock(self, link: Link) -> None:
        before = time.monotonic()
        server = time_of(link)
        after = time.monotonic()
        if self._clock.set(server, (before + after) / 2):
            self._tracks, self._positions = {}, {}
        self._news_at = after

    def _read(self, link: Link) -> UsageFrame:
        found = everything(link, {vim.VirtualMachine: _VM_PATHS, vim.HostSystem: _HOST_PATHS})
        hosts = [each for each in found if not each.is_vm]
        ids = self._roster.learn_hosts(hosts)
        numbers = {each.key: number for number, each in enumerate(hosts)}
        rows = [row for each in found if each.is_vm for row in _row(each, numbers)]
        self._ask(link, rows)
        names = tuple(ids[each.key] for each in hosts)
        told = self._positions_now(names, rows)
        host_values = np.array([_host_values(each) for each in hosts]).reshape(len(hosts), len(HostColumn))
        values = np.full((len(rows), len(Column)), np.nan)
        for i, row in enumerate(rows):
            self._fill(values[i], row, told[row.host], host_values[row.host])
        return UsageFrame(
            wall=datetime.now(UTC),
            vms=tuple(row.id for row in rows),
            hosts=names,
            host_of=np.array([row.host for row in rows], np.int32),
            read_at=np.array([self._clock.monotonic(moment) for moment in told], float),
            values=values,
            host_values=host_values,
        )

    def _ask(self, link: Link, rows: list[_Row]) -> None:
        """Have a track for each VM that runs, and ask for the samples that are due."""
        running = {row.found.key: row for row in rows if row.state is PowerState.RUNNING}
        calls = CALLS_A_READING
        now = time.monotonic()
        if self._tracks and now - self._news_at > _STALE_S:
            self._set_clock(link)  # nothing new for long: was the server's clock put?
            calls -= 1
        self._tracks = {key: self._track(key, _run(row.found)) for key, row in running.items()}
        server = self._clock.server(now)
        due = iter(
            sorted(
                (key for key, track in self._tracks.items() if _is_due(track, server, now)),
                key=lambda key: self._tracks[key].asked_at,
            )
        )
        for _ in range(calls):
            part = list(islice(due, VMS_A_CALL))
            if part:
                self._query(link, {key: running[key].found.ref for key in part}, server, now)

    def _track(self, key: str, run: str) -> Track:
        known = self._tracks.get(key)
        return known if known is not None and known.run == run else Track(run)

    def _query(self, link: Link, refs: Mapping[str, Any], server: float, now: float) -> None:
        if self._counters is None or not self._counters.names:
            return
        samples = max(self._samples_due(self._tracks[key], server) for key in refs)
        answers = link.content.perfManager.QueryPerf(self._counters.questions(refs.values(), samples))
        for key in refs:
            self._tracks[key].asked_at = now
        for answer in answers or []:
            track = self._tracks.get(answer.entity)
            if track is not None and track.take(self._counters.samples(answer), latest_end=server + INTERVAL_S):
                self._news_at = now

    @staticmethod
    def _samples_due(track: Track, server: float) -> int:
        """How many samples reach back to where the last one ended; where that is too far, to what is told now."""
        due = math.floor(min(server - track.end, 1e6) / INTERVAL_S) + 1
        return due if due <= MOST_SAMPLES else math.floor((DELAY_S + INTERVAL_S) / INTERVAL_S) + 1

    def _positions_now(self, hosts: Iterable[HostId], rows: Iterable[_Row]) -> list[float]:
        """The moment that each host's VMs are told of: behind by the delay; where samples are late, no further.

        So that a host whose samples stay away stands still, which makes its rates unknown instead of zero.
        """
        moment = self._clock.told(time.monotonic())
        names = tuple(hosts)
        ends: dict[HostId, float] = {}
        for row in rows:
            track = self._tracks.get(row.found.key)
            if track is not None and math.isfinite(track.end):
                name = names[row.host]
                ends[name] = max(ends.get(name, -math.inf), track.end)
        self._positions = {
            name: max(self._positions.get(name, -math.inf), min(moment, ends.get(name, moment))) for name in names
        }
        return [self._positions[name] for name in names]

    def _fill(self, values: NDArray[np.float64], row: _Row, moment: float, host: NDArray[np.float64]) -> None:
        found = row.found
        values[Column.RUNNING] = {PowerState.RUNNING: 1.0, PowerState.UNKNOWN: np.nan}.get(row.state, 0.0)
        values[Column.VCPUS] = found.number("summary.config.numCpu") or np.nan
        track = self._tracks.get(found.key)
        if track is None:
            return
        values[_PLAYED] = track.play(moment)
        configured = (found.number("summary.config.memorySizeMB") or 0) * MIB
        if track.end < moment or not configured:
            return
        most = min(configured + _OVERHEAD, np.nan_to_num(host[HostColumn.MEMORY_TOTAL], nan=np.inf))
        if 0 < track.consumed <= most:  # more than there is cannot be: then nothing is known
            values[Column.MEMORY_RESIDENT] = track.consumed
        if track.ballooned < configured:
            values[Column.MEMORY_ASSIGNED] = configured - track.ballooned


def _row(found: Found, hosts: Mapping[str, int]) -> Iterable[_Row]:
    """The row of a VM that runs, is suspended, or whose state its host cannot tell; others have none."""
    id, key, state = vm_id(found.values.get("config.instanceUuid")), host_key(found), state_of(found)
    shown = state in (PowerState.RUNNING, PowerState.PAUSED, PowerState.UNKNOWN)
    if id is not None and key is not None and key in hosts and shown and not is_template(found):
        yield _Row(id=id, found=found, host=hosts[key], state=state)


def _run(found: Found) -> str:
    """Changes when the VM was powered on anew."""
    return str(found.values.get("runtime.bootTime"))


def _is_due(track: Track, server: float, now: float) -> bool:
    return server >= track.end + INTERVAL_S and now - track.asked_at >= _ASK_AGAIN_S


def _host_values(found: Found) -> NDArray[np.float64]:
    """Cores, and memory in bytes; what a host uses is not believed while the server cannot reach it."""
    told = np.full(len(HostColumn), np.nan)
    told[HostColumn.CPUS] = found.number("summary.hardware.numCpuCores") or np.nan
    total = found.number("summary.hardware.memorySize") or np.nan
    told[HostColumn.MEMORY_TOTAL] = total
    used = found.number("summary.quickStats.overallMemoryUsage")
    if used is not None and str(found.values.get("runtime.connectionState")) == "connected":
        told[HostColumn.MEMORY_FREE] = max(0.0, total - used * MIB)
    return told
