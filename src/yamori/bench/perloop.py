"""The guard's per-VM work written the usual way: one object of a streaming library's estimators per VM.

A peer to measure against, written to be quick: plain floats and locals, nothing that the guard does not do too.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from yamori.capabilities.sensing.usage import Column, UsageFrame
from yamori.model.errors import Unsupported

NAN = float("nan")
UNUSUAL = 8.0
USES = 4


class Estimator:
    """What is remembered of one VM: usual use, its spread, the hour's peak, the record, the window."""

    __slots__ = ("bits", "hour", "mean", "peak", "spread", "window")

    def __init__(self, *, usual_s: float) -> None:
        try:
            from river import stats
        except ImportError as error:
            raise Unsupported("bench.river", "river is not installed: pip install 'yamori[bench]'") from error
        factor = 1.0 / usual_s
        self.mean: list[Any] = [stats.EWMean(fading_factor=factor) for _ in range(USES)]
        self.spread: list[Any] = [stats.EWVar(fading_factor=factor) for _ in range(USES)]
        self.hour: list[Any] = [stats.RollingMax(60) for _ in range(USES)]
        self.bits = [0] * USES
        self.peak = 0.0
        self.window: deque[tuple[list[float], list[float]]] = deque(maxlen=16)


def tick(
    before: UsageFrame, now: UsageFrame, estimators: Sequence[Estimator], bounds: Sequence[tuple[float, ...]]
) -> tuple[list[int], list[int]]:
    """Work through one reading. Returns the rows that suffer and those whose use is unusual."""
    suffers: list[int] = []
    unusual: list[int] = []
    seconds = (now.read_at - before.read_at)[now.host_of].tolist()
    earlier, later = before.values.tolist(), now.values.tolist()
    for row, (old, new, dt) in enumerate(zip(earlier, later, seconds, strict=True)):
        estimator = estimators[row]
        taken, measured = _rates(old, new, dt, estimator)
        if _record(estimator, measured, bounds[row]):
            suffers.append(row)
        if _learn(estimator, taken):
            unusual.append(row)
        estimator.window.append((taken, measured))
    return suffers, unusual


def _rates(old: list[float], new: list[float], dt: float, estimator: Estimator) -> tuple[list[float], list[float]]:
    if dt <= 0 or new[Column.CPU_TIME] < old[Column.CPU_TIME]:
        return [NAN] * USES, [NAN] * USES
    grown = [b - a for a, b in zip(old[Column.DISK_READ_OPS :], new[Column.DISK_READ_OPS :], strict=True)]
    if min(grown) < 0:
        return [NAN] * USES, [NAN] * USES
    reads, writes, rbytes, wbytes, rtime, wtime, _, tx, rxp, txp, rxd, txd = grown
    cpu = (new[Column.CPU_TIME] - old[Column.CPU_TIME]) / dt
    delay = (new[Column.CPU_DELAY] - old[Column.CPU_DELAY]) / dt / max(new[Column.VCPUS], 1.0)
    ops, drops = reads + writes, rxd + txd
    offered = rxp + txp + drops
    resident = new[Column.MEMORY_RESIDENT]
    gave = max(old[Column.MEMORY_ASSIGNED] - new[Column.MEMORY_ASSIGNED], 0.0)
    estimator.peak = max(estimator.peak - gave, resident)
    lost = (estimator.peak - resident) / estimator.peak if estimator.peak > 0 else NAN
    latency = (rtime + wtime) / ops if ops > 0 else NAN
    taken = [cpu, resident, (ops + (rbytes + wbytes) / 65536.0) / dt, (txp + tx / 1500.0) / dt]
    return taken, [delay, lost, latency, drops / offered if offered > 0 else NAN]


def _record(estimator: Estimator, measured: list[float], bounds: tuple[float, ...]) -> bool:
    suffering = False
    bits = estimator.bits
    for i, (value, bound) in enumerate(zip(measured, bounds, strict=True)):
        if value == value:
            bits[i] = (bits[i] << 1 | (value > bound)) & 7
            suffering = suffering or bits[i] in (3, 5, 6, 7)
    return suffering


def _learn(estimator: Estimator, taken: list[float]) -> bool:
    odd = False
    for mean, spread, hour, value in zip(estimator.mean, estimator.spread, estimator.hour, taken, strict=True):
        if value == value:
            width = spread.get()
            distance = value - mean.get()
            odd = odd or (width > 0 and distance > 0 and distance * distance > UNUSUAL * UNUSUAL * width)
            mean.update(value)
            spread.update(value)
            hour.update(value)
    return odd
