"""One simulated fleet of two hosts, on which steps are carried out."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from yamori.drivers.simulator import HostShape, SimulatorSession, VMShape, World, WorldShape
from yamori.manifest.module import FleetView, Hold, StepContext
from yamori.model.actions import Throttle
from yamori.model.ids import EndpointName, HostId
from yamori.model.limits import LimitKind
from yamori.model.sla import STANDARD_CLASSES

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Bench:
    """One simulated fleet of two hosts, and the contexts in which steps run on its third, bronze VM."""

    world: World = field(
        default_factory=lambda: World(
            WorldShape(
                hosts=2,
                vms_per_host=4,
                host=HostShape(cpus=4),
                vm=VMShape(vcpus=2, memory_bytes=2 << 30),
                step_s=0.5,
            )
        )
    )
    hold: Hold | None = None
    without: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.a = SimulatorSession(self.world, EndpointName("a"), hosts=["host-0"], without=self.without)
        self.b = SimulatorSession(self.world, EndpointName("b"), hosts=["host-1"])
        self.gold, self.silver, self.vm = self.world.vms("host-0")[:3]

    async def context(self, *, landing=False):
        listing = await self.a.sensing.inventory.read()
        mover = self.b.acting.migration
        return StepContext(
            key="run-1",
            sensing=self.a.sensing,
            acting=self.a.acting,
            view=FleetView(
                now=NOW,
                vms={vm.id: vm for vm in listing.vms},
                classes=STANDARD_CLASSES,
                holds={},
                kinds={HostId("a"): frozenset(LimitKind)},
                can_migrate=frozenset(),
            ),
            hold=self.hold,
            landing=await mover.landing(self.vm, HostId("b")) if landing else None,
            destination=self.b.sensing if landing else None,
        )

    async def limits(self, kind):
        return (await self.a.sensing.limits.read(self.vm)).values[kind]

    def throttle(self, limits, vm=None):
        return Throttle(vm=vm or self.vm, limits=limits, expires_after_s=60.0)

    def held(self, asked, before):
        self.hold = Hold(
            vm=self.vm,
            before=before,
            asked=asked,
            since=NOW,
            expires_at=NOW + timedelta(seconds=60),
            run="run-0",
            finding_key="k",
        )
