"""Moving a running VM to another host of the same world. Encrypted always; exactly one copy, always."""

import math
from dataclasses import dataclass

from yamori.drivers.simulator import sending
from yamori.drivers.simulator.columns import State
from yamori.drivers.simulator.connection import Connection
from yamori.drivers.simulator.moves import PAUSE_S, SWITCH_S, Move
from yamori.drivers.simulator.world import World
from yamori.model.amounts import amount
from yamori.model.errors import Conflict, Invalid, NotFound, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Forecast, Landing, MigrationPhase, MigrationStatus, StorageMode

FAMILY = "simulator"
SCHEME = "simulator://"
ALLOW = "allow that it stands still"
LIVE, COPIED = "migration.live", "migration.copied_storage"
CANCEL, BANDWIDTH = "migration.cancel", "migration.bandwidth"


class SimulatorMigrationWatch:
    """The sensing capability ``migration``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def status(self, vm: VMId) -> MigrationStatus | None:
        """Return where the last move of a VM away from here stands."""
        async with self._connection.door("migration.status", vm):
            move = _last(self._connection, vm)
            return None if move is None else move.status()

    async def forecast(
        self, vm: VMId, landing: Landing, *, storage: StorageMode, bandwidth_bytes_s: int | None
    ) -> Forecast:
        """As source: say how the VM would move there."""
        async with self._connection.door("migration.forecast", vm):
            _check_bandwidth(vm, bandwidth_bytes_s)
            row = self._connection.row(vm)
            return _way(self._connection, vm, row, landing, storage, bandwidth_bytes_s).forecast()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How one VM would go to one host: bytes, and bytes per second."""

    destination: int
    total: float
    bandwidth: float
    live: bool

    def forecast(self) -> Forecast:
        if self.live:
            return Forecast(live=True, downtime_s=SWITCH_S + PAUSE_S, why="the longest pause that a move aims at")
        seconds = SWITCH_S + self.total / self.bandwidth
        size, rate = amount(self.total, "B"), amount(self.bandwidth, "B/s")
        return Forecast(
            live=False,
            downtime_s=seconds,
            why=f"this guest cannot move live: it stands still while {size} are sent at {rate}, {seconds:.3g} s",
        )


