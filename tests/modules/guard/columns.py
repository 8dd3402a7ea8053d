"""Readings made by hand: a few VMs, per-second amounts, one tick after the other."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.manifest.module import FleetView, Hold
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.sla import STANDARD_CLASSES
from yamori.model.vm import VM, Disk, PowerState
from yamori.modules.guard.assess import assess
from yamori.modules.guard.memory import GuardMemory
from yamori.modules.guard.respond import respond
from yamori.modules.guard.sense import Observation
from yamori.modules.guard.settings import GuardSettings

GIB = 2.0**30
BIRTH = datetime(2026, 1, 1, tzinfo=UTC)
CALM = {
    Column.CPU_TIME: 0.3,
    Column.CPU_DELAY: 0.002,
    Column.DISK_READ_OPS: 20.0,
    Column.DISK_READ_BYTES: 80_000.0,
    Column.DISK_READ_TIME: 0.02,
    Column.NET_RX_PACKETS: 200.0,
    Column.NET_TX_PACKETS: 200.0,
    Column.NET_TX_BYTES: 100_000.0,
}


@dataclass
class Theatre:
    """VMs by name, each ``name:class`` on a host, and the guard that looks at them."""

    cast: dict[str, str]
    hosts: dict[str, str] = field(default_factory=dict)
    settings: GuardSettings = field(default_factory=GuardSettings)
    vcpus: float = 1.0
    now: float = 0.0
    memory: GuardMemory = field(default_factory=GuardMemory)
    holds: dict[VMId, Hold] = field(default_factory=dict)
    kinds: frozenset[LimitKind] = frozenset(LimitKind)
    can_migrate: frozenset[HostId] = frozenset()
    drifted: frozenset[VMId] = frozenset()
    moving: frozenset[VMId] = frozenset()
    order: list[str] | None = None
    dark: set[str] = field(default_factory=set)

    def __post_init__(self):
        self.counters = {name: np.zeros(len(Column)) for name in self.cast}
        self._vms = {
            VMId(name): VM(
                id=VMId(name),
                name=name,
                host=HostId(self.hosts.get(name, "h")),
                state=PowerState.RUNNING,
                vcpus=1,
                memory_bytes=int(GIB),
                memory_max_bytes=int(GIB),
                disks=(Disk(target="vda", capacity_bytes=1),),
                labels={"sla": sla} if sla else {},
            )
            for name, sla in self.cast.items()
        }

    def view(self):
        return FleetView(
            now=BIRTH + timedelta(seconds=self.now),
            vms=self._vms,
            classes=STANDARD_CLASSES,
            holds=dict(self.holds),
            kinds=dict.fromkeys({HostId(h) for h in [*self.hosts.values(), "h"]}, self.kinds),
            can_migrate=self.can_migrate,
            moving=self.moving,
            drifted=self.drifted,
        )

    def frame(self):
        names = [n for n in (self.order or list(self.cast)) if self.hosts.get(n, "h") not in self.dark]
        hosts = sorted({self.hosts.get(n, "h") for n in names})
        values = np.array([self.counters[n] for n in names]) if names else np.empty((0, len(Column)))
        told = np.empty((len(hosts), len(HostColumn)))
        told[:] = [4.0, 16 * GIB, 8 * GIB]
        return UsageFrame(
            wall=BIRTH + timedelta(seconds=self.now),
            vms=tuple(VMId(n) for n in names),
            hosts=tuple(HostId(h) for h in hosts),
            host_of=np.array([hosts.index(self.hosts.get(n, "h")) for n in names], np.int32),
            read_at=np.full(len(hosts), self.now),
            values=values,
            host_values=told,
        )

    def tick(self, changed=None, unknown=(), seconds=1.0):
        """Let a second pass with the calm amounts, changed for some VMs; return findings and proposals."""
        self.now += seconds
        for name, row in self.counters.items():
            amounts = {**CALM, **(changed or {}).get(name, {})}
            for column, amount in amounts.items():
                row[column] += amount * seconds
            row[Column.RUNNING], row[Column.VCPUS] = 1.0, self.vcpus
            row[Column.MEMORY_ASSIGNED], row[Column.MEMORY_RESIDENT] = GIB, GIB / 2
            row[Column.MEMORY_USABLE] = GIB / 2
        frame = self.frame()
        for name, column in unknown:
            frame.values[frame.vms.index(VMId(name)), column] = np.nan
        view = self.view()
        missing = {HostId(h): "unreachable" for h in self.dark}
        self.memory, findings = assess(
            Observation(frame=frame, view=view, missing=missing), self.memory, self.settings
        )
        proposals = [p for f in findings for p in respond(f, view, self.settings)]
        return list(findings), proposals

    def calm(self, ticks=40):
        for _ in range(ticks):
            told = self.tick()
        return told

    def hold(self, name, asked, finding, before=None, expires_s=60.0):
        now = BIRTH + timedelta(seconds=self.now)
        self.holds[VMId(name)] = Hold(
            vm=VMId(name),
            before=before or dict.fromkeys(asked),
            asked=asked,
            since=now,
            expires_at=now + timedelta(seconds=expires_s),
            run="r",
            finding_key=finding,
        )


BURN = {"bad": {Column.CPU_TIME: 1.0, Column.CPU_DELAY: 0.3}}
HURT = {name: {Column.CPU_DELAY: 0.35} for name in ("g", "s")}
ATTACK = {**BURN, **HURT}
