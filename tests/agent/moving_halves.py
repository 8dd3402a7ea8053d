"""A host in two halves that move VMs only together: a hypervisor that sends memory in plaintext, and an agent."""

from dataclasses import replace
from typing import Any

from yamori.agent.joined import JoinedSession
from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.sensing.migration import MigrationWatch
from yamori.capabilities.session import Acting, Sensing
from yamori.drivers.simulator import SimulatorSession, World, sending
from yamori.model.errors import Invalid, YamoriError
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.migration import Forecast, Landing, MigrationPhase, MigrationStatus
from yamori.model.support import FEATURES, Cell, Level, Support

MOVES = tuple(f for f in FEATURES if f.startswith("migration."))
BY_CARRIER = frozenset(MOVES) - {"migration.copied_storage"}


class Way:
    """What the memory of moving VMs goes through: it is as wide as the agent was told, and open while it says."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.streams: dict[VMId, MigrationStatus] = {}
        self.bandwidths: dict[VMId, int | None] = {}

    def carried(self, vm: VMId) -> int:
        """Bytes that have passed, as the hypervisor's own count is."""
        move = self.world.moves.last(self.world.row(vm), range(len(self.world.hardware.names)))
        return 0 if move is None else int(move.processed)

    def break_off(self, vm: VMId) -> None:
        """Close it: the hypervisor sees a failed move."""
        move = self.world.moves.running(self.world.row(vm))
        if move is not None:
            sending.end(self.world, move, MigrationPhase.FAILED, "the stream broke")


class PlaintextHalf:
    """A hypervisor that moves VMs, can neither stop nor bound that, and has no way for their memory."""

    def __init__(self, healthy: SimulatorSession, way: Way) -> None:
        self.healthy = healthy
        self._way = way

    @property
    def sensing(self) -> Sensing:
        watch = self.healthy.sensing.migration
        assert watch is not None
        return replace(self.healthy.sensing, migration=PlaintextWatch(watch))

    @property
    def acting(self) -> Acting:
        mover = self.healthy.acting.migration
        assert mover is not None
        return replace(self.healthy.acting, migration=PlaintextMoves(mover, self._way))

    async def probe(self) -> Support:
        support = await self.healthy.probe()
        gone = dict.fromkeys(MOVES, Cell(level=Level.NONE, reason="memory goes out in plaintext"))
        return replace(support, cells={**support.cells, **gone})

    async def close(self) -> None:
        await self.healthy.close()


class PlaintextWatch:
    """Tells the phase of a move, and nothing else of it."""

    def __init__(self, watch: MigrationWatch) -> None:
        self._watch = watch

    async def status(self, vm: VMId) -> MigrationStatus | None:
        known = await self._watch.status(vm)
        return None if known is None else _bare(known)

    async def forecast(self, vm: VMId, landing: Landing, **asked: Any) -> Forecast:
        return await self._watch.forecast(vm, landing, **asked)


class PlaintextMoves:
    """Moves through the way, if it is open."""

    def __init__(self, mover: Migration, way: Way) -> None:
        self._mover = mover
        self._way = way

    async def landing(self, vm: VMId, host: HostId) -> Landing:
        return await self._mover.landing(vm, host)

    async def start(self, vm: VMId, landing: Landing, **asked: Any) -> None:
        assert asked["bandwidth_bytes_s"] is None, "the hypervisor cannot bound a move"
        stream = self._way.streams.get(vm)
        assert stream is not None, "memory would go out in plaintext"
        await self._mover.start(vm, landing, **(asked | {"bandwidth_bytes_s": self._way.bandwidths[vm]}))

    async def wait(self, vm: VMId) -> MigrationStatus:
        return _bare(await self._mover.wait(vm))

    async def cancel(self, vm: VMId) -> None:
        world = self._way.world
        if vm in world.vms():
            assert world.moves.running(world.row(vm)) is None, "the hypervisor cannot stop a move"
        await self._mover.cancel(vm)


def _bare(known: MigrationStatus) -> MigrationStatus:
    return replace(known, total_bytes=None, processed_bytes=None, remaining_bytes=None)


class CarrierHalf:
    """An agent that carries memory through the way."""

    def __init__(self, healthy: SimulatorSession, way: Way) -> None:
        self.healthy = healthy
        self.carrier = SimulatedCarrier(healthy, way)

    @property
    def sensing(self) -> Sensing:
        return Sensing(inventory=self.healthy.sensing.inventory, migration=self.carrier)

    @property
    def acting(self) -> Acting:
        return Acting(migration=self.carrier)

    async def probe(self) -> Support:
        support = await self.healthy.probe()
        cells = {
            f: Cell(level=Level.AGENT) if f in BY_CARRIER else Cell(level=Level.NONE, reason="not the agent's")
            for f in FEATURES
        }
        return replace(support, cells={**cells, "inventory": support.cells["inventory"]})

    async def close(self) -> None:
        await self.healthy.close()


class SimulatedCarrier:
    """As ``Carrier``, in a simulated world."""

    def __init__(self, healthy: SimulatorSession, way: Way) -> None:
        self._healthy = healthy
        self._way = way
        self.refusal: YamoriError | None = None

    async def landing(self, vm: VMId, host: HostId) -> Landing:
        await self._there()
        return Landing(host=host, family="", uri="", address="127.0.9.1:49400", tls_name=None)

    async def start(self, vm: VMId, landing: Landing, **asked: Any) -> None:
        await self._there()
        if self.refusal is not None:
            raise self.refusal
        assert landing.address == "127.0.9.1:49400"
        if asked["bandwidth_bytes_s"] is not None and asked["bandwidth_bytes_s"] <= 0:
            raise Invalid("no bandwidth")
        await self._healthy.sensing.inventory.vm(vm)
        self._way.bandwidths[vm] = asked["bandwidth_bytes_s"]
        self._way.streams[vm] = MigrationStatus(vm=vm, phase=MigrationPhase.RUNNING, encrypted=True)

    async def wait(self, vm: VMId) -> MigrationStatus:
        raise AssertionError("the hypervisor says when a move has ended")

    async def cancel(self, vm: VMId) -> None:
        await self._there()
        stream = self._way.streams.get(vm)
        if stream is None or stream.phase is not MigrationPhase.RUNNING:
            return
        self._way.streams[vm] = replace(stream, phase=MigrationPhase.CANCELLED)
        self._way.break_off(vm)

    async def status(self, vm: VMId) -> MigrationStatus | None:
        await self._there()
        stream = self._way.streams.get(vm)
        return None if stream is None else replace(stream, processed_bytes=self._way.carried(vm))

    async def forecast(self, vm: VMId, landing: Landing, **asked: Any) -> Any:
        raise AssertionError("the hypervisor says how a move would go")

    async def _there(self) -> None:
        await self._healthy.probe()  # raises Unreachable where the line is cut


def moving_halves(
    world: World, way: Way, endpoint: str = "alpha", host: str = "host-0"
) -> tuple[SimulatorSession, SimulatorSession, JoinedSession]:
    """Return a hypervisor's half that sends memory in plaintext, an agent's that carries it, and both joined."""
    name = EndpointName(endpoint)
    native, agent = (SimulatorSession(world, name, hosts=[host]) for _ in range(2))
    return native, agent, JoinedSession(name, PlaintextHalf(native, way), CarrierHalf(agent, way))
