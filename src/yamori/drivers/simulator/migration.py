"""Moving a running VM to another host of the same world. Encrypted always; exactly one copy, always."""

import math

from yamori.drivers.simulator.columns import State
from yamori.drivers.simulator.connection import Connection
from yamori.drivers.simulator.moves import Move
from yamori.model.errors import Conflict, Invalid, NotFound, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Landing, MigrationPhase, MigrationStatus, StorageMode

FAMILY = "simulator"
SCHEME = "simulator://"
COPIED = "migration.copied_storage"


class SimulatorMigrationWatch:
    """The sensing capability ``migration``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def status(self, vm: VMId) -> MigrationStatus | None:
        """Return where the last move of a VM away from here stands."""
        async with self._connection.door("migration.status", vm):
            move = _last(self._connection, vm)
            return None if move is None else move.status()


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
        self, vm: VMId, landing: Landing, *, storage: StorageMode, bandwidth_bytes_s: int | None, key: str
    ) -> None:
        """As source: begin the move; the same ``key`` twice begins it once."""
        async with self._connection.door("migration.start", vm):
            known = _last(self._connection, vm)
            if known is not None and known.key == key:
                return
            row = self._connection.row(vm)
            destination = self._destination(vm, row, landing)
            self._check(vm, row, storage, bandwidth_bytes_s, destination)
            c, hw = self._connection.world.columns, self._connection.world.hardware
            source = int(c.host[row])
            most = min(float(hw.migration_bandwidth[h]) for h in (source, destination))
            total = max(float(c.resident[row] + c.paged[row]), 1.0)
            if storage is StorageMode.COPIED:
                total += float(c.disk_bytes[row])
            self._connection.world.moves.begin(
                Move(
                    vm=vm,
                    row=row,
                    source=source,
                    destination=destination,
                    endpoint=self._connection.endpoint,
                    key=key,
                    storage=storage,
                    bandwidth=min(most, float(bandwidth_bytes_s)) if bandwidth_bytes_s else most,
                    total=total,
                    remaining=total,
                )
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
                self._connection.world.moves.end(move, MigrationPhase.CANCELLED)

    def _free(self, host: int) -> float:
        world = self._connection.world
        held = world.columns.resident[world.columns.host == host].sum()
        return float(world.hardware.memory[host] - held)

    def _destination(self, vm: VMId, row: int, landing: Landing) -> int:
        world = self._connection.world
        if landing.family != FAMILY:
            raise Invalid(f"a VM of the family {FAMILY} cannot land at {landing.family}", subject=vm)
        identity, _, name = landing.uri.removeprefix(SCHEME).partition("/")
        if not landing.uri.startswith(SCHEME) or identity != world.identity or name not in world.hardware.names:
            raise Invalid("the landing is not in this world", subject=vm)
        if (host := world.host_row(name)) == int(world.columns.host[row]):
            raise Invalid("the VM is on that host already", subject=vm)
        return host

    def _check(
        self, vm: VMId, row: int, storage: StorageMode, bandwidth_bytes_s: int | None, destination: int
    ) -> None:
        world, without = self._connection.world, self._connection.without
        if bandwidth_bytes_s is not None and not (bandwidth_bytes_s > 0 and math.isfinite(bandwidth_bytes_s)):
            raise Invalid("the bandwidth must be a number of bytes per second above 0", subject=vm)
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


def _last(connection: Connection, vm: VMId) -> Move | None:
    try:
        row = connection.world.row(vm)
    except NotFound:
        return None
    return connection.world.moves.last(row, connection.hosts)
