"""Sessions to the lab, and guests that come home after each test."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.by_hand import ByHand
from tests.lab_session import settings_of
from yamori.capabilities.session import Session
from yamori.drivers.libvirt import DRIVER
from yamori.lab.lab import Lab
from yamori.lab.spec import GuestPlan, Storage
from yamori.model.ids import EndpointName, VMId
from yamori.testing.conformance.patience import Eventually

HOME, AWAY = "host-a", "host-b"
Open = Callable[..., Awaitable[Session]]


@pytest.fixture
async def open_session(lab: Lab) -> AsyncIterator[Open]:
    """Open sessions to hosts of the lab; they are closed at the end."""
    opened: list[Session] = []

    async def open_one(host: str, **more: object) -> Session:
        session = await DRIVER.connect(EndpointName(host), settings_of(lab, host, **more))
        opened.append(session)
        return session

    yield open_one
    for session in opened:
        await session.close()


@pytest.fixture
async def here(open_session: Open) -> Session:
    """A session to the guest's own host."""
    return await open_session(HOME)


@pytest.fixture
async def there(open_session: Open) -> Session:
    """A session to the other host."""
    return await open_session(AWAY)


@pytest.fixture
def plan(lab: Lab) -> GuestPlan:
    """The guest on shared storage."""
    return next(p for p in lab.spec.guests() if p.host == HOME and p.storage is Storage.ARRAY)


@pytest.fixture
def vm(plan: GuestPlan, by_hand: ByHand) -> Iterator[VMId]:
    """The same, running at home before and after the test."""
    vm = VMId(plan.uuid)
    by_hand.bring_home(vm)
    yield vm
    by_hand.bring_home(vm)


@pytest.fixture
def eventually() -> Eventually:
    """Patience for a busy machine: one and a half minutes."""
    return Eventually(tries=450)
