"""A whole Yamori in this process, over a simulated fleet whose time runs fast."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from yamori import wiring
from yamori.control.configuration import configure
from yamori.demo.simulated import SimulatedClock
from yamori.drivers.simulator import HostShape, VMShape, World, WorldShape
from yamori.drivers.simulator.session import world_named
from yamori.model.ids import VMId

GIB = 1 << 30
SPEED = 10.0
T = TypeVar("T")
_names = (f"scenario-{number}" for number in itertools.count())

ENFORCE = """
version: 1
rules:
  - {id: hold, when: {verb: throttle, vm: {sla: [bronze, silver]}}, decision: allow, mode: enforce}
  - {id: move, when: {verb: migrate}, decision: allow, mode: enforce}
"""


class SimulatedFleet:
    """Two endpoints, alpha and beta, of one world. It outlives the services that are started on it."""

    def __init__(self, *, vms_per_host: int = 4) -> None:
        self.name = next(_names)
        self.world: World = world_named(
            self.name,
            WorldShape(
                hosts=2,
                vms_per_host=vms_per_host,
                host=HostShape(cpus=4, memory_bytes=16 * GIB, disk_iops=4000.0),
                vm=VMShape(vcpus=4, memory_bytes=2 * GIB),
                step_s=0.1,
                seed=7,
                sla=("bronze", "silver", "gold", "bronze"),
            ),
        )

    def vms(self, host: str) -> tuple[VMId, ...]:
        return self.world.vms(host)

    @contextlib.asynccontextmanager
    async def service(
        self, state_dir: Path, *, policy: str = ENFORCE, modules: dict[str, Any] | None = None
    ) -> AsyncIterator[wiring.Service]:
        fleet = {
            "tick_s": 1.0 / SPEED,
            "modules": {"guard": {}} if modules is None else modules,
            "endpoints": [
                {
                    "name": name,
                    "driver": "simulator",
                    "world": self.name,
                    "hosts": [f"host-{number}"],
                    "follow": SPEED,
                }
                for number, name in enumerate(("alpha", "beta"))
            ],
        }
        async with wiring.service(
            configure(json.dumps(fleet), "test"),
            policy_text=policy,
            policy_source="test policy",
            state_dir=state_dir,
            listen="127.0.0.1:0",
            clock=SimulatedClock(self.world),
        ) as service:
            await until(lambda: _in_view(service, 2))
            yield service


async def _in_view(service: wiring.Service, endpoints: int) -> bool:
    up = [e for e in service.facade.endpoints() if e.contact.value == "up" and e.hosts]
    return len(up) == endpoints and any(v.rates["cpu_cores"] is not None for v in service.facade.vms())


async def until(look: Callable[[], Awaitable[T | None]], *, limit_s: float = 30.0) -> T:
    """Look until something is found; fails after a generous real time."""
    async with asyncio.timeout(limit_s):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.02)
