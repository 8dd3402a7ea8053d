"""The server's performance counters in our columns: which are asked for, in what units, and how they add up.

Names and units: vSphere API, PerformanceManager, "CPU Counters", "Memory Counters", "Virtual Disk Counters",
"Network Counters". Real-time samples are of 20 seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyVmomi import vim

from yamori.capabilities.sensing.usage import Column
from yamori.drivers.vsphere.series import Told
from yamori.drivers.vsphere.translate import KIB

INTERVAL_S = 20
MOST_SAMPLES = 15
PLAYED: tuple[Column, ...] = (
    Column.CPU_TIME,
    Column.CPU_DELAY,
    *(column for column in Column if column >= Column.DISK_READ_OPS),
)
"""The columns that grow, in the order of ``Sample.rates``."""

_WHOLE = ""
"""Instance of the sum over the VM."""
_EACH = "*"
"""All instances: of disks the server has no sum."""
_COUNTERS: Mapping[str, str] = {
    "cpu.used.summation": _WHOLE,
    "cpu.ready.summation": _WHOLE,
    "cpu.costop.summation": _WHOLE,
    "cpu.maxlimited.summation": _WHOLE,
    "mem.consumed.average": _WHOLE,
    "mem.vmmemctl.average": _WHOLE,
    "virtualDisk.numberReadAveraged.average": _EACH,
    "virtualDisk.numberWriteAveraged.average": _EACH,
    "virtualDisk.read.average": _EACH,
    "virtualDisk.write.average": _EACH,
    "virtualDisk.totalReadLatency.average": _EACH,
    "virtualDisk.totalWriteLatency.average": _EACH,
    "net.received.average": _WHOLE,
    "net.transmitted.average": _WHOLE,
    "net.packetsRx.summation": _WHOLE,
    "net.packetsTx.summation": _WHOLE,
    "net.droppedRx.summation": _WHOLE,
    "net.droppedTx.summation": _WHOLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the server says of one VM over ``(end_s - seconds, end_s]``, in seconds of its own clock.

    ``rates`` is the growth per second of each column of ``PLAYED``; ``consumed`` and ``ballooned`` are bytes.
    """

    end_s: float
    seconds: float
    rates: NDArray[np.float64]
    consumed: float
    ballooned: float


class Counters:
    """Which of the counters that we want this server has, by the numbers that it gave them."""

    def __init__(self, told: Iterable[Any]) -> None:
        self._names: dict[int, str] = {}
        for each in told:
            name = f"{each.groupInfo.key}.{each.nameInfo.key}.{each.rollupType}"
            if name in _COUNTERS:
                self._names[int(each.key)] = name

    @property
    def names(self) -> frozenset[str]:
        """Those that the server has."""
        return frozenset(self._names.values())

    def questions(self, refs: Iterable[Any], samples: int) -> list[Any]:
        """One question a VM, for one call of QueryPerf. CSV, since it is read faster where the server has it."""
        wanted = [
            vim.PerformanceManager.MetricId(counterId=number, instance=_COUNTERS[name])
            for number, name in self._names.items()
        ]
        most = max(1, min(MOST_SAMPLES, samples))
        return [
            vim.PerformanceManager.QuerySpec(
                entity=ref, metricId=wanted, intervalId=INTERVAL_S, maxSample=most, format="csv"
            )
            for ref in refs
        ]

    def samples(self, told: Told) -> list[Sample]:
        """One VM's samples, oldest first. What is not told, negative or of another length is NaN."""
        times, series = told.times, told.series
        count = len(times)
        named: dict[str, dict[str, NDArray[np.float64]]] = {}
        for number, instance, values in series:
            name = self._names.get(number)
            if name is not None and len(values) == count:
                row = np.array(values, float)
                row[~(np.isfinite(row) & (row >= 0))] = np.nan
                named.setdefault(name, {})[instance] = row
        seconds = np.array([seconds for _, seconds in times], float)
        columns = _rates(named, count, seconds)
        consumed, ballooned = (_of_vm(named, f"mem.{word}.average", count) for word in ("consumed", "vmmemctl"))
        made = [
            Sample(
                end_s=end,
                seconds=length,
                rates=columns[:, i].copy(),
                consumed=float(consumed[i] * KIB),
                ballooned=float(ballooned[i] * KIB),
            )
            for i, (end, length) in enumerate(times)
        ]
        return sorted(made, key=lambda sample: sample.end_s)


