"""Time as the workflow sees it: a value that is handed in, so that a test or a simulation can hold it."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Promises: ``now`` is aware, ``monotonic`` never falls, ``sleep`` lets other tasks run."""

    def now(self) -> datetime:
        """Return the wall time, with a zone. For people and for leases; it may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start. For durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of this clock."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the wall time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since the machine started."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
