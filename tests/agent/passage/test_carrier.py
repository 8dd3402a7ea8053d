"""What the agent lets through: announced streams of VMs that run here, each once, to peers and nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.agent.passage.world import ENTRANCE, INNER, MARKER, OFF, VM, World, carrying, free_port
from yamori.model.errors import Busy, Conflict, Invalid, NotFound, Refused, Unreachable, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import MigrationPhase, StorageMode
from yamori.model.support import Level


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.open()
    yield world
    await world.close()


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "127.0.9.4",
        "10.0.0.2:49400",
        "localhost:49400",
        "127.0.9.4:0",
        "127.0.9.4:99999",
        "127.0.9.4:49400@10.0.0.2:1",
        "127.0.9.4.example.org:49400",
        "127.0.9.4:49400\n",
    ],
)
async def test_memory_goes_to_an_address_of_the_passage_or_nowhere(world: World, address: str | None) -> None:
    landing = world.landing()
    with pytest.raises(Invalid, match="plaintext"):
        await world.a.carrier.start(
            VM,
            landing.__class__(host=landing.host, family="xen", uri="", address=address, tls_name=None),
            storage=StorageMode.SHARED,
            bandwidth_bytes_s=None,
            key="k",
        )
    assert await world.a.carrier.status(VM) is None


async def test_memory_goes_to_peers_only_and_not_to_this_host_itself(world: World) -> None:
    for loopback in (INNER["a"], "127.0.9.77"):
        with pytest.raises(Invalid, match="no peer"):
            await world.begin(world.landing(), address=f"{loopback}:{world.arrival.port}")
    with pytest.raises(Invalid):
        await world.begin(world.landing(), address=f"{ENTRANCE['b']}:{world.arrival.port - 1}")


async def test_only_a_vm_that_runs_here_is_sent(world: World) -> None:
    with pytest.raises(NotFound):
        await world.begin(world.landing(), vm=VMId("nobody"))
    with pytest.raises(Conflict):
        await world.begin(world.landing(), vm=OFF)


@pytest.mark.parametrize("bandwidth", [0, -1])
async def test_a_bandwidth_without_sense_is_invalid(world: World, bandwidth: int) -> None:
    with pytest.raises(Invalid):
        await world.begin(world.landing(), bandwidth_bytes_s=bandwidth)


async def test_the_same_key_lets_one_stream_through_and_another_one_is_a_conflict(world: World) -> None:
    await world.announce(key="once", bandwidth_bytes_s=1 << 20)
    await world.begin(world.landing(), key="once")
    sending = asyncio.create_task(world.send(MARKER * (16 << 20 >> 5)))
    await carrying(world, 1 << 16)
    await world.begin(world.landing(), key="once")
    with pytest.raises(Conflict):
        await world.begin(world.landing(), key="twice")
    await world.a.carrier.cancel(VM)
    assert not await sending
    assert await world.passes()


async def test_what_was_announced_and_never_came_does_not_keep_the_next_one_out(world: World) -> None:
    await world.announce(key="given up")
    assert await world.passes()


async def test_an_entrance_that_somebody_else_has_taken_is_said(world: World) -> None:
    await world.announce(key="once")
    refused = None
    try:
        await world.b.carrier.start(
            VM, world.landing(), storage=StorageMode.SHARED, bandwidth_bytes_s=None, key="k"
        )
    except Refused as error:
        refused = error
    assert isinstance(refused, Invalid), "b has no peer there"


async def test_a_host_awaits_no_more_than_it_has_ports_and_a_vm_only_once(world: World) -> None:
    for _ in range(3):
        await world.b.carrier.landing(VM, HostId("b"))
    with pytest.raises(Busy):
        await world.b.carrier.landing(VMId("vm-2"), HostId("b"))


async def test_nothing_is_known_of_a_vm_that_was_never_sent(world: World) -> None:
    assert await world.a.carrier.status(VM) is None
    await world.a.carrier.cancel(VM)
    with pytest.raises(NotFound):
        await world.a.carrier.wait(VM)
    with pytest.raises(Unsupported):
        await world.a.carrier.forecast(VM, world.landing(), storage=StorageMode.SHARED, bandwidth_bytes_s=None)


async def test_a_door_that_cannot_be_opened_is_no_passage_and_says_why(world: World) -> None:
    taken = world.settings("a").model_copy(update={"port": world.outer["b"]})
    assert world.a.carrier.cells()["migration.live"].level is Level.AGENT
    await world.a.carrier.close()
    await world.a.open(taken)
    cell = world.a.carrier.cells()["migration.live"]
    assert cell.level is Level.NONE
    assert "cannot listen" in cell.reason


async def test_a_carrier_that_is_closed_carries_nothing(world: World) -> None:
    await world.announce()
    await world.a.carrier.close()
    with pytest.raises(Unreachable):
        await world.begin(world.landing(), key="again")
    with pytest.raises(Unreachable):
        await world.a.carrier.landing(VM, HostId("a"))
    assert (await world.ended()).phase is MigrationPhase.FAILED


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 80},
        {"first_port": 1023},
        {"first_port": 65530, "ports": 32},
        {"ports": 0},
        {"bytes_s": 1},
        {"stalled_s": 0},
        {"loopback": ENTRANCE["b"]},
        {"peers": {"host b": {"address": "x", "loopback": "127.0.0.9"}}},
        {"peers": {"b": {"address": "x;y", "loopback": "127.0.0.9"}}},
        {"peers": {"b": {"address": "x", "loopback": "10.0.0.9"}}},
        {"certificate": "/etc/cert.pem"},
    ],
    ids=str,
)
async def test_settings_that_make_no_sense_are_refused(world: World, wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        world.settings("a", **wrong)


async def test_ports_that_are_free_are_taken_in_turn(world: World) -> None:
    await world.b.carrier.close()
    await world.b.open(world.settings("b", first_port=free_port() % 60000 + 1024, ports=3))
    seen = [(await world.b.carrier.landing(VMId("vm-2"), HostId("b"))).address for _ in range(6)]
    assert len(set(seen)) == 3
    assert seen[:3] == seen[3:]
