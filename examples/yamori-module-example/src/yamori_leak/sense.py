"""Takes one moment of the fleet. Reads nothing else, changes nothing."""

from collections.abc import AsyncIterator

from yamori.capabilities.sensing.usage import UsageFrame
from yamori.manifest.module import Sensors
from yamori_leak.settings import LeakSettings


async def sense(sensors: Sensors, settings: LeakSettings) -> AsyncIterator[UsageFrame]:
    """Yield the newest frame, once."""
    del settings
    yield sensors.usage()
