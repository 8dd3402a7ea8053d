"""A bound on bytes per second, kept by sleeping."""

import asyncio


class Rate:
    """Not more than ``bytes_s`` since the first byte; None is unbounded."""

    def __init__(self, bytes_s: int | None) -> None:
        self._bytes_s = bytes_s
        self._moved = 0
        self._began: float | None = None

    async def spent(self, count: int) -> None:
        """Wait until so many more bytes are within the bound."""
        if self._bytes_s is None:
            return
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        self._moved += count
        await asyncio.sleep(max(0.0, self._began + self._moved / self._bytes_s - now))
