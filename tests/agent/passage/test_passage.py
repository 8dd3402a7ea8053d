"""Memory streams between two hosts: whole or visibly broken, never readable on the way, only between peers."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.agent.passage.world import END, ENTRANCE, LOOPBACK, MARKER, PATIENCE_S, VM, World, carrying
from yamori.model.ids import HostId
from yamori.model.migration import MigrationPhase


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.close()


async def test_a_memory_stream_arrives_whole_and_nobody_on_the_wire_can_read_it(world: World) -> None:
    await world.open()
    memory = MARKER * (8 << 20 >> 5) + os.urandom(1 << 20)
    await world.announce()
    assert await world.send(memory)
    assert await asyncio.wait_for(world.arrival.ended, PATIENCE_S)
    assert bytes(world.arrival.received) == memory + END
    assert len(world.wire.seen) > len(memory)
    assert MARKER not in world.wire.seen
    assert MARKER[:16] not in world.wire.seen
    status = await world.ended()
    assert (status.phase, status.processed_bytes) == (MigrationPhase.SUCCEEDED, len(memory + END))


async def test_a_cut_in_the_middle_is_seen_as_a_break_on_both_sides(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await world.open()
    await world.announce()
    sent = await world.send(MARKER * (16 << 20 >> 5), after=world.wire.cut)
    assert not sent
    status = await world.ended()
    assert status.phase is MigrationPhase.FAILED
    assert status.error
    assert not world.arrival.looks_whole, "half a VM looked like a whole one"
    assert MARKER.decode() not in caplog.text


async def test_a_wire_that_swallows_everything_is_given_up(world: World) -> None:
    await world.open()
    await world.announce()
    sent = await asyncio.wait_for(world.send(MARKER * (64 << 20 >> 5), after=world.wire.frozen.set), PATIENCE_S)
    assert not sent
    assert (await world.ended()).phase is MigrationPhase.FAILED


async def test_a_stream_that_is_cancelled_breaks_and_the_next_one_passes(world: World) -> None:
    await world.open()
    await world.announce(bandwidth_bytes_s=1 << 20)
    sending = asyncio.create_task(world.send(MARKER * (16 << 20 >> 5)))
    await carrying(world, 1 << 16)
    await world.a.carrier.cancel(VM)
    assert (await world.ended()).phase is MigrationPhase.CANCELLED
    assert not await sending
    assert not world.arrival.looks_whole
    await world.a.carrier.cancel(VM)
    assert (await world.ended()).phase is MigrationPhase.CANCELLED
    assert await world.passes()


async def test_the_destination_is_done_with_a_broken_arrival_before_the_source_hears_of_it(world: World) -> None:
    world.arrival.clearing_s = 1.0
    await world.open()
    await world.announce(bandwidth_bytes_s=1 << 20)
    sending = asyncio.create_task(world.send(MARKER * (16 << 20 >> 5)))
    await carrying(world, 1 << 16)
    cancelling = asyncio.create_task(world.a.carrier.cancel(VM))
    assert not await sending
    assert world.arrival.has_let_go
    await cancelling
    assert (await world.ended()).phase is MigrationPhase.CANCELLED


async def test_a_stream_that_is_cancelled_before_it_comes_finds_no_entrance(world: World) -> None:
    await world.open()
    await world.announce()
    await world.a.carrier.cancel(VM)
    assert not await world.send(MARKER)
    assert (await world.ended()).phase is MigrationPhase.CANCELLED
    assert await world.passes()


@pytest.mark.parametrize("by", ["the move", "the settings", "both"])
async def test_a_stream_keeps_to_its_bandwidth_and_tells_how_far_it_is(world: World, by: str) -> None:
    bound = 1 << 20
    asked = {"the move": bound, "the settings": None, "both": bound * 1000}[by]
    kept = {} if by == "the move" else {"bytes_s": bound}
    await world.open(a=world.settings("a", **kept))
    await world.announce(bandwidth_bytes_s=asked)
    loop = asyncio.get_running_loop()
    began = loop.time()
    sending = asyncio.create_task(world.send(bytes(3 << 20)))
    for part in (1 << 18, 1 << 20, 2 << 20):
        await carrying(world, part)
        status = await world.a.carrier.status(VM)
        assert status is not None
        assert (status.processed_bytes or 0) <= (loop.time() - began + 0.5) * bound
    assert await sending
    assert (await world.ended()).processed_bytes == (3 << 20) + len(END)
    assert loop.time() - began > 2.0


@pytest.mark.parametrize("liar", ["a", "b"])
async def test_a_certificate_of_another_authority_gets_nothing_through(world: World, liar: str) -> None:
    foreign = world.another_authority("foreign")
    (world.a if liar == "a" else world.b).enrol(foreign)
    await world.open()
    await world.announce()
    await world.send(MARKER * 100)
    assert (await world.ended()).phase is MigrationPhase.FAILED
    assert not world.arrival.received
    assert MARKER not in world.wire.seen


async def test_another_agent_at_the_address_of_a_peer_gets_nothing_from_us(world: World) -> None:
    world.b.enrol(world.authority, name="host-c")
    await world.open()
    await world.announce()
    await world.send(MARKER * 100)
    status = await world.ended()
    assert status.phase is MigrationPhase.FAILED
    assert "another agent" in (status.error or "")
    assert not world.arrival.received


async def test_an_agent_that_is_no_peer_reaches_no_hypervisor(world: World) -> None:
    world.a.enrol(world.authority, name="host-c")
    await world.open()
    await world.announce()
    await world.send(MARKER * 100)
    assert (await world.ended()).phase is MigrationPhase.FAILED
    assert not world.arrival.ended.done()


async def test_renewed_and_changed_identities_count_at_once(world: World) -> None:
    await world.open()
    assert await world.passes()
    anew = world.another_authority("anew")
    world.b.enrol(anew)
    await world.announce(key="between")
    await world.send(MARKER)
    assert (await world.ended()).phase is MigrationPhase.FAILED
    world.a.enrol(anew)
    assert await world.passes()


async def test_who_has_no_identity_yet_carries_nothing_and_does_once_enrolled(world: World) -> None:
    await world.open()
    world.a.file.path.unlink()
    await world.announce()
    await world.send(MARKER)
    status = await world.ended()
    assert status.phase is MigrationPhase.FAILED
    assert "not enrolled" in (status.error or "")
    world.a.enrol(world.authority)
    assert await world.passes()


@pytest.mark.parametrize("garbage", [b"", b"\x00" * 4096, b"GET / HTTP/1.0\r\n\r\n", MARKER * 1000])
async def test_garbage_at_the_door_is_refused_and_the_door_stays_open(world: World, garbage: bytes) -> None:
    await world.open()
    _, writer = await asyncio.open_connection(LOOPBACK, world.outer["b"])
    writer.write(garbage)
    with_error: list[OSError] = []
    try:
        await writer.drain()
    except OSError as error:
        with_error.append(error)
    writer.close()
    assert await world.passes()


async def test_a_crowd_at_the_door_is_turned_away_and_the_next_one_is_let_in(world: World) -> None:
    await world.open()
    crowd = [await asyncio.open_connection(LOOPBACK, world.outer["b"]) for _ in range(40)]
    ended = [asyncio.create_task(reader.read()) for reader, _ in crowd]
    async with asyncio.timeout(PATIENCE_S):
        done: set[asyncio.Task[bytes]] = set()
        while len(done) < 24:
            done, _ = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
            done = {each for each in ended if each.done()}
    assert len(done) == 24, "sixteen of one address may be strangers at once"
    for _, writer in crowd:
        writer.close()
    await asyncio.gather(*ended, return_exceptions=True)
    assert await world.passes()


async def test_where_no_hypervisor_waits_the_stream_breaks(world: World) -> None:
    await world.open()
    await world.arrival.close()
    await world.announce()
    await world.send(MARKER * (1 << 20 >> 5))
    assert (await world.ended()).phase is MigrationPhase.FAILED


async def test_closing_breaks_what_is_under_way(world: World) -> None:
    await world.open()
    await world.announce(bandwidth_bytes_s=1 << 20)
    sending = asyncio.create_task(world.send(MARKER * (16 << 20 >> 5)))
    await carrying(world, 1 << 16)
    await world.a.carrier.close()
    assert not await sending
    assert not world.arrival.looks_whole


async def test_what_nobody_announced_where_it_leaves_finds_no_entrance(world: World) -> None:
    await world.open()
    await world.b.carrier.landing(VM, HostId("b"))
    assert not await world.send(MARKER)
    assert not world.wire.seen


async def test_what_nobody_announced_where_it_arrives_reaches_no_hypervisor(world: World) -> None:
    await world.open()
    await world.announce(landed=False)
    await world.send(MARKER * 100)
    assert (await world.ended()).phase is MigrationPhase.FAILED
    assert not world.arrival.ended.done()


async def test_an_announcement_is_good_for_one_stream(world: World) -> None:
    await world.open()
    await world.announce()
    assert await world.send(MARKER)
    assert await asyncio.wait_for(world.arrival.ended, PATIENCE_S)
    await world.ended()
    world.arrival.forget()
    assert not await world.send(MARKER), "the entrance is closed behind the first"
    await world.begin(world.landing(), key="second")
    await world.send(MARKER)
    assert (await world.ended()).phase is MigrationPhase.FAILED
    assert not world.arrival.ended.done()


async def test_only_the_first_to_come_is_let_in(world: World) -> None:
    await world.open()
    await world.announce(bandwidth_bytes_s=1 << 20)
    sending = asyncio.create_task(world.send(MARKER * (4 << 20 >> 5)))
    await carrying(world, 1 << 16)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(ENTRANCE["b"], world.arrival.port)
    assert await sending


@pytest.mark.parametrize("loopback", ["10.0.0.1", "127.0.0.256", "localhost", "::1", "127.0.0.1.5"])
async def test_memory_is_never_taken_from_or_handed_to_an_address_that_others_reach(
    world: World, loopback: str
) -> None:
    with pytest.raises(ValidationError):
        world.settings("a", loopback=loopback)
