"""The vSphere driver keeps the kit's promises on VMware's API simulator. It proves API use, never effects."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.drivers.vsphere.by_hand import VCenterByHand
from yamori.capabilities.session import Session
from yamori.drivers.vsphere import DRIVER
from yamori.lab.vsphere import VCenter
from yamori.model.ids import EndpointName, VMId
from yamori.model.limits import LimitKind
from yamori.model.vm import VM
from yamori.testing.conformance.changes import ChangesContract
from yamori.testing.conformance.inventory import InventoryContract
from yamori.testing.conformance.limits import LimitsContract
from yamori.testing.conformance.migration import MigrationContract
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.pinning import PinningContract
from yamori.testing.conformance.power import PowerContract
from yamori.testing.conformance.support import SupportContract
from yamori.testing.conformance.usage import UsageContract


async def connect(vcenter: VCenter) -> Session:
    return await DRIVER.connect(
        EndpointName("vcenter"),
        DRIVER.settings(**{k: v for k, v in vcenter.endpoint().items() if k not in ("name", "driver")}),
    )


class Whole:
    """One vCenter for all classes; a VM on a host outside of its cluster for each test."""

    variant = "simulated"

    @pytest.fixture
    def vm(self, vcenter: VCenter) -> Iterator[VMId]:
        by_hand = VCenterByHand(vcenter)
        vm = by_hand.create()
        yield vm
        by_hand.destroy(vm)
        by_hand.close()

    @pytest.fixture
    async def session(self, vcenter: VCenter, vm: VMId) -> AsyncIterator[Session]:
        session = await connect(vcenter)
        yield session
        await session.close()

    @pytest.fixture
    async def second(self, vcenter: VCenter, vm: VMId) -> AsyncIterator[Session]:
        session = await connect(vcenter)
        yield session
        await session.close()

    @pytest.fixture
    def eventually(self) -> Eventually:
        return Eventually()


class TestInventory(Whole, InventoryContract): ...


class TestChanges(Whole, ChangesContract): ...


class TestUsage(Whole, UsageContract): ...


class TestLimits(Whole, LimitsContract):
    def samples(self, kind: LimitKind, vm: VM) -> tuple[float, float]:
        if kind is LimitKind.NET_OUT:
            return 2_000_000.0, 1_000_000.0  # whole Mbit/s
        return super().samples(kind, vm)


class TestPinning(Whole, PinningContract): ...


class TestPower(Whole, PowerContract): ...


class TestSupport(Whole, SupportContract): ...


class TestMigration(Whole, MigrationContract):
    """The simulator cannot prove that a move is encrypted, so none is offered: only the absence is proven."""

    @pytest.fixture
    def destination(self, second: Session) -> Session:
        return second

    @pytest.fixture
    def storage(self) -> None:
        pytest.skip("absent: moves")

    @pytest.fixture
    def slow_bytes_s(self) -> int:
        return 1_000_000