class SimulatorMigration:
    """The acting capability ``migration``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def landing(self, vm: VMId, host: HostId) -> Landing:
        """As destination: offer one of our hosts. Conflict if the VM is there already."""
        async with self._connection.door("migration.landing", vm):
            connection, world = self._connection, self._connection.world
            row = world.row(vm)
            ours = {connection.host_ids[number]: number for number in connection.hosts}
            if host not in ours:
                raise Invalid(f"this endpoint has no host {host}", subject=vm)
            if int(world.columns.host[row]) == ours[host]:
                raise Conflict("the VM is on that host already", subject=vm)
            name = world.hardware.names[ours[host]]
            return Landing(
                host=host,
                family=FAMILY,
                uri=f"{SCHEME}{world.identity}/{name}",
                address=None,
                tls_name=name,
            )

    async def start(
        self,
        vm: VMId,
        landing: Landing,
        *,
        storage: StorageMode,
        bandwidth_bytes_s: int | None,
        key: str,
        stopping: bool = False,
    ) -> None:
        """As source: begin the move; the same ``key`` twice begins it once."""
        async with self._connection.door("migration.start", vm):
            known = _last(self._connection, vm)
            if known is not None and known.key == key:
                return
            _check_bandwidth(vm, bandwidth_bytes_s)
            row = self._connection.row(vm)
            way = _way(self._connection, vm, row, landing, storage, bandwidth_bytes_s)
            self._check(vm, row, storage, bandwidth_bytes_s, way.destination)
            if not way.live and not stopping:
                raise Unsupported(LIVE, way.forecast().why, subject=vm, mend=ALLOW)
            sending.begin(
                self._connection.world,
                Move(
                    vm=vm,
                    row=row,
                    source=int(self._connection.world.columns.host[row]),
                    destination=way.destination,
                    endpoint=self._connection.endpoint,
                    key=key,
                    storage=storage,
                    bandwidth=way.bandwidth,
                    total=way.total,
                    remaining=way.total,
                    still=not way.live and self._connection.state(row) is State.RUNNING,
                ),
            )

    async def wait(self, vm: VMId) -> MigrationStatus:
        """As source: wait for the end of the last move from here."""
        async with self._connection.door("migration.wait", vm):
            move = _last(self._connection, vm)
            if move is None:
                raise NotFound("no move of this VM away from here is known", subject=vm)
            while move.phase is MigrationPhase.RUNNING:
                await move.ended.wait()
                self._connection.check_open()
            return move.status()

    async def cancel(self, vm: VMId) -> None:
        """As source: stop the move; nothing to do when none is under way."""
        async with self._connection.door("migration.cancel", vm):
            move = _last(self._connection, vm)
            if move is None:
                self._connection.row(vm)
            elif move.phase is MigrationPhase.RUNNING:
                if CANCEL in self._connection.without:
                    raise Unsupported(CANCEL, self._connection.without[CANCEL], subject=vm)
                sending.end(self._connection.world, move, MigrationPhase.CANCELLED)

    def _free(self, host: int) -> float:
        world = self._connection.world
        held = world.columns.resident[world.columns.host == host].sum()
        return float(world.hardware.memory[host] - held)

    def _check(
        self, vm: VMId, row: int, storage: StorageMode, bandwidth_bytes_s: int | None, destination: int
    ) -> None:
        world, without = self._connection.world, self._connection.without
        if bandwidth_bytes_s is not None and BANDWIDTH in without:
            raise Unsupported(BANDWIDTH, without[BANDWIDTH], subject=vm)
        if storage is StorageMode.COPIED and COPIED in without:
            raise Unsupported(COPIED, without[COPIED], subject=vm)
        if storage is StorageMode.SHARED and not world.shape.shared_storage:
            raise Invalid("the hosts do not share the VM's disks: copy them", subject=vm)
        if storage is StorageMode.COPIED and world.shape.shared_storage:
            raise Invalid("both hosts see the same disks: copying would overwrite them", subject=vm)
        if self._connection.state(row) not in (State.RUNNING, State.PAUSED):
            raise Conflict("the VM does not run", subject=vm)
        if world.moves.running(row) is not None:
            raise Conflict("the VM is being moved already", subject=vm)
        if self._free(destination) < float(world.columns.resident[row]):
            raise Conflict("the destination has not enough free memory", subject=vm)


def _check_bandwidth(vm: VMId, bandwidth_bytes_s: int | None) -> None:
    if bandwidth_bytes_s is not None and not (bandwidth_bytes_s > 0 and math.isfinite(bandwidth_bytes_s)):
        raise Invalid("the bandwidth must be a number of bytes per second above 0", subject=vm)


def _way(
    connection: Connection,
    vm: VMId,
    row: int,
    landing: Landing,
    storage: StorageMode,
    bandwidth_bytes_s: int | None,
) -> _Way:
    c, hardware = connection.world.columns, connection.world.hardware
    destination = _destination(connection.world, vm, row, landing)
    most = min(float(hardware.migration_bandwidth[h]) for h in (int(c.host[row]), destination))
    total = max(float(c.resident[row] + c.paged[row]), 1.0)
    if storage is StorageMode.COPIED:
        total += float(c.disk_bytes[row])
    return _Way(
        destination=destination,
        total=total,
        bandwidth=min(most, float(bandwidth_bytes_s)) if bandwidth_bytes_s else most,
        live=bool(c.moves_live[row]),
    )


def _destination(world: World, vm: VMId, row: int, landing: Landing) -> int:
    if landing.family != FAMILY:
        raise Invalid(f"a VM of the family {FAMILY} cannot land at {landing.family}", subject=vm)
    identity, _, name = landing.uri.removeprefix(SCHEME).partition("/")
    if not landing.uri.startswith(SCHEME) or identity != world.identity or name not in world.hardware.names:
        raise Invalid("the landing is not in this world", subject=vm)
    if (host := world.host_row(name)) == int(world.columns.host[row]):
        raise Invalid("the VM is on that host already", subject=vm)
    return host


def _last(connection: Connection, vm: VMId) -> Move | None:
    try:
        row = connection.world.row(vm)
    except NotFound:
        return None
    return connection.world.moves.last(row, connection.hosts)
