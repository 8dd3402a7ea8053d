"""Real QEMU behind real libvirt keeps the kit's promises: limits by effect, moves over the wire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.by_hand import ByHand
from tests.lab_session import settings_of
from yamori.capabilities.session import Session
from yamori.drivers.libvirt import DRIVER
from yamori.lab.attack import AttackKind
from yamori.lab.lab import Lab
from yamori.lab.spec import GuestPlan, Storage
from yamori.model.errors import Failed
from yamori.model.ids import EndpointName, VMId
from yamori.model.migration import StorageMode
from yamori.testing.conformance.broken_move import BrokenMoveContract
from yamori.testing.conformance.changes import ChangesContract
from yamori.testing.conformance.effects import EffectsContract
from yamori.testing.conformance.inventory import InventoryContract
from yamori.testing.conformance.limits import LimitsContract
from yamori.testing.conformance.migration import MigrationContract
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.pinning import PinningContract
from yamori.testing.conformance.power import PowerContract
from yamori.testing.conformance.support import SupportContract
from yamori.testing.conformance.usage import UsageContract

pytestmark = pytest.mark.lab

HOME, AWAY = "host-a", "host-b"
ATTACK_SECONDS = 120


async def open_session(lab: Lab, host: str) -> Session:
    return await DRIVER.connect(EndpointName(host), settings_of(lab, host))


class GuestLoad:
    """Tells the software in the lab's guests what to do."""

    def __init__(self, lab: Lab, plan: GuestPlan, eventually: Eventually) -> None:
        self._lab = lab
        self._plan = plan
        self._eventually = eventually

    async def burn(self, vm: VMId, resource: str) -> None:
        assert vm == self._plan.uuid

        async def begun() -> bool:
            try:
                await self._lab.attack(self._plan.name, AttackKind(resource), seconds=ATTACK_SECONDS)
            except Failed:
                return False  # it boots
            return True

        await self._eventually(begun, f"{self._plan.name} burns {resource}")

    async def rest(self, vm: VMId) -> None:
        assert vm == self._plan.uuid
        await self._lab.stop_attack(self._plan.name)


class Whole:
    """Two hosts of the lab; the VM comes home after each test."""

    storage_of_vm = Storage.ARRAY

    @pytest.fixture
    def plan(self, lab: Lab) -> GuestPlan:
        return next(p for p in lab.spec.guests() if p.host == HOME and p.storage is self.storage_of_vm)

    @pytest.fixture
    def vm(self, plan: GuestPlan, by_hand: ByHand) -> Iterator[VMId]:
        vm = VMId(plan.uuid)
        by_hand.bring_home(vm)
        yield vm
        by_hand.bring_home(vm)

    @pytest.fixture
    async def session(self, lab: Lab) -> AsyncIterator[Session]:
        session = await open_session(lab, HOME)
        yield session
        await session.close()

    @pytest.fixture
    async def second(self, lab: Lab) -> AsyncIterator[Session]:
        session = await open_session(lab, HOME)
        yield session
        await session.close()

    @pytest.fixture
    async def destination(self, lab: Lab) -> AsyncIterator[Session]:
        session = await open_session(lab, AWAY)
        yield session
        await session.close()

    @pytest.fixture
    def eventually(self) -> Eventually:
        return Eventually(tries=900)  # three minutes: a balloon on a busy machine takes its time

    @pytest.fixture
    def storage(self) -> StorageMode:
        return StorageMode.SHARED if self.storage_of_vm is Storage.ARRAY else StorageMode.COPIED

    @pytest.fixture
    def slow_bytes_s(self) -> int:
        return 8 << 20

    @pytest.fixture
    def break_move(self, by_hand: ByHand, plan: GuestPlan) -> Callable[[], Awaitable[None]]:
        async def broken() -> None:
            await asyncio.to_thread(by_hand.kill_arriving, plan.name, AWAY)

        return broken

    @pytest.fixture
    async def load(self, lab: Lab, plan: GuestPlan, eventually: Eventually) -> GuestLoad:
        return GuestLoad(lab, plan, eventually)


class TestInventory(Whole, InventoryContract): ...


class TestChanges(Whole, ChangesContract): ...


class TestUsage(Whole, UsageContract): ...


class TestLimits(Whole, LimitsContract): ...


class TestPinning(Whole, PinningContract): ...


class TestPower(Whole, PowerContract): ...


class TestSupport(Whole, SupportContract): ...


class TestEffects(Whole, EffectsContract): ...


class TestMigrationOfSharedStorage(Whole, BrokenMoveContract): ...


class TestMigrationOfCopiedStorage(Whole, MigrationContract):
    storage_of_vm = Storage.LOCAL
