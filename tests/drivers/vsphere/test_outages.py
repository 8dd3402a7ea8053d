"""What happens when the session is ended on the server, and when the server dies, hangs and comes back."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.vsphere.by_hand import VCenterByHand
from tests.drivers.vsphere.conftest import Connect, settings_of, until
from tests.drivers.vsphere.simulated import make
from yamori.drivers.vsphere.session import VSphereSession
from yamori.lab.vsphere import VCenter
from yamori.model.change import Change
from yamori.model.errors import Failed, TimedOut, Unreachable
from yamori.model.vm import PowerState


@pytest.fixture
def own(vcenter_program: Path, tmp_path: Path) -> Iterator[VCenter]:
    """A vCenter that a test may kill."""
    made = make(tmp_path, vcenter_program)
    made.start()
    yield made
    made.thaw()
    made.kill()


def end_sessions(by_hand: VCenterByHand, *, but: str | None = None) -> int:
    """End every session but our own, and but one more."""
    told = by_hand.get(by_hand.content.sessionManager, "sessionList")
    others = [each.key for each in told if each.key not in (by_hand.session.key, but)]
    if others:
        by_hand.content.sessionManager.TerminateSession(others)
    return len(others)


def key_of(session: VSphereSession) -> str:
    link = session.connection.link
    assert link is not None
    return link.wire._cookie.partition("=")[2].strip('"')


def end_session(by_hand: VCenterByHand, session: VSphereSession) -> None:
    by_hand.content.sessionManager.TerminateSession([key_of(session)])


async def test_after_the_session_was_ended_another_is_opened_and_the_call_goes_on(
    session: VSphereSession, by_hand: VCenterByHand
) -> None:
    before = await session.sensing.inventory.read()
    for number in range(2, 5):
        end_session(by_hand, session)
        assert await session.sensing.inventory.read() == before
        assert session.connection.logins == number


async def test_all_who_call_while_the_session_is_ended_are_served_by_one_new_one(
    session: VSphereSession, by_hand: VCenterByHand
) -> None:
    await session.sensing.inventory.read()
    end_session(by_hand, session)
    listings = await asyncio.gather(*(session.sensing.inventory.read() for _ in range(6)))
    assert all(listing == listings[0] for listing in listings)
    assert session.connection.logins == 2


async def test_a_change_of_power_survives_the_end_of_the_session(
    session: VSphereSession, by_hand: VCenterByHand
) -> None:
    power = session.acting.power
    vm = (await session.sensing.inventory.read()).vms[0].id
    assert power is not None
    try:
        end_session(by_hand, session)
        await power.pause(vm)
        assert (await session.sensing.inventory.vm(vm)).state is PowerState.PAUSED
    finally:
        await power.resume(vm)
    end_session(by_hand, session)
    frame = await session.sensing.usage.read() if session.sensing.usage is not None else None
    assert frame is not None
    assert vm in frame.vms


async def test_who_watches_is_told_that_changes_may_have_been_missed(
    session: VSphereSession, by_hand: VCenterByHand
) -> None:
    assert session.sensing.changes is not None
    await session.sensing.inventory.read()

    async def listen() -> list[Change]:
        assert session.sensing.changes is not None
        return [change async for change in session.sensing.changes.watch()]

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.2)
    end_session(by_hand, session)
    await session.sensing.inventory.read()
    with pytest.raises(Unreachable, match="list afresh"):
        await asyncio.wait_for(listening, 60)


async def test_the_end_of_the_session_is_noticed_without_a_call(
    session: VSphereSession, by_hand: VCenterByHand
) -> None:
    """By the thread that waits for changes, at its next question."""
    vm = (await session.sensing.inventory.read()).vms[0].id
    end_session(by_hand, session)
    # The simulator wakes that thread only when something happens.
    by_hand.wait(by_hand.find(vm).SuspendVM_Task())
    by_hand.wait(by_hand.find(vm).PowerOnVM_Task())

    async def renewed() -> bool:
        return session.connection.logins == 2

    await until(renewed, "another session was opened")


async def test_closing_ends_the_session_on_the_server(
    connect: Connect, vcenter: VCenter, by_hand: VCenterByHand
) -> None:
    session = connect(settings_of(vcenter))
    await session.sensing.inventory.read()
    key = key_of(session)
    await session.close()
    told = by_hand.get(by_hand.content.sessionManager, "sessionList")
    assert key not in [each.key for each in told]


async def test_a_killed_server_is_unreachable_at_once_and_served_again_when_it_is_back(
    connect: Connect, own: VCenter
) -> None:
    session = connect(settings_of(own))
    before = await session.sensing.inventory.read()
    own.kill()
    for _ in range(5):
        with pytest.raises(Unreachable):
            await session.sensing.inventory.read()

    async def known_to_be_down() -> bool:
        return session.connection.link is None

    await until(known_to_be_down, "the loss was noticed")
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(Unreachable):
            await session.sensing.inventory.read()
    assert time.monotonic() - began < 30, "a call during an outage must not wait for anything"
    own.start()

    async def works() -> bool:
        try:
            return {host.name for host in (await session.sensing.inventory.read()).hosts} == {
                host.name for host in before.hosts
            }
        except Unreachable:
            return False

    await until(works, "it was served again")


async def test_a_server_that_hangs_costs_a_bounded_number_of_threads_and_is_noticed(
    connect: Connect, own: VCenter
) -> None:
    settings = settings_of(own, timeouts={"connect_s": 5, "read_s": 1, "act_s": 1})
    session = connect(settings)
    await session.sensing.inventory.read()
    own.freeze()
    told = await asyncio.gather(*(session.sensing.inventory.read() for _ in range(30)), return_exceptions=True)
    assert all(isinstance(each, TimedOut | Unreachable) for each in told)

    async def known_to_be_down() -> bool:
        return session.connection.link is None

    await until(known_to_be_down, "it was noticed that it gives no sign of life")
    with pytest.raises(Unreachable):
        await session.sensing.inventory.read()
    own.thaw()

    async def works() -> bool:
        try:
            return bool((await session.sensing.inventory.read()).hosts)
        except Failed:
            return False

    await until(works, "it was served again")

    async def no_thread_hangs() -> bool:
        return session.connection.hanging == 0

    await until(no_thread_hangs, "the threads that hung came free")


async def test_closing_while_the_server_hangs_does_not_take_long(connect: Connect, own: VCenter) -> None:
    session = connect(settings_of(own))
    await session.sensing.inventory.read()
    own.freeze()
    await asyncio.wait_for(session.close(), 30)


async def test_nobody_there_is_unreachable_and_says_where(connect: Connect, own: VCenter) -> None:
    own.kill()
    with pytest.raises(Unreachable, match=str(own.port)):
        await connect(settings_of(own)).sensing.inventory.read()
