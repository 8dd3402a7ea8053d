"""The stage without root and without a hypervisor: the simulator's world, whose time runs faster than ours."""

import asyncio
import bisect
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

import numpy as np

from yamori.control.facade import Facade
from yamori.demo.stage import Progress, Service
from yamori.drivers.simulator import Demand, HostShape, VMShape, World, WorldShape
from yamori.drivers.simulator.columns import State
from yamori.drivers.simulator.session import world_named
from yamori.model.change import ChangeKind
from yamori.model.ids import VMId

GIB = 1024**3
SAMPLE_S = 0.1
"""Simulated seconds between two requests of the client that measures the guests' service."""
WARM_S = 10.0
"""Simulated seconds in which the guests fetch their working sets."""
NAMES = ("shop", "mail", "wiki", "build")
CLASSES = ("gold", "silver", "silver", "bronze")
OFFENDER = "build-1"
SERVING = Demand(cpu_cores=0.8, working_set_bytes=1.5 * GIB, touch_bytes_s=0.5 * GIB)
ATTACKS = {
    "cpu": Demand(cpu_cores=8.0),
    "memory": Demand(cpu_cores=1.0, working_set_bytes=float(10 * GIB), touch_bytes_s=float(2 * GIB)),
    "disk": Demand(disk_read_iops=30_000.0),
}


POLICY = """
version: 1
description: The guard holds bronze and silver offenders.
brakes:
  every: {window: {within: 5m, fleet: 60, host: 30}}
  adjustments: 120
rules:
  - {id: hold, when: {verb: throttle, module: guard, vm: {sla: [bronze, silver]}}, decision: allow, mode: enforce}
"""


class SimulatedClock:
    """The world's time, for control: fulfils the workflow's Clock."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        """Return the simulated wall time."""
        return self._world.clock.wall

    def monotonic(self) -> float:
        """Return simulated seconds."""
        return self._world.clock.now

    async def sleep(self, seconds: float) -> None:
        """Wait in simulated time."""
        await self._world.clock.sleep(seconds)


class SimulatedStage:
    """Two hosts with four VMs each. ``speed`` is how many seconds pass there in one of ours."""

    def __init__(self, *, speed: float, seed: int) -> None:
        self._speed = speed
        shape = WorldShape(
            hosts=2,
            vms_per_host=0,
            host=HostShape(cpus=4, memory_bytes=10 * GIB, disk_iops=4000.0),
            vm=VMShape(vcpus=2, memory_bytes=2 * GIB),
            step_s=0.1,
            seed=seed,
        )
        self._name = f"demo-{uuid4()}"
        self._world = world_named(self._name, shape)
        self._ids: dict[str, VMId] = {}
        self._times: list[float] = []
        self._latencies: list[np.ndarray[Any, np.dtype[np.float64]]] = []
        self._client: asyncio.Task[None] | None = None

    @property
    def title(self) -> str:
        """What this stage is."""
        return "simulator: 2 hosts, 8 VMs (simulated effects, simulated time)"

    @property
    def clock(self) -> SimulatedClock:
        """The clock for control."""
        return SimulatedClock(self._world)

    async def up(self, progress: Progress) -> None:
        """Define and start the VMs."""
        progress("building the simulated world", 0.0)
        for host in range(2):
            for name, sla in zip(NAMES, CLASSES, strict=True):
                full = f"{name}-{host + 1}"
                shape = VMShape(vcpus=8, memory_bytes=10 * GIB) if full == OFFENDER else None
                labels = {"sla": sla, "tenant": name}
                vm = self._world.define(f"host-{host}", name=full, shape=shape, labels=labels)
                self._world.set_state(vm, State.RUNNING, ChangeKind.STARTED)
                self._world.set_demand(vm, SERVING)
                self._ids[full] = vm
        self._calm(OFFENDER)
        self._world.advance(WARM_S)
        self._client = asyncio.create_task(self._ask_forever(), name="client of the simulated services")
        progress("the simulated world runs", 1.0)

    def fleet(self) -> dict[str, Any]:
        """Return the configuration."""
        return {
            "tick_s": max(0.1, 1.0 / self._speed),
            "recording": {"enabled": False},
            "endpoints": [
                {
                    "name": f"sim-{host + 1}",
                    "driver": "simulator",
                    "world": self._name,
                    "hosts": [f"host-{host}"],
                    "follow": float(self._speed),
                }
                for host in range(2)
            ],
        }

    async def join(self, facade: Facade, progress: Progress) -> None:
        """Nothing: a simulated host lacks nothing."""

    def policy(self) -> str:
        """Return a policy with the standard classes: simulated hosts are as good as real ones should be."""
        return POLICY

    def offenders(self) -> Mapping[str, str]:
        """Return who turns noisy."""
        return dict.fromkeys(ATTACKS, OFFENDER)

    async def attack(self, vm: str, kind: str) -> None:
        """Let a VM demand far more than its share."""
        self._world.set_demand(self._ids[vm], ATTACKS[kind])

    async def stop_attack(self, vm: str) -> None:
        """Let it be quiet again."""
        self._calm(vm)

    def service(self, vm: str, since: float, until: float) -> Service:
        """Return what a client measured between two moments."""
        first, last = bisect.bisect_left(self._times, since), bisect.bisect_right(self._times, until)
        column = list(self._ids).index(vm)
        found = np.array([row[column] for row in self._latencies[first:last]], dtype=float)
        answered = found[~np.isnan(found)]
        return Service(
            asked=len(found),
            answered=len(answered),
            p50_s=float(np.percentile(answered, 50)) if len(answered) else None,
            p95_s=float(np.percentile(answered, 95)) if len(answered) else None,
        )

    def now(self) -> float:
        """Return simulated seconds."""
        return self._world.clock.now

    async def sleep(self, seconds: float) -> None:
        """Wait in simulated time."""
        await self._world.clock.sleep(seconds)

    async def down(self) -> tuple[str, ...]:
        """Stop the client; nothing outside of this process was made."""
        if self._client is not None:
            self._client.cancel()
            await asyncio.gather(self._client, return_exceptions=True)
            self._client = None
        return ()

    def _calm(self, vm: str) -> None:
        self._world.set_demand(self._ids[vm], Demand(cpu_cores=0.2, working_set_bytes=0.5 * GIB))

    async def _ask_forever(self) -> None:
        vms = list(self._ids.values())
        while True:
            await self._world.clock.sleep(SAMPLE_S)
            self._times.append(self._world.clock.now)
            self._latencies.append(self._world.service_latencies(vms))
