"""Takes one moment of the fleet as control hands it out. Reads nothing else, changes nothing."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from yamori.capabilities.sensing.usage import UsageFrame
from yamori.manifest.module import FleetView, Sensors
from yamori.model.ids import HostId
from yamori.modules.guard.settings import GuardSettings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """The newest counters, what is known of the fleet, and which hosts could not be read and why."""

    frame: UsageFrame
    view: FleetView
    missing: Mapping[HostId, str]


async def sense(sensors: Sensors, settings: GuardSettings) -> AsyncIterator[Observation]:
    """Yield the present moment, once."""
    del settings
    yield Observation(frame=sensors.usage(), view=sensors.view(), missing=sensors.missing())
