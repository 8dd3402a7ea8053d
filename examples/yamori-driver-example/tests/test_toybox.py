"""The driver keeps Yamori's promises: it inherits the conformance kit for all that it claims."""

from collections.abc import AsyncIterator

import pytest
from yamori_toybox import DRIVER
from yamori_toybox.session import ToyboxSession
from yamori_toybox.settings import ToyboxSettings
from yamori_toybox.toybox import open_box

from yamori.model.ids import EndpointName, VMId
from yamori.testing.conformance.inventory import InventoryContract
from yamori.testing.conformance.limits import LimitsContract
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.pinning import PinningContract
from yamori.testing.conformance.power import PowerContract
from yamori.testing.conformance.support import SupportContract
from yamori.testing.conformance.usage import UsageContract


class Toybox:
    @pytest.fixture
    def settings(self, request: pytest.FixtureRequest) -> ToyboxSettings:
        return ToyboxSettings(address=request.node.nodeid[-150:])

    @pytest.fixture
    async def session(self, settings: ToyboxSettings) -> AsyncIterator[ToyboxSession]:
        session = await DRIVER.connect(EndpointName("box"), settings)
        assert isinstance(session, ToyboxSession)
        yield session
        await session.close()

    @pytest.fixture
    async def second(self, settings: ToyboxSettings) -> AsyncIterator[ToyboxSession]:
        session = await DRIVER.connect(EndpointName("box"), settings)
        assert isinstance(session, ToyboxSession)
        yield session
        await session.close()

    @pytest.fixture
    def vm(self, settings: ToyboxSettings) -> VMId:
        return VMId(str(open_box(settings.address).describe()[0]["serial"]).lower())

    @pytest.fixture
    def eventually(self) -> Eventually:
        return Eventually()


class TestInventory(Toybox, InventoryContract): ...


class TestUsage(Toybox, UsageContract): ...


class TestPower(Toybox, PowerContract): ...


class TestLimits(Toybox, LimitsContract): ...


class TestPinning(Toybox, PinningContract): ...


class TestSupport(Toybox, SupportContract): ...
