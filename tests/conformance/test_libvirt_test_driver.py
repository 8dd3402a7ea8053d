"""libvirt's built-in test driver keeps the kit's promises as far as it reaches. No root, no hypervisor."""

import itertools
from collections.abc import AsyncIterator, Iterator

import libvirt
import pytest

from yamori.capabilities.session import Session
from yamori.drivers.libvirt import DRIVER
from yamori.drivers.libvirt.connection import start_event_loop
from yamori.model.ids import EndpointName, VMId
from yamori.testing.conformance.changes import ChangesContract
from yamori.testing.conformance.inventory import InventoryContract
from yamori.testing.conformance.limits import LimitsContract
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.pinning import PinningContract
from yamori.testing.conformance.power import PowerContract
from yamori.testing.conformance.support import SupportContract
from yamori.testing.conformance.usage import UsageContract

URI = "test:///default"
_NUMBERS = itertools.count(1)
_XML = """<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>512</memory><vcpu>2</vcpu>
<os><type>hvm</type></os><devices><disk type='file' device='disk'><source file='/guest/{name}.img'/>
<target dev='vda' bus='virtio'/></disk><interface type='network'><mac address='52:54:00:00:00:01'/>
<source network='default'/></interface><memballoon model='virtio'/></devices></domain>"""


class Whole:
    """One world a process: what lives as long as any connection to it does."""

    @pytest.fixture
    def vm(self) -> Iterator[VMId]:
        number = next(_NUMBERS)
        uuid = f"aaaaaaaa-0000-4000-8000-{number:012d}"
        start_event_loop()
        by_hand = libvirt.open(URI)
        domain = by_hand.defineXML(_XML.format(name=f"kit-{number}", uuid=uuid))
        domain.create()
        yield VMId(uuid)
        if domain.isActive():
            domain.destroy()
        domain.undefine()
        by_hand.close()

    async def _connect(self) -> Session:
        return await DRIVER.connect(EndpointName("built-in"), DRIVER.settings(uri=URI))

    @pytest.fixture
    async def session(self, vm: VMId) -> AsyncIterator[Session]:
        session = await self._connect()
        yield session
        await session.close()

    @pytest.fixture
    async def second(self, vm: VMId) -> AsyncIterator[Session]:
        session = await self._connect()
        yield session
        await session.close()

    @pytest.fixture
    def eventually(self) -> Eventually:
        return Eventually()


class TestInventory(Whole, InventoryContract): ...


class TestChanges(Whole, ChangesContract): ...


class TestUsage(Whole, UsageContract): ...


class TestLimits(Whole, LimitsContract): ...


class TestPinning(Whole, PinningContract): ...


class TestPower(Whole, PowerContract): ...


class TestSupport(Whole, SupportContract): ...