Named = Mapping[str, Mapping[str, NDArray[np.float64]]]


def _rates(named: Named, count: int, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    def of_vm(name: str) -> NDArray[np.float64]:
        return _of_vm(named, name, count)

    def of_disks(name: str) -> NDArray[np.float64]:
        return _of_disks(named, f"virtualDisk.{name}.average", count)

    def busy(way: str) -> NDArray[np.float64]:
        """Seconds spent in requests per second: their number times their mean time, disk by disk."""
        return _busy(
            named, f"virtualDisk.number{way}Averaged.average", f"virtualDisk.total{way}Latency.average", count
        )

    rates = {
        Column.CPU_TIME: of_vm("cpu.used.summation") / 1000 / seconds,
        Column.CPU_DELAY: _delay_ms(named, count) / 1000 / seconds,
        Column.DISK_READ_OPS: of_disks("numberReadAveraged"),
        Column.DISK_WRITE_OPS: of_disks("numberWriteAveraged"),
        Column.DISK_READ_BYTES: of_disks("read") * KIB,
        Column.DISK_WRITE_BYTES: of_disks("write") * KIB,
        Column.DISK_READ_TIME: busy("Read"),
        Column.DISK_WRITE_TIME: busy("Write"),
        Column.NET_RX_BYTES: of_vm("net.received.average") * KIB,
        Column.NET_TX_BYTES: of_vm("net.transmitted.average") * KIB,
        Column.NET_RX_PACKETS: of_vm("net.packetsRx.summation") / seconds,
        Column.NET_TX_PACKETS: of_vm("net.packetsTx.summation") / seconds,
        Column.NET_RX_DROPS: of_vm("net.droppedRx.summation") / seconds,
        Column.NET_TX_DROPS: of_vm("net.droppedTx.summation") / seconds,
    }
    return np.array([rates[column] for column in PLAYED]).reshape(len(PLAYED), count)


def _delay_ms(named: Named, count: int) -> NDArray[np.float64]:
    """Ready and not running, without what the VM's own limit makes it wait, and with co-scheduling's waits.

    ``ready`` contains ``maxlimited`` (ready, kept from running by its own limit). Of a server that does not tell
    the one or the other, it is not taken off or added.
    """
    ready = _of_vm(named, "cpu.ready.summation", count)
    limited = np.nan_to_num(_of_vm(named, "cpu.maxlimited.summation", count))
    stopped = np.nan_to_num(_of_vm(named, "cpu.costop.summation", count))
    return np.maximum(ready - limited, 0.0) + stopped


def _of_vm(named: Named, name: str, count: int) -> NDArray[np.float64]:
    """The sum that the server made; its own sum of instances where it made none."""
    found = named.get(name, {})
    return found[_WHOLE] if _WHOLE in found else _sum(found, count)


def _of_disks(named: Named, name: str, count: int) -> NDArray[np.float64]:
    """The sum over instances; the server's own sum only where nothing else is told, so that none counts twice."""
    found = named.get(name, {})
    return _sum({key: row for key, row in found.items() if key != _WHOLE} or found, count)


def _busy(named: Named, number: str, latency: str, count: int) -> NDArray[np.float64]:
    numbers, latencies = named.get(number, {}), named.get(latency, {})
    if not numbers or set(numbers) - set(latencies):
        return np.full(count, np.nan)
    each = {
        key: np.where(row == 0, 0.0, row * latencies[key] / 1000)
        for key, row in numbers.items()
        if key != _WHOLE or len(numbers) == 1
    }
    return _sum(each, count)


def _sum(rows: Mapping[str, NDArray[np.float64]], count: int) -> NDArray[np.float64]:
    return np.sum(list(rows.values()), axis=0) if rows else np.full(count, np.nan)
