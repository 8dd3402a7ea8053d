"""The simulator keeps every promise of the kit: complete, and with features taken away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from yamori.drivers.simulator import Demand, Fault, HostShape, SimulatorSession, VMShape, World, WorldShape
from yamori.model.errors import Unreachable
from yamori.model.ids import EndpointName, VMId
from yamori.model.migration import StorageMode
from yamori.model.support import FEATURES
from yamori.testing.conformance.broken_move import BrokenMoveContract
from yamori.testing.conformance.changes import ChangesContract
from yamori.testing.conformance.effects import EffectsContract
from yamori.testing.conformance.expiry import ExpiryContract
from yamori.testing.conformance.inventory import InventoryContract
from yamori.testing.conformance.limits import LimitsContract
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.pinning import PinningContract
from yamori.testing.conformance.power import PowerContract
from yamori.testing.conformance.standing_still import StandingStillContract
from yamori.testing.conformance.support import SupportContract
from yamori.testing.conformance.usage import UsageContract

STEP_S = 0.5
LOADS = {
    "cpu": Demand(cpu_cores=2.0),
    "memory": Demand(working_set_bytes=2e9, touch_bytes_s=1e9),
    "disk": Demand(disk_read_iops=2000, disk_write_iops=1000),
    "network": Demand(net_rx_bytes_s=5e7, net_tx_bytes_s=5e7),
}


class SimulatedLoad:
    def __init__(self, world: World) -> None:
        self._world = world

    async def burn(self, vm: VMId, resource: str) -> None:
        self._world.set_demand(vm, LOADS[resource])

    async def rest(self, vm: VMId) -> None:
        self._world.set_demand(vm, Demand())


class Whole:
    """The simulator with everything it can do."""

    @pytest.fixture
    def world(self) -> World:
        return World(WorldShape(hosts=2, vms_per_host=4, host=HostShape(cpus=4), step_s=STEP_S))

    @pytest.fixture
    def without(self) -> dict[str, str]:
        return {}

    @pytest.fixture
    async def session(self, world: World, without: dict[str, str]) -> AsyncIterator[SimulatorSession]:
        session = SimulatorSession(world, EndpointName("alpha"), hosts=["host-0"], without=without)
        yield session
        await session.close()

    @pytest.fixture
    async def second(self, world: World, without: dict[str, str]) -> AsyncIterator[SimulatorSession]:
        session = SimulatorSession(world, EndpointName("alpha"), hosts=["host-0"], without=without)
        yield session
        await session.close()

    @pytest.fixture
    async def destination(self, world: World, without: dict[str, str]) -> AsyncIterator[SimulatorSession]:
        session = SimulatorSession(world, EndpointName("beta"), hosts=["host-1"], without=without)
        yield session
        await session.close()

    @pytest.fixture
    def vm(self, world: World) -> VMId:
        return world.vms("host-0")[0]

    @pytest.fixture
    def eventually(self, world: World) -> Eventually:
        async def pause() -> None:
            world.advance(STEP_S)
            for _ in range(3):
                await asyncio.sleep(0)

        return Eventually(pause=pause, pause_s=STEP_S)

    @pytest.fixture
    def storage(self) -> StorageMode:
        return StorageMode.SHARED

    @pytest.fixture
    def slow_bytes_s(self) -> int:
        return 40_000_000

    @pytest.fixture
    def break_move(self, world: World) -> Callable[[], Awaitable[None]]:
        async def broken() -> None:
            world.faults.add(Fault(operation="migration.run", raises=Unreachable, at_progress=0.0))

        return broken

    @pytest.fixture
    def load(self, world: World) -> SimulatedLoad:
        return SimulatedLoad(world)


class TestInventory(Whole, InventoryContract): ...


class TestChanges(Whole, ChangesContract): ...


class TestUsage(Whole, UsageContract): ...


class TestLimits(Whole, LimitsContract): ...


class TestExpiry(Whole, ExpiryContract): ...


class TestPinning(Whole, PinningContract): ...


class TestPower(Whole, PowerContract): ...


class TestMigration(Whole, BrokenMoveContract): ...


class TestEffects(Whole, EffectsContract): ...


class TestSupport(Whole, SupportContract): ...


class Copied(Whole):
    """Hosts that do not share their disks."""

    @pytest.fixture
    def world(self) -> World:
        return World(WorldShape(hosts=2, vms_per_host=4, shared_storage=False, step_s=STEP_S))

    @pytest.fixture
    def storage(self) -> StorageMode:
        return StorageMode.COPIED

    @pytest.fixture
    def slow_bytes_s(self) -> int:
        return 1_000_000_000


class TestMigrationWithDisks(Copied, BrokenMoveContract): ...


class Still(Whole):
    """Guests that stand still while they are sent."""

    @pytest.fixture
    def world(self) -> World:
        return World(WorldShape(hosts=2, vms_per_host=4, vm=VMShape(moves_live=False), step_s=STEP_S))


class TestMigrationOfTheStill(Still, StandingStillContract): ...


class TestBrokenMigrationOfTheStill(Still, BrokenMoveContract):
    live = False
    variant = None


class Headlong(Whole):
    """Moves that can neither be bounded nor stopped, as some hypervisors have them."""

    variant = None

    @pytest.fixture
    def world(self) -> World:
        slow = HostShape(cpus=4, migration_bandwidth=40_000_000)
        return World(WorldShape(hosts=2, vms_per_host=4, host=slow, step_s=STEP_S))

    @pytest.fixture
    def without(self) -> dict[str, str]:
        return dict.fromkeys(("migration.cancel", "migration.bandwidth"), "taken away for the test")

    @pytest.fixture
    def slow_bytes_s(self) -> int:
        raise AssertionError("no test asks how slow a move shall be that cannot be bounded")


class TestMigrationHeadlong(Headlong, BrokenMoveContract): ...


class TestSupportHeadlong(Headlong, SupportContract): ...


class HeadlongAndFast(Headlong):
    """The same, over before anybody can look."""

    @pytest.fixture
    def world(self) -> World:
        fast = HostShape(cpus=4, migration_bandwidth=1e12)
        return World(WorldShape(hosts=2, vms_per_host=4, host=fast, step_s=STEP_S))


class TestMigrationHeadlongAndFast(HeadlongAndFast, BrokenMoveContract): ...


class StillAndHeadlong(Headlong):
    """Both together: what a paravirtual guest of a hypervisor without an agent beside it is like."""

    @pytest.fixture
    def world(self) -> World:
        slow = HostShape(cpus=4, migration_bandwidth=40_000_000)
        still = VMShape(moves_live=False)
        return World(WorldShape(hosts=2, vms_per_host=4, host=slow, vm=still, step_s=STEP_S))


class TestMigrationOfTheStillHeadlong(StillAndHeadlong, StandingStillContract): ...


class Poor(Whole):
    """The simulator with all features but a few taken away."""

    variant = None

    @pytest.fixture
    def without(self) -> dict[str, str]:
        kept = {"inventory", "usage", "power", "limits.cpu_cap", "limits.memory"}
        return {feature: "taken away for the test" for feature in FEATURES if feature not in kept}


class TestInventoryOfThePoor(Poor, InventoryContract): ...


class TestChangesOfThePoor(Poor, ChangesContract): ...


class TestUsageOfThePoor(Poor, UsageContract): ...


class TestLimitsOfThePoor(Poor, LimitsContract): ...


class TestPinningOfThePoor(Poor, PinningContract): ...


class TestPowerOfThePoor(Poor, PowerContract): ...


class TestMigrationOfThePoor(Poor, BrokenMoveContract): ...


class TestEffectsOfThePoor(Poor, EffectsContract): ...


class TestSupportOfThePoor(Poor, SupportContract): ...


class Bare(Whole):
    """Nothing but the inventory."""

    variant = None

    @pytest.fixture
    def without(self) -> dict[str, str]:
        return {feature: "taken away for the test" for feature in FEATURES if feature != "inventory"}


class TestInventoryOfTheBare(Bare, InventoryContract): ...


class TestUsageOfTheBare(Bare, UsageContract): ...


class TestLimitsOfTheBare(Bare, LimitsContract): ...


class TestPinningOfTheBare(Bare, PinningContract): ...


class TestPowerOfTheBare(Bare, PowerContract): ...


class TestMigrationOfTheBare(Bare, BrokenMoveContract): ...


class TestSupportOfTheBare(Bare, SupportContract): ...
