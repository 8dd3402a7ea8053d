"""Wake those who wait for something to happen, in whatever event loop they wait."""

import asyncio


class Bell:
    """Waiters sleep until the next ring. A ring that nobody waits for is forgotten."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        """Wake everybody who waits now."""
        waiting, self._waiting = self._waiting, []
        for sleeper in waiting:
            loop = sleeper.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_wake, sleeper)

    async def wait(self) -> None:
        """Sleep until the next ring."""
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(sleeper)
        await sleeper


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)
