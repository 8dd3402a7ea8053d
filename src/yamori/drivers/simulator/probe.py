"""What this endpoint can do: everything, but for the features that its settings take away."""

from collections.abc import Mapping

from yamori.drivers.simulator.connection import Connection
from yamori.model.support import FEATURES, Cell, Level, Support

_STANDS_ON: Mapping[str, str] = {
    "usage.cpu_delay": "usage",
    "usage.memory_resident": "usage",
    "usage.disk_latency": "usage",
    "usage.net_drops": "usage",
    "migration.live": "migration.encrypted",
    "migration.encrypted": "migration.live",
    "migration.copied_storage": "migration.live",
    "migration.cancel": "migration.live",
    "migration.bandwidth": "migration.live",
}
"""A feature is absent when the one that it stands on is: there is no move that is not both live and encrypted."""


def absent(without: Mapping[str, str]) -> dict[str, str]:
    """Return all features that are absent, and why, from those that the settings name."""
    found = dict(without)
    for _ in range(len(_STANDS_ON)):
        for feature, ground in _STANDS_ON.items():
            if ground in found:
                found.setdefault(feature, f"there is no {ground}: {found[ground]}")
    return found


async def probe(connection: Connection) -> Support:
    """Find out what this endpoint can do. Raises Unreachable."""
    async with connection.door("probe"):
        cells = {
            feature: Cell(level=Level.NONE, reason=connection.without[feature])
            if feature in connection.without
            else Cell(level=Level.NATIVE)
            for feature in FEATURES
        }
        return Support(driver="simulator", hypervisor="simulator 1", cells=cells)
