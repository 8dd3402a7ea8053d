"""A move that needs the agent is begun with it or not at all, and is what the hypervisor says it is."""

import pytest

from tests.agent.moving_halves import CarrierHalf, PlaintextHalf, Way, moving_halves
from yamori.agent.joined import JoinedSession
from yamori.drivers.simulator import SimulatorSession, World, WorldShape
from yamori.model.errors import Conflict, Unreachable, Unsupported
from yamori.model.ids import EndpointName, VMId
from yamori.model.migration import Landing, MigrationPhase, StorageMode
from yamori.model.support import Level

ALPHA = EndpointName("alpha")
ROWS = ("migration.live", "migration.encrypted", "migration.cancel", "migration.bandwidth")


class Pair:
    """Two hosts, and a VM on the first."""

    def __init__(self) -> None:
        self.world = World(WorldShape(hosts=2, vms_per_host=2))
        self.way = Way(self.world)
        self.native, self.agent, self.source = moving_halves(self.world, self.way)
        _, self.agent_there, self.destination = moving_halves(self.world, self.way, "beta", "host-1")
        self.vm: VMId = self.world.vms("host-0")[0]

    async def landing(self) -> Landing:
        assert self.destination.acting.migration is not None
        host = (await self.destination.sensing.inventory.read()).hosts[0].id
        return await self.destination.acting.migration.landing(self.vm, host)

    async def start(self, landing: Landing, key: str = "k", *, stopping: bool = False) -> None:
        assert self.source.acting.migration is not None
        await self.source.acting.migration.start(
            self.vm,
            landing,
            storage=StorageMode.SHARED,
            bandwidth_bytes_s=1_000_000,
            key=key,
            stopping=stopping,
        )


@pytest.fixture
async def pair() -> Pair:
    pair = Pair()
    await pair.source.probe()
    await pair.destination.probe()
    return pair


async def test_the_rows_are_the_agents_and_its_address_is_in_the_landing(pair: Pair) -> None:
    cells = (await pair.source.probe()).cells
    assert {cells[row].level for row in ROWS} == {Level.AGENT}
    assert cells["migration.copied_storage"].level is Level.NONE
    landing = await pair.landing()
    assert landing.address == "127.0.9.1:49400"
    assert landing.uri.startswith("simulator://"), "the rest is the hypervisor's"


async def test_before_the_agent_is_met_moves_are_unknown_and_none_begins() -> None:
    pair = Pair()
    pair.agent.cut()
    support = await pair.source.probe()
    await pair.destination.probe()
    assert support.provisional
    assert {support.cells[row].level for row in ROWS} == {Level.UNKNOWN}
    with pytest.raises(Unreachable):
        await pair.start(await pair.landing())
    assert not pair.world.moves


async def test_while_the_agent_is_away_no_move_begins_and_after_it_one_does(pair: Pair) -> None:
    landing = await pair.landing()
    pair.agent.cut()
    assert {(await pair.source.probe()).cells[row].level for row in ROWS} == {Level.UNKNOWN}
    with pytest.raises(Unreachable):
        await pair.start(landing)
    assert not pair.world.moves
    pair.agent.mend()
    await pair.start(landing)
    assert len(pair.world.moves) == 1


async def test_where_the_other_hosts_agent_is_away_there_is_no_landing(pair: Pair) -> None:
    pair.agent_there.cut()
    with pytest.raises(Unreachable):
        await pair.landing()


async def test_what_the_hypervisor_refuses_leaves_nothing_open(pair: Pair) -> None:
    pair.world.columns.moves_live[pair.world.row(pair.vm)] = False
    landing = await pair.landing()
    with pytest.raises(Unsupported):
        await pair.start(landing)
    assert pair.way.streams[pair.vm].phase is MigrationPhase.CANCELLED
    await pair.start(landing, "allowed", stopping=True)
    assert pair.way.streams[pair.vm].phase is MigrationPhase.RUNNING


async def test_what_the_agent_refuses_begins_no_move(pair: Pair) -> None:
    assert isinstance(pair.source._agent, CarrierHalf)
    pair.source._agent.carrier.refusal = Conflict("sent already")
    with pytest.raises(Conflict, match="sent already"):
        await pair.start(await pair.landing())
    assert not pair.world.moves


async def test_a_move_under_way_is_not_disturbed_by_another_start(pair: Pair) -> None:
    landing = await pair.landing()
    await pair.start(landing, "first")
    with pytest.raises(Conflict):
        await pair.start(landing, "second")
    assert pair.way.streams[pair.vm].phase is MigrationPhase.RUNNING
    assert len(pair.world.moves) == 1


async def test_while_the_agent_is_away_a_move_is_told_without_bytes_and_cannot_be_stopped(pair: Pair) -> None:
    await pair.start(await pair.landing())
    assert pair.source.sensing.migration is not None
    assert pair.source.acting.migration is not None
    status = await pair.source.sensing.migration.status(pair.vm)
    assert status is not None
    assert status.processed_bytes == 0
    pair.agent.cut()
    status = await pair.source.sensing.migration.status(pair.vm)
    assert status is not None
    assert (status.phase, status.processed_bytes) == (MigrationPhase.RUNNING, None)
    with pytest.raises(Unreachable):
        await pair.source.acting.migration.cancel(pair.vm)
    assert len(pair.world.moves) == 1


async def test_a_stream_that_was_broken_off_too_late_is_no_cancelled_move(pair: Pair) -> None:
    await pair.start(await pair.landing())
    assert pair.source.acting.migration is not None
    pair.world.advance(3600)
    stream = pair.way.streams[pair.vm]
    pair.way.streams[pair.vm] = stream.__class__(vm=pair.vm, phase=MigrationPhase.CANCELLED)
    assert (await pair.source.acting.migration.wait(pair.vm)).phase is MigrationPhase.SUCCEEDED


async def test_an_agent_that_carries_nothing_means_no_moves(pair: Pair) -> None:
    bare = SimulatorSession(pair.world, ALPHA, hosts=["host-0"], without=dict.fromkeys(ROWS, "not set up"))
    joined = JoinedSession(ALPHA, PlaintextHalf(pair.native, pair.way), bare)
    cells = (await joined.probe()).cells
    assert {cells[row].level for row in ROWS} == {Level.NONE}
    assert "plaintext" in cells["migration.live"].reason
    assert "not set up" in cells["migration.live"].reason
    assert joined.acting.migration is None
    assert joined.sensing.migration is None


async def test_an_agent_that_carries_moves_nothing_where_the_hypervisor_does_not(pair: Pair) -> None:
    still = SimulatorSession(pair.world, ALPHA, hosts=["host-0"], without=dict.fromkeys(ROWS, "not set up here"))
    joined = JoinedSession(ALPHA, still, CarrierHalf(pair.agent, pair.way))
    for away in (False, True):
        if away:
            pair.agent.cut()
        cells = (await joined.probe()).cells
        assert {cells[row].level for row in ROWS} == {Level.NONE}
        assert cells["migration.live"].reason == "not set up here"
        assert joined.acting.migration is None
        assert joined.sensing.migration is None


async def test_a_hypervisor_that_encrypts_by_itself_needs_no_agent_to_move(pair: Pair) -> None:
    away = SimulatorSession(pair.world, ALPHA, hosts=["host-0"])
    away.cut()
    joined = JoinedSession(ALPHA, pair.native, away)
    assert (await joined.probe()).cells["migration.live"].level is Level.NATIVE
    assert joined.acting.migration is pair.native.acting.migration
    assert joined.sensing.migration is pair.native.sensing.migration
