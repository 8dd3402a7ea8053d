"""A synthetic fleet of counters, cheap enough that making it costs less than judging it."""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.manifest.module import FleetView
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.sla import STANDARD_CLASSES
from yamori.model.vm import VM, PowerState

GIB = 2.0**30
PER_HOST = 50
BIRTH = datetime(2030, 1, 1, tzinfo=UTC)
USUAL: dict[Column, float] = {
    Column.CPU_TIME: 0.2,
    Column.CPU_DELAY: 0.004,
    Column.DISK_READ_OPS: 20.0,
    Column.DISK_WRITE_OPS: 15.0,
    Column.DISK_READ_BYTES: 4e5,
    Column.DISK_WRITE_BYTES: 3e5,
    Column.DISK_READ_TIME: 0.02,
    Column.DISK_WRITE_TIME: 0.02,
    Column.NET_RX_BYTES: 2e5,
    Column.NET_TX_BYTES: 2e5,
    Column.NET_RX_PACKETS: 300.0,
    Column.NET_TX_PACKETS: 300.0,
}
"""What a VM of the synthetic fleet counts in a second, before its own factor and noise."""


class SyntheticFleet:
    """``count`` VMs, PER_HOST to a host, in the usual shape of a fleet: few busy, most idle (log-normal)."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self._random = np.random.default_rng(seed)
        hosts = max(1, self.count // PER_HOST)
        self.hosts = tuple(HostId(f"host-{i}") for i in range(hosts))
        self.vms = tuple(VMId(f"{i:08x}-0000-4000-8000-{i:012x}") for i in range(self.count))
        self.host_of = (np.arange(self.count) % hosts).astype(np.int32)
        self._factor = np.exp(self._random.normal(-1.0, 1.0, self.count))
        self._values = np.zeros((self.count, len(Column)), order="F")
        self._values[:, Column.RUNNING] = 1.0
        self._values[:, Column.VCPUS] = 2.0
        self._values[:, Column.MEMORY_ASSIGNED] = 4 * GIB
        self._values[:, Column.MEMORY_RESIDENT] = 2 * GIB
        self._values[:, Column.MEMORY_USABLE] = 2 * GIB
        self._now = 0.0
        labels = ("gold", "silver", "bronze")
        self.known = {
            vm: VM(
                id=vm,
                name=f"vm-{i}",
                host=self.hosts[self.host_of[i]],
                state=PowerState.RUNNING,
                vcpus=2,
                memory_bytes=int(4 * GIB),
                memory_max_bytes=int(4 * GIB),
                labels={"sla": labels[i % 3]},
            )
            for i, vm in enumerate(self.vms)
        }

    def next(self, attacked: NDArray[np.int64] | None = None) -> UsageFrame:
        """Let a second pass. On each attacked host one VM burns two cores that eight others wait for."""
        growth = self._random.normal(1.0, 0.1, self.count).clip(0.0) * self._factor
        values = self._values.copy(order="F")
        for column, amount in USUAL.items():
            values[:, column] += amount * growth
        for host in [] if attacked is None else attacked.tolist():
            rows = np.flatnonzero(self.host_of == host)
            values[rows[:8], Column.CPU_DELAY] += 0.25
            values[rows[-1], Column.CPU_TIME] += 2.0
        self._values = values
        self._now += 1.0
        return UsageFrame(
            wall=BIRTH + timedelta(seconds=self._now),
            vms=self.vms,
            hosts=self.hosts,
            host_of=self.host_of,
            read_at=np.full(len(self.hosts), self._now),
            values=values,
            host_values=self._host_values(),
        )

    def _host_values(self) -> NDArray[np.float64]:
        values = np.empty((len(self.hosts), len(HostColumn)))
        values[:, HostColumn.CPUS] = 64.0
        values[:, HostColumn.MEMORY_TOTAL] = 512 * GIB
        values[:, HostColumn.MEMORY_FREE] = 256 * GIB
        return values

    def view(self) -> FleetView:
        """Return the fleet as control would know it."""
        kinds = frozenset(LimitKind)
        return FleetView(
            now=BIRTH + timedelta(seconds=self._now),
            vms=self.known,
            classes=STANDARD_CLASSES,
            holds={},
            kinds=dict.fromkeys(self.hosts, kinds),
            can_migrate=frozenset(),
        )
