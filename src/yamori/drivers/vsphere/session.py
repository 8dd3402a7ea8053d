"""One endpoint's abilities put together. What was switched off or seen not to be there is None."""

from yamori.capabilities.session import Acting, Sensing
from yamori.drivers.vsphere.absence import Absences
from yamori.drivers.vsphere.changes import VSphereChanges
from yamori.drivers.vsphere.connection import Connection
from yamori.drivers.vsphere.inventory import VSphereInventory
from yamori.drivers.vsphere.limits import VSphereLimitsReader, VSphereLimitsWriter
from yamori.drivers.vsphere.migration import Moves, VSphereMigration, VSphereMigrationWatch
from yamori.drivers.vsphere.power import VSpherePower
from yamori.drivers.vsphere.probe import Probe
from yamori.drivers.vsphere.roster import Roster
from yamori.drivers.vsphere.settings import VSphereSettings
from yamori.drivers.vsphere.surroundings import Switches
from yamori.drivers.vsphere.usage import VSphereUsage
from yamori.model.ids import EndpointName
from yamori.model.support import Support


class VSphereSession:
    """A session that connects in the background and reconnects by itself.

    What the account may do and what the server can prove is known once it is connected, so the two sides are put
    together anew whenever they are asked for.
    """

    def __init__(self, endpoint: EndpointName, settings: VSphereSettings) -> None:
        self.connection = Connection(endpoint, settings)
        self._absences = Absences(settings)
        roster = Roster(endpoint)
        switches = Switches()
        moves = Moves(self.connection, roster)
        self._inventory = VSphereInventory(self.connection, roster)
        self._usage = VSphereUsage(self.connection, roster)
        self._changes = None if self._absences.given("changes") else VSphereChanges(self.connection, roster)
        self._power = VSpherePower(self.connection, roster)
        self._reader = VSphereLimitsReader(self.connection, roster, switches, self._absences.given)
        self._writer = VSphereLimitsWriter(self.connection, roster, switches, self._absences.why)
        self._watch = VSphereMigrationWatch(self.connection, roster, moves)
        self._migration = VSphereMigration(self.connection, roster, moves, self._absences)
        self._probe = Probe(self.connection, self._absences, switches, self._usage)

    @property
    def sensing(self) -> Sensing:
        """The reading side."""
        why = self._absences.why
        return Sensing(
            inventory=self._inventory,
            changes=self._changes,
            usage=None if why("usage") else self._usage,
            limits=None if self._absences.all_of("limits") else self._reader,
            migration=None if why("migration.live") else self._watch,
        )

    @property
    def acting(self) -> Acting:
        """The changing side."""
        why = self._absences.why
        return Acting(
            power=None if why("power") else self._power,
            limits=None if self._absences.all_of("limits") else self._writer,
            migration=None if why("migration.live") else self._migration,
        )

    async def probe(self) -> Support:
        """Find out what this endpoint can do."""
        return await self._probe.run()

    async def close(self) -> None:
        """Let go of everything."""
        await self.connection.close()
