"""The bundle of what Toybox can do, and the honest list of what it cannot."""

from yamori.capabilities.session import Acting, Sensing
from yamori.model.ids import EndpointName
from yamori.model.support import FEATURES, Cell, Level, Support
from yamori_toybox.connection import Connection
from yamori_toybox.inventory import ToyboxInventory
from yamori_toybox.limits import WHY, ToyboxLimitsReader, ToyboxLimitsWriter
from yamori_toybox.power import ToyboxPower
from yamori_toybox.settings import ToyboxSettings
from yamori_toybox.usage import ToyboxUsage

NATIVE = frozenset({"inventory", "usage", "power", "limits.cpu_cap"})
REASONS = {
    "changes": "Toybox tells of no events: poll the inventory",
    "usage": "Toybox meters CPU time and memory size only",
    "limits": WHY,
    "migration": "a machine cannot leave its box",
}


class ToyboxSession:
    """One open box."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sensing = Sensing(
            inventory=ToyboxInventory(connection),
            usage=ToyboxUsage(connection),
            limits=ToyboxLimitsReader(connection),
        )
        self._acting = Acting(power=ToyboxPower(connection), limits=ToyboxLimitsWriter(connection))

    @property
    def sensing(self) -> Sensing:
        return self._sensing

    @property
    def acting(self) -> Acting:
        return self._acting

    async def probe(self) -> Support:
        release = await self._connection.call(lambda box: box.release)
        cells = {
            feature: Cell(level=Level.NATIVE)
            if feature in NATIVE
            else Cell(level=Level.NONE, reason=REASONS[feature.partition(".")[0]])
            for feature in FEATURES
        }
        return Support(driver="toybox", hypervisor=release, cells=cells)

    async def close(self) -> None:
        self._connection.close()


async def connect(endpoint: EndpointName, settings: ToyboxSettings) -> ToyboxSession:
    """Open a box; nothing is called yet."""
    return ToyboxSession(Connection(endpoint, settings))
