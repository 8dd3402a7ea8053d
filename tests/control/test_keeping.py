"""One endpoint in view: its outages, its defects and its silence are its own."""

import asyncio
from datetime import UTC, datetime

from tests.agent.halves import halves
from yamori.capabilities.session import Session
from yamori.control.facade import Contact
from yamori.control.keeper import Keeper
from yamori.drivers.simulator import Fault, SimulatorSession, World, WorldShape
from yamori.model.change import Change, ChangeKind
from yamori.model.errors import Unreachable
from yamori.model.ids import EndpointName


class Desk:
    """Notes what a keeper tells."""

    def __init__(self) -> None:
        self.readings = 0
        self.changes: list[Change] = []
        self.contacts: list[Contact] = []
        self.news = asyncio.Event()

    def reading(self, keeper: Keeper) -> None:
        self.readings += 1
        self.news.set()

    def change(self, keeper: Keeper, change: Change) -> None:
        self.changes.append(change)
        self.news.set()

    def contact(self, keeper: Keeper) -> None:
        self.contacts.append(keeper.contact)
        self.news.set()

    async def until(self, condition: object) -> None:
        async with asyncio.timeout(20):
            while not condition():  # type: ignore[operator]
                self.news.clear()
                await self.news.wait()


def keeper(desk: Desk, session: Session) -> Keeper:
    return Keeper(
        EndpointName("alpha"),
        "simulator",
        session,
        tick_s=0.02,
        now=lambda: datetime.now(UTC),
        on_reading=desk.reading,
        on_change=desk.change,
        on_contact=desk.contact,
    )


async def test_an_outage_is_told_and_ends_by_itself() -> None:
    session = SimulatorSession(World(WorldShape(hosts=1, vms_per_host=2)), EndpointName("alpha"))
    desk = Desk()
    kept = keeper(desk, session)
    task = asyncio.create_task(kept.run())
    await desk.until(lambda: kept.contact is Contact.UP)
    assert kept.frame is not None
    session.cut()
    await desk.until(lambda: kept.contact is Contact.DOWN)
    assert kept.frame is None
    assert kept.error is not None
    assert len(kept.listing.vms) == 2
    session.mend()
    await desk.until(lambda: kept.contact is Contact.UP)
    assert kept.error is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert desk.contacts == [Contact.UP, Contact.DOWN, Contact.UP]


async def test_usage_that_cannot_be_read_is_a_gap_and_no_outage() -> None:
    world = World(WorldShape(hosts=1, vms_per_host=2))
    native, agent, joined = halves(world)
    desk = Desk()
    kept = keeper(desk, joined)
    task = asyncio.create_task(kept.run())
    await desk.until(lambda: kept.contact is Contact.UP and kept.frame is not None)
    agent.cut()
    await desk.until(lambda: kept.gap is not None)
    assert kept.contact is Contact.UP
    assert kept.frame is None
    assert len(kept.listing.vms) == 2
    await desk.until(lambda: kept.support is not None and kept.support.provisional)
    agent.mend()
    await desk.until(lambda: kept.gap is None and kept.frame is not None)
    await desk.until(lambda: kept.support is not None and not kept.support.provisional)
    native.cut()
    await desk.until(lambda: kept.contact is Contact.DOWN)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert kept.frame is None


async def test_a_vm_that_somebody_defines_is_listed_after_the_change_is_heard() -> None:
    world = World(WorldShape(hosts=1, vms_per_host=1))
    desk = Desk()
    kept = keeper(desk, SimulatorSession(world, EndpointName("alpha")))
    task = asyncio.create_task(kept.run())
    await desk.until(lambda: kept.contact is Contact.UP)
    await asyncio.sleep(0)
    new = world.define("host-0", name="by-hand")
    await desk.until(lambda: any(vm.id == new for vm in kept.listing.vms))
    assert any(change.kind is ChangeKind.DEFINED for change in desk.changes)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_drivers_defect_is_an_outage_of_its_endpoint_and_no_crash() -> None:
    session = SimulatorSession(World(WorldShape(hosts=1, vms_per_host=1)), EndpointName("alpha"))
    desk = Desk()
    kept = keeper(desk, session)

    async def broken() -> None:
        raise ZeroDivisionError("a stranger's mistake")

    session.sensing.usage.read = broken  # type: ignore[union-attr, method-assign, assignment]
    task = asyncio.create_task(kept.run())
    await desk.until(lambda: desk.readings >= 3)
    assert not task.done()
    assert kept.contact is not Contact.UP
    assert "ZeroDivisionError" in (kept.error or "")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_failed_reading_of_usage_is_told_and_does_not_stop_the_next() -> None:
    world = World(WorldShape(hosts=1, vms_per_host=1))
    world.faults.add(Fault(operation="usage.read", after=2, times=1, raises=Unreachable))
    desk = Desk()
    kept = keeper(desk, SimulatorSession(world, EndpointName("alpha")))
    task = asyncio.create_task(kept.run())
    await desk.until(lambda: kept.gap is not None)
    assert kept.contact is Contact.UP
    assert kept.frame is None, "a reading that failed is unknown, not the one before"
    await desk.until(lambda: kept.gap is None and kept.frame is not None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert desk.contacts == [Contact.UP, Contact.UP, Contact.UP], "both turns are told"


async def test_one_failed_listing_does_not_stop_the_next() -> None:
    world = World(WorldShape(hosts=1, vms_per_host=1))
    world.faults.add(Fault(operation="usage.read", after=2, times=1, raises=Unreachable))
    world.faults.add(Fault(operation="inventory.read", after=1, times=1, raises=Unreachable))
    desk = Desk()
    kept = keeper(desk, SimulatorSession(world, EndpointName("alpha")))
    task = asyncio.create_task(kept.run())
    await desk.until(lambda: desk.contacts == [Contact.UP, Contact.DOWN, Contact.UP])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
