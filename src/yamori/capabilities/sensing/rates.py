"""What two readings of the counters say: rates per VM, as columns. Pure; NaN means unknown, never zero.

Not a capability of a hypervisor: the one arithmetic that the control plane and all modules share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.model.ids import HostId, VMId
from yamori.model.sla import Objective

Floats = NDArray[np.float64]

SHORT_OF_MEMORY = 0.10
"""A host with less than this fraction of its memory free may be paging VMs out."""
GIVEN_BACK_S = 2.5
"""Time constant, seconds, in which memory that was paged out and not fetched again stops to count as lost.

It runs while the host takes nothing more: what a guest needs it fetches back within moments, the rest was cold.
"""
TINY = 1e-6
"""Fewer operations or packets than this between two readings are none."""
TAKES = 0.001
"""A host that is short of memory takes from a VM when its resident part falls by this fraction in a second."""
FORGOTTEN_S = 60.0
"""The same on a host that does not say how much memory it has free."""


class Rate(IntEnum):
    """What a row of ``Rates.values`` holds. The name in lower case is the word that the faces use."""

    CPU_CORES = 0
    """Cores: seconds of CPU time per second, all vCPUs and emulation."""
    CPU_DELAY = 1
    """Seconds per second and vCPU that a runnable vCPU waited for a physical CPU."""
    MEMORY_ASSIGNED_BYTES = 2
    MEMORY_RESIDENT_BYTES = 3
    DISK_IOPS = 4
    DISK_BYTES_S = 5
    DISK_LATENCY_S = 6
    """Mean seconds per operation. NaN as well where no operation ended: nothing was measured."""
    NET_RX_BYTES_S = 7
    NET_TX_BYTES_S = 8
    NET_RX_PACKETS_S = 9
    NET_TX_PACKETS_S = 10
    NET_DROPS = 11
    """Fraction of packets dropped. NaN as well where there was no packet."""


NAMES: tuple[str, ...] = tuple(r.name.lower() for r in Rate)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rates:
    """Rates between two frames, one column of ``values`` per row of the later frame.

    ``values[r, i]`` is rate ``r`` of ``vms[i]``. ``previous[i]`` is the row of the same VM on the same host in
    the earlier frame, -1 where there is none. ``elapsed_s[h]`` are the seconds between the two readings of host
    ``h``, NaN where it was not read twice. Arrays are never written to.
    """

    vms: tuple[VMId, ...]
    hosts: tuple[HostId, ...]
    host_of: NDArray[np.int32]
    elapsed_s: Floats
    previous: NDArray[np.int64]
    aligned: bool
    """True when every VM has the same row in both frames."""
    values: Floats

    def column(self, rate: Rate) -> Floats:
        """Return one rate, one number per VM."""
        column: Floats = self.values[rate]
        return column

    def row(self, index: int) -> dict[str, float | None]:
        """Return all rates of one VM by name; None means unknown."""
        numbers = self.values[:, index].tolist()
        return {name: None if number != number else number for name, number in zip(NAMES, numbers, strict=True)}


def previous_rows(before: UsageFrame, now: UsageFrame) -> tuple[NDArray[np.int64], bool]:
    """Find for each row the row of the same VM on the same host in the earlier frame, -1 if none.

    The second value is True when nothing moved. A VM that has two rows on one host is ambiguous: -1.
    """
    if now.hosts == before.hosts and now.vms == before.vms and np.array_equal(now.host_of, before.host_of):
        return np.arange(len(now.vms)), True
    earlier = dict(zip(before.vms, range(len(before.vms)), strict=True))
    if len(earlier) < len(before.vms) or len(set(now.vms)) < len(now.vms):
        return _previous_by_pair(before, now), False
    rows = np.fromiter((earlier.get(vm, -1) for vm in now.vms), np.int64, len(now.vms))
    number = {host: index for index, host in enumerate(before.hosts)}
    host_before = np.array([number.get(host, -1) for host in now.hosts], np.int64)
    if len(rows) and len(before.vms):
        moved = before.host_of[rows] != host_before[now.host_of]
        rows[moved] = -1
    return rows, False


def _previous_by_pair(before: UsageFrame, now: UsageFrame) -> NDArray[np.int64]:
    def pairs(frame: UsageFrame) -> list[tuple[VMId, HostId]]:
        return [(vm, frame.hosts[h]) for vm, h in zip(frame.vms, frame.host_of.tolist(), strict=True)]

    def unique(keys: list[tuple[VMId, HostId]]) -> dict[tuple[VMId, HostId], int]:
        found: dict[tuple[VMId, HostId], int] = {}
        for index, key in enumerate(keys):
            found[key] = -1 if key in found else index
        return found

    later = pairs(now)
    earlier, single = unique(pairs(before)), unique(later)
    return np.array([earlier.get(k, -1) if single[k] >= 0 else -1 for k in later], np.int64)


def rates(before: UsageFrame, now: UsageFrame) -> Rates:
    """Compute what every VM of ``now`` used per second since ``before``.

    Time is the difference of ``read_at``, never wall time; a host whose clock did not advance yields NaN.
    A fallen CPU counter means that the VM was started anew: all its rates are unknown once. A fallen counter
    of disks or cards (one was unplugged) makes that group unknown once. More CPU time than the host has is
    impossible (a reset that overtook the old value), hence unknown.
    """
    previous, aligned = previous_rows(before, now)
    per_s, delta = _differences(before, now, previous, aligned=aligned)
    count = len(now.vms)
    values = np.full((len(Rate), count), np.nan)
    values[Rate.MEMORY_ASSIGNED_BYTES] = now.column(Column.MEMORY_ASSIGNED)
    values[Rate.MEMORY_RESIDENT_BYTES] = now.column(Column.MEMORY_RESIDENT)
    if count:
        with np.errstate(invalid="ignore", divide="ignore"):
            _fill(values, now, per_s, delta)
    return Rates(
        vms=now.vms,
        hosts=now.hosts,
        host_of=now.host_of,
        elapsed_s=elapsed(before, now),
        previous=previous,
        aligned=aligned,
        values=values,
    )


def elapsed(before: UsageFrame, now: UsageFrame) -> Floats:
    """Return the seconds between the two readings of each host of ``now``; NaN unless the clock advanced."""
    if now.hosts == before.hosts:
        seconds = now.read_at - before.read_at
    else:
        then = dict(zip(before.hosts, before.read_at.tolist(), strict=True))
        seconds = now.read_at - np.array([then.get(h, np.nan) for h in now.hosts], float)
    return np.where(seconds > 0, seconds, np.nan)


_CPU = slice(Column.CPU_TIME, Column.CPU_DELAY + 1)
_DISK = slice(Column.DISK_READ_OPS, Column.DISK_WRITE_TIME + 1)
_NET = slice(Column.NET_RX_BYTES, Column.NET_TX_DROPS + 1)


def _differences(
    before: UsageFrame, now: UsageFrame, previous: NDArray[np.int64], *, aligned: bool
) -> tuple[Floats, Floats]:
    """Return 1/seconds per VM and the growth of each counter, column by column, NaN where it is not known."""
    count = len(now.vms)
    if not count or not len(before.vms):
        return np.full(count, np.nan), np.full((len(Column), count), np.nan)
    with np.errstate(invalid="ignore"):
        if aligned:
            delta = np.subtract(now.values.T, before.values.T, order="C")
        else:
            delta = np.subtract(now.values.T, before.values[previous].T, order="C")
            delta[:, previous < 0] = np.nan
        for group in (_DISK, _NET):
            fell = np.fmin.reduce(delta[group], axis=0) < 0
            if fell.any():
                delta[group, fell] = np.nan
        fell = delta[Column.CPU_DELAY] < 0
        if fell.any():
            delta[Column.CPU_DELAY, fell] = np.nan
        per_s = 1.0 / elapsed(before, now)[now.host_of]
        cpus = now.host_values[:, HostColumn.CPUS][now.host_of]
        grown = delta[Column.CPU_TIME]
        anew = (grown < 0) | (grown * per_s > 2.0 * cpus + 1.0)
        if anew.any():
            delta[:, anew] = np.nan
    return per_s, delta


def _fill(values: Floats, now: UsageFrame, per_s: Floats, delta: Floats) -> None:
    """Turn growth into rates, in place of the fresh array."""
    values[Rate.CPU_CORES] = delta[Column.CPU_TIME] * per_s
    values[Rate.CPU_DELAY] = delta[Column.CPU_DELAY] * per_s / np.maximum(now.column(Column.VCPUS), 1.0)
    ops = delta[Column.DISK_READ_OPS] + delta[Column.DISK_WRITE_OPS]
    values[Rate.DISK_IOPS] = ops * per_s
    values[Rate.DISK_BYTES_S] = (delta[Column.DISK_READ_BYTES] + delta[Column.DISK_WRITE_BYTES]) * per_s
    latency = (delta[Column.DISK_READ_TIME] + delta[Column.DISK_WRITE_TIME]) / np.fmax(ops, TINY)
    values[Rate.DISK_LATENCY_S] = np.where(ops > TINY, latency, np.nan)
    values[Rate.NET_RX_BYTES_S] = delta[Column.NET_RX_BYTES] * per_s
    values[Rate.NET_TX_BYTES_S] = delta[Column.NET_TX_BYTES] * per_s
    values[Rate.NET_RX_PACKETS_S] = delta[Column.NET_RX_PACKETS] * per_s
    values[Rate.NET_TX_PACKETS_S] = delta[Column.NET_TX_PACKETS] * per_s
    drops = delta[Column.NET_RX_DROPS] + delta[Column.NET_TX_DROPS]
    offered = delta[Column.NET_RX_PACKETS] + delta[Column.NET_TX_PACKETS] + drops
    values[Rate.NET_DROPS] = np.where(offered > TINY, drops / np.fmax(offered, TINY), np.nan)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Residence:
    """What is remembered of resident memory, one number per VM of the frame that it was computed with.

    ``peak`` is what the VM would have resident, had the host taken nothing: its own recent peak, lowered by
    what it gave back itself. Bytes.
    """

    peak: Floats
    resident: Floats
    assigned: Floats


def memory_lost(remembered: Residence | None, rates: Rates, now: UsageFrame) -> tuple[Residence, Floats]:
    """Return what to remember and the fraction of each VM's memory that the host took (MEMORY_LOST).

    A balloon that shrinks lowers the peak by as much. A fall of resident memory on a host that has memory to
    spare is the guest's own doing and lowers the peak as well; on a host that is short of memory it is a loss.
    ``remembered`` must come from the frame that ``rates`` started from; None at the beginning.
    """
    resident = rates.column(Rate.MEMORY_RESIDENT_BYTES)
    assigned = rates.column(Rate.MEMORY_ASSIGNED_BYTES)
    known = remembered if remembered is not None and len(remembered.peak) else None
    peak = resident if known is None else _peak(known, rates, now)
    last = resident if known is None else np.where(np.isnan(resident), _earlier(known.resident, rates), resident)
    with np.errstate(invalid="ignore", divide="ignore"):
        lost = np.where(peak > 0, (peak - resident) / peak, np.nan)
    return Residence(peak=peak, resident=last, assigned=assigned), lost


def _earlier(column: Floats, rates: Rates) -> Floats:
    """Carry a column from the rows of the earlier frame to those of the later one."""
    return column if rates.aligned else np.where(rates.previous >= 0, column[rates.previous], np.nan)


def _peak(remembered: Residence, rates: Rates, now: UsageFrame) -> Floats:
    def earlier(column: Floats) -> Floats:
        return _earlier(column, rates)

    resident = rates.column(Rate.MEMORY_RESIDENT_BYTES)
    total = now.host_values[:, HostColumn.MEMORY_TOTAL]
    free = now.host_values[:, HostColumn.MEMORY_FREE]
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = free / total
        ample = (fraction >= SHORT_OF_MEMORY)[rates.host_of]
        constant = np.where(np.isnan(fraction), FORGOTTEN_S, GIVEN_BACK_S)
        passed = np.nan_to_num(rates.elapsed_s)
        kept = np.exp(-passed / constant)[rates.host_of]
        took = earlier(remembered.resident) - resident > TAKES * passed[rates.host_of] * resident
        kept = np.where(took & ~ample, 1.0, kept)
        gave_back = np.fmax(earlier(remembered.assigned) - rates.column(Rate.MEMORY_ASSIGNED_BYTES), 0.0)
        fell = np.where(ample, np.fmax(earlier(remembered.resident) - resident, 0.0), 0.0)
        peak = earlier(remembered.peak) - np.fmax(np.nan_to_num(gave_back), np.nan_to_num(fell))
        peak = np.fmax(peak, resident)
        relaxed: Floats = np.where(np.isnan(resident), peak, resident + (peak - resident) * kept)
        return relaxed


def measured(rates: Rates, lost: Floats) -> Mapping[Objective, Floats]:
    """Return the value of each objective, one number per VM; NaN where it is not known."""
    return {
        Objective.CPU_DELAY: rates.column(Rate.CPU_DELAY),
        Objective.MEMORY_LOST: lost,
        Objective.DISK_LATENCY: rates.column(Rate.DISK_LATENCY_S),
        Objective.NET_DROPS: rates.column(Rate.NET_DROPS),
    }
