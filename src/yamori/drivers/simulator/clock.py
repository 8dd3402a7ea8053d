"""The simulator's own time. It moves only when told to, or follows real time by a factor."""

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

from yamori.drivers.simulator.bell import Bell
from yamori.model.errors import Invalid

BIRTH = datetime(2030, 1, 1, tzinfo=UTC)
"""Wall time at the beginning of every world, unless told otherwise."""


class Clock:
    """Seconds since the world began. Monotonic; wall time is derived from it.

    Reading and advancing are meant for one thread; those who sleep may do so in any event loop.
    """

    def __init__(self, birth: datetime = BIRTH) -> None:
        """Begin at 0. ``birth`` must be timezone-aware."""
        if birth.tzinfo is None:
            raise Invalid("a world's birth needs a time zone")
        self._birth = birth
        self._now = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, Bell]] = []

    @property
    def now(self) -> float:
        """Return seconds since the beginning."""
        return self._now

    @property
    def wall(self) -> datetime:
        """Return the simulated wall time."""
        return self._birth + timedelta(seconds=self._now)

    def move(self, seconds: float) -> None:
        """Let time pass and wake those whose time has come. Only the world calls this."""
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now + 1e-9:
            heapq.heappop(self._sleepers)[2].ring()

    async def sleep(self, seconds: float) -> None:
        """Wait until so much simulated time has passed. For 0 or less only let others run."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        alarm = Bell()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), alarm))
        await alarm.wait()
