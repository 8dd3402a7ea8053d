"""A hypervisor joined with the agent on its host keeps every promise of the kit, as one that lacks nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.agent.halves import halves
from tests.conformance.test_simulator import STEP_S, SimulatedLoad
from yamori.agent.joined import JoinedSession
from yamori.drivers.simulator import World, WorldShape
from yamori.model.ids import VMId
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
