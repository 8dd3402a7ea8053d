"""A hypervisor joined with the agent on its host keeps every promise of the kit, as one that lacks nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.agent.halves import halves
from tests.agent.moving_halves import Way, moving_halves
from tests.conformance.test_simulator import STEP_S, SimulatedLoad
from yamori.agent.joined import JoinedSession
from yamori.drivers.simulator import World, WorldShape
from yamori.model.ids import VMId
from yamori.model.migration import StorageMode
from yamori.testing.conformance.broken_move import BrokenMoveContract
from yamori.testing.conformance.changes import ChangesContract
from yamori.testing.conformance.effects import EffectsContract
from yamori.testing.conformance.expiry import ExpiryContract
from yamori.testing.conformance.inventory import InventoryContract
from yamori.testing.conformance.limits import LimitsContract
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.power import PowerContract
from yamori.testing.conformance.support import SupportContract
from yamori.testing.conformance.usage import UsageContract


class Joined:
    variant = None
    """Simulated halves say nothing of any hypervisor: they stay out of the matrix."""

    @pytest.fixture
    def world(self) -> World:
        return World(WorldShape(hosts=1, vms_per_host=4, step_s=STEP_S))

    @pytest.fixture
    async def session(self, world: World) -> AsyncIterator[JoinedSession]:
        _, _, joined = halves(world)
        await joined.probe()
        yield joined
        await joined.close()

    @pytest.fixture
    async def second(self, world: World) -> AsyncIterator[JoinedSession]:
        _, _, joined = halves(world)
        await joined.probe()
        yield joined
        await joined.close()

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
    def load(self, world: World) -> SimulatedLoad:
        return SimulatedLoad(world)


class TestInventory(Joined, InventoryContract): ...


class TestChanges(Joined, ChangesContract): ...


class TestUsage(Joined, UsageContract): ...


class TestLimits(Joined, LimitsContract): ...


class TestExpiry(Joined, ExpiryContract): ...


class TestPower(Joined, PowerContract): ...


class TestSupport(Joined, SupportContract): ...


class TestEffects(Joined, EffectsContract): ...


class Moving(Joined):
    """The hypervisor sends memory in plaintext, and can neither stop nor bound that: the agent carries it."""

    @pytest.fixture
    def world(self) -> World:
        return World(WorldShape(hosts=2, vms_per_host=4, step_s=STEP_S))

    @pytest.fixture
    def way(self, world: World) -> Way:
        return Way(world)

    @pytest.fixture
    async def session(self, world: World, way: Way) -> AsyncIterator[JoinedSession]:
        _, _, joined = moving_halves(world, way)
        await joined.probe()
        yield joined
        await joined.close()

    @pytest.fixture
    async def second(self, world: World, way: Way) -> AsyncIterator[JoinedSession]:
        _, _, joined = moving_halves(world, way)
        await joined.probe()
        yield joined
        await joined.close()

    @pytest.fixture
    async def destination(self, world: World, way: Way) -> AsyncIterator[JoinedSession]:
        _, _, joined = moving_halves(world, way, "beta", "host-1")
        await joined.probe()
        yield joined
        await joined.close()

    @pytest.fixture
    def storage(self) -> StorageMode:
        return StorageMode.SHARED

    @pytest.fixture
    def slow_bytes_s(self) -> int:
        return 40_000_000

    @pytest.fixture
    def break_move(self, way: Way, vm: VMId) -> Callable[[], Awaitable[None]]:
        async def broken() -> None:
            way.break_off(vm)

        return broken


class TestMigration(Moving, BrokenMoveContract): ...


class TestSupportOfMoving(Moving, SupportContract): ...
