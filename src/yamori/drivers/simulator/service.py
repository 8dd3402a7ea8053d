"""What an independent client of a VM's service would measure: the ground truth that no driver reports."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yamori.drivers.simulator.columns import Columns, State

CPU_S = 0.002
"""CPU seconds that one request of the simulated service takes."""
DISK_OPS = 1.0
"""Disk operations that one request waits for."""
PAGES = 8.0
"""Pages that one request touches: each may have been paged out."""
RESEND_S = 0.2
"""What one lost packet costs a client: TCP's smallest retransmission time on Linux (TCP_RTO_MIN)."""
GIVES_UP_S = 30.0
"""A client waits no longer than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One measurement from outside. ``latency_s`` is None when nobody answers; the parts add up to it."""

    latency_s: float | None
    cpu_s: float
    disk_s: float
    paging_s: float
    network_s: float


def parts(c: Columns, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the parts of the latency as columns: cpu, disk, paging, network. One row for each asked."""
    granted, delay = c.granted_now[rows], c.delay_now[rows]
    slower = np.divide(delay, granted, out=np.zeros_like(delay), where=granted > 0)
    starved = (granted <= 0) & (delay > 0)
    cpu = np.where(starved, GIVES_UP_S, CPU_S * (1.0 + slower))
    disk = DISK_OPS * c.latency_now[rows]
    paging = PAGES * c.missing_now[rows] * c.latency_now[rows]
    lost = np.minimum(c.dropped_now[rows], 0.999)
    network = RESEND_S * lost / (1.0 - lost)
    together: NDArray[np.float64] = np.minimum(np.column_stack([cpu, disk, paging, network]), GIVES_UP_S)
    return together


def latencies(c: Columns, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the latency in seconds for each row; NaN where nobody answers."""
    whole = np.minimum(parts(c, rows).sum(axis=1), GIVES_UP_S)
    answered: NDArray[np.float64] = np.where(c.state[rows] == State.RUNNING, whole, np.nan)
    return answered


def measure(c: Columns, row: int) -> Service:
    """Measure one VM."""
    where = np.array([row])
    whole = float(latencies(c, where)[0])
    cpu, disk, paging, network = (float(x) for x in parts(c, where)[0])
    return Service(
        latency_s=None if np.isnan(whole) else whole, cpu_s=cpu, disk_s=disk, paging_s=paging, network_s=network
    )
