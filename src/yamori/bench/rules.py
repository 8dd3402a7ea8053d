"""The named peers' rules, on the same counters: a static threshold, one-minute imbalance, a 30-minute average.

Each works as its model does: it finds an overloaded host and blames the VM that uses most of that resource there.
Their models look at CPU and memory only, so nobody of them can see a disk or a flood.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from yamori.capabilities.sensing.rates import Floats, Rate, Rates
from yamori.capabilities.sensing.usage import HostColumn, UsageFrame
from yamori.model.ids import VMId


class Rule(Protocol):
    """Takes one reading, returns whom it blames now."""

    name: str

    def look(self, frame: UsageFrame, rates: Rates) -> set[VMId]:
        """Return the blamed VMs."""
        ...


def busy(frame: UsageFrame, rates: Rates) -> Floats:
    """Return utilisation of each host, shape (2, hosts): CPU and memory, 0 to 1."""
    count = len(frame.hosts)
    cores = np.bincount(frame.host_of, np.nan_to_num(rates.column(Rate.CPU_CORES)), minlength=count)
    cpu = cores / frame.host_values[:, HostColumn.CPUS]
    memory = 1.0 - frame.host_values[:, HostColumn.MEMORY_FREE] / frame.host_values[:, HostColumn.MEMORY_TOTAL]
    return np.stack([cpu, memory])


def top_user(frame: UsageFrame, rates: Rates, host: int, resource: int) -> VMId | None:
    """Return the VM that uses most of a resource on a host."""
    rows = np.flatnonzero(frame.host_of == host)
    used = rates.column(Rate.CPU_CORES if resource == 0 else Rate.MEMORY_RESIDENT_BYTES)[rows]
    return frame.vms[rows[int(np.nanargmax(used))]] if len(rows) and not np.isnan(used).all() else None


@dataclass(slots=True)
class StaticThreshold:
    """A host above 80 % for 5 minutes without a break (oVirt's defaults)."""

    name: str = "80 % for 5 min"
    above_s: Floats | None = None

    def look(self, frame: UsageFrame, rates: Rates) -> set[VMId]:
        """Blame the top user of each host and resource that has been above for so long."""
        now = busy(frame, rates)
        before = np.zeros_like(now) if self.above_s is None else self.above_s
        self.above_s = np.where(now > 0.8, before + np.nan_to_num(rates.elapsed_s), 0.0)
        return _blame(frame, rates, self.above_s >= 300.0)


@dataclass(slots=True)
class Imbalance:
    """Once a minute: a host more than 10 percentage points above the mean of all (DRS, Proxmox's balancer)."""

    name: str = "1 min imbalance"
    seconds: float = 0.0
    total: Floats | None = None
    readings: int = 0

    def look(self, frame: UsageFrame, rates: Rates) -> set[VMId]:
        """Blame the top user of a host that is out of balance over the last minute."""
        now = busy(frame, rates)
        self.total = now if self.total is None else self.total + now
        self.readings += 1
        self.seconds += float(np.nan_to_num(rates.elapsed_s).max(initial=0.0))
        if self.seconds < 60.0:
            return set()
        mean = self.total / self.readings
        self.total, self.readings, self.seconds = None, 0, 0.0
        return _blame(frame, rates, mean > mean.mean(axis=1, keepdims=True) + 0.10)


@dataclass(slots=True)
class HalfHour:
    """A host whose mean over 30 minutes is above 80 % (the window of Xen Orchestra's balancer)."""

    name: str = "30 min average"
    past: deque[tuple[float, Floats]] = field(default_factory=deque)
    total: Floats | None = None
    seconds: float = 0.0

    def look(self, frame: UsageFrame, rates: Rates) -> set[VMId]:
        """Blame the top user of a host whose long mean is too high."""
        now = busy(frame, rates)
        step = float(np.nan_to_num(rates.elapsed_s).max(initial=0.0))
        self.past.append((step, now))
        self.total = now * step if self.total is None else self.total + now * step
        self.seconds += step
        while self.seconds - self.past[0][0] >= 1800.0:
            gone, value = self.past.popleft()
            self.seconds -= gone
            self.total = self.total - value * gone
        if self.seconds < 1799.0:
            return set()
        return _blame(frame, rates, self.total / self.seconds > 0.8)


def _blame(frame: UsageFrame, rates: Rates, over: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> set[VMId]:
    blamed = (top_user(frame, rates, int(h), int(r)) for r, h in np.argwhere(over))
    return {vm for vm in blamed if vm is not None}


def peers() -> list[Rule]:
    """Return fresh ones."""
    return [StaticThreshold(), Imbalance(), HalfHour()]
