"""How long a test waits for the world to obey: until something is so, or a deadline has passed."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


MOMENT_S = 0.2


async def _moment() -> None:
    await asyncio.sleep(MOMENT_S)


class Eventually:
    """Polls until a question is answered with something true. ``pause`` lets ``pause_s`` pass between two tries.

    On real hypervisors the pause sleeps; on a simulated one it advances the clock, so that no test waits.
    """

    def __init__(
        self, *, pause: Callable[[], Awaitable[None]] = _moment, pause_s: float = MOMENT_S, tries: int = 300
    ) -> None:
        self._pause = pause
        self.pause_s = pause_s
        self._tries = tries

    async def __call__(self, question: Callable[[], Awaitable[T]], what: str) -> T:
        """Return the first true answer. Raises AssertionError, naming ``what``, when there is none in time."""
        answer = await question()
        for _ in range(self._tries):
            if answer:
                return answer
            await self._pause()
            answer = await question()
        if answer:
            return answer
        raise AssertionError(f"in {self._tries} tries it was never so that {what}; last answer: {answer!r}"[:2000])

    async def moment(self) -> None:
        """Let a little time pass."""
        await self._pause()

    async def seconds(self, seconds: float) -> None:
        """Let at least so much time pass."""
        for _ in range(math.ceil(seconds / self.pause_s)):
            await self._pause()

    async def done(self, work: "asyncio.Future[T]", what: str) -> T:
        """Wait for a task while time passes, and return its result. Cancels it when it is not done in time."""

        async def ended() -> bool:
            return work.done()

        try:
            await self(ended, what)
        except AssertionError:
            work.cancel()
            raise
        return work.result()
