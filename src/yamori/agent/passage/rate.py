"""A bound on bytes per second, kept by sleeping."""

import asyncio

_BURST_S = 0.25
"""So much of what was not used may be made up for: sleeping is never exact."""


class Rate:
    """Not more than ``bytes_s``, whatever went before; None is unbounded."""

    def __init__(self, bytes_s: float | None) -> None:
        self._bytes_s = bytes_s
        self._due = 0.0

    async def spent(self, count: int) -> None:
        """Wait until so many more bytes are within the bound."""
        if self._bytes_s is None:
            return
        now = asyncio.get_running_loop().time()
        self._due = max(self._due, now - _BURST_S) + count / self._bytes_s
        await asyncio.sleep(max(0.0, self._due - now))
