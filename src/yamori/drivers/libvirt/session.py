"""One endpoint's abilities put together. What the family, the settings or the operator rule out is None."""

from yamori.capabilities.session import Acting, Sensing
from yamori.drivers.libvirt.absence import Absences
from yamori.drivers.libvirt.changes import LibvirtChanges
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.families import family_of
from yamori.drivers.libvirt.following import Moves
from yamori.drivers.libvirt.inventory import LibvirtInventory
from yamori.drivers.libvirt.limits import LibvirtLimitsReader, LibvirtLimitsWriter
from yamori.drivers.libvirt.migration import LibvirtMigration, LibvirtMigrationWatch
from yamori.drivers.libvirt.power import LibvirtPower
from yamori.drivers.libvirt.probe import Probe
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.drivers.libvirt.usage import LibvirtUsage
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.support import Support


class LibvirtSession:
    """A session that connects in the background and reconnects by itself."""

    def __init__(self, endpoint: EndpointName, settings: LibvirtSettings) -> None:
        host = HostId(endpoint)
        absences, family = Absences(settings), family_of(settings)
        self._connection = Connection(endpoint, settings)
        inventory = LibvirtInventory(self._connection, host, family, self._is_leaving)
        changes = LibvirtChanges(self._connection, host, inventory.forget)
        self._probe = Probe(self._connection, family, absences)
        self._moves = Moves(self._connection, changes, family.moves)
        may_act = not settings.read_only
        self._sensing = Sensing(
            inventory=inventory,
            changes=None if absences.why("changes") else changes,
            usage=None if absences.why("usage") else LibvirtUsage(self._connection, host),
            limits=LibvirtLimitsReader(self._connection, family, absences.given),
            migration=LibvirtMigrationWatch(self._connection, host, family.moves, self._moves)
            if not absences.why("migration.live")
            else None,
        )
        self._acting = Acting(
            power=LibvirtPower(self._connection, family.reset) if may_act and not absences.why("power") else None,
            limits=LibvirtLimitsWriter(
                self._connection, family, absences.why, absences.learn, changes.reconfigured_by_us
            )
            if may_act and not absences.all_of("limits")
            else None,
            migration=LibvirtMigration(self._connection, host, family.moves, self._moves, absences)
            if may_act and not absences.why("migration.live")
            else None,
        )

    def _is_leaving(self, vm: VMId) -> bool:
        return self._moves.under_way(vm)

    @property
    def sensing(self) -> Sensing:
        """The reading side."""
        return self._sensing

    @property
    def acting(self) -> Acting:
        """The changing side."""
        return self._acting

    async def probe(self) -> Support:
        """Find out what this endpoint can do."""
        return await self._probe.run()

    async def close(self) -> None:
        """Let go of everything."""
        self._moves.close()
        await self._connection.close()
